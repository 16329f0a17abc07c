"""What a request's candidates have in common: the ranker reads each candidate against the others of its request.

Retrieval's first stage gives the features in training and its second in serving; within one request both are on the
same scale once mean, spread and log-sum are taken out.
"""

from dataclasses import dataclass

import numpy as np

from penchant.ranking import Inputs
from penchant.retrieval.features import RETRIEVAL_FEATURES
from penchant.types import Matrix, Vector

LOG_SHARES = tuple(RETRIEVAL_FEATURES.index(name) for name in ("blend", "two_tower", "co_visitation"))
"""Columns of retrieval that are like log-probabilities: read as the log of a candidate's share among all."""
SPREAD_FLOOR = 1e-2
BOUND = 5.0
"""Standardised features are cut off here."""


@dataclass(frozen=True, slots=True)
class RequestStatistics:
    """Of R requests: mean and spread [R, Fi + S + Fp] of item_dense, retrieval and pair_dense; log_sums [R, 3]."""

    mean: Matrix
    spread: Matrix
    log_sums: Matrix


def statistics_of(inputs: Inputs) -> tuple[Vector, Vector, Vector]:
    """mean, spread and log_sums of one request's candidates. The graph computes the same (model.py)."""
    dense = np.concatenate([inputs["item_dense"], inputs["retrieval"], inputs["pair_dense"]], axis=1)
    if len(dense) == 0:
        nothing = np.zeros(dense.shape[1], np.float32)
        return nothing, nothing, np.zeros(len(LOG_SHARES), np.float32)
    shares = inputs["retrieval"][:, LOG_SHARES]
    top = shares.max(axis=0)
    log_sums = top + np.log(np.exp(shares - top).sum(axis=0))
    return dense.mean(axis=0), dense.std(axis=0), log_sums.astype(np.float32)
