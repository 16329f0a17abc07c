"""The trained ranker as ONNX, checked against torch before anything is published."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from penchant.bundle import ModelSpec
from penchant.errors import ConfigError
from penchant.ranking import Inputs
from penchant.types import Matrix
from training.export import Feed, export_model
from training.ranking.samples import Samples
from training.ranking.served import ServedRanker
from training.ranking.train import TrainedRanker

CANDIDATE_INPUTS = ("rows", "item_dense", "retrieval", "pair_dense")
USER_INPUTS = ("history_rows", "history_types", "history_signals", "user_dense")


def export_ranker(
    trained: TrainedRanker, known_NK: Matrix, feeds: Sequence[Inputs], folder: Path, file: str
) -> ModelSpec:
    """Write folder/file and its golden rows. known_NK: what is known of the bundle's items, by row.

    feeds: real requests as ranker_inputs gives them, two candidates or more in the first. Raises BundleMismatch where
    ONNX Runtime differs from torch by more than 1e-4, ConfigError where there is no such request.
    """
    served = ServedRanker(trained.model, known_NK, trained.outputs)
    chosen = ranker_feeds(feeds)
    return export_model(served, chosen, dict.fromkeys(CANDIDATE_INPUTS, "candidates"), "scores", folder, file)


def ranker_feeds(feeds: Sequence[Inputs]) -> list[Feed]:
    """The inputs that the ranker takes, in the order it takes them. Raises ConfigError where there is no request."""
    if not feeds:
        raise ConfigError("no request has two items to rank between: the data set is too small to train on")
    names = (*USER_INPUTS, *CANDIDATE_INPUTS)
    return [{name: np.asarray(feed[name]) for name in names} for feed in feeds]


def feeds_of(samples: Samples, features_NF: Matrix, count: int = 6, candidates: int = 64) -> list[Inputs]:
    """A few of the samples' requests as ranker_inputs gives them, and one of a single candidate."""
    able = np.flatnonzero((samples.weights > 0).sum(axis=1) >= 2)
    feeds = []
    for i in able[np.unique(np.linspace(0, max(len(able) - 1, 0), count).astype(np.int64))] if len(able) else []:
        used = np.flatnonzero(samples.weights[i] > 0)[:candidates]
        feeds.append(samples.inputs(int(i), used, features_NF))
    if feeds:
        one = {name: feeds[0][name][:1] for name in CANDIDATE_INPUTS}
        feeds.append({**feeds[0], **one})
    return feeds
