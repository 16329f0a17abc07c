"""What lists are like beyond whether they hit: spread over the catalogue, variety, novelty, surprise.

Lists are int64 [T, K] rows of the item table, best first, padded at the end with 0; arrays by row have row 0 for "no
item". A value a list does not have (an empty list has no novelty) is NaN, and means are taken over what is known.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from penchant.types import Matrix
from training.evaluation.metrics import Lists, PerTarget, Targets, ranks

PER_LIST = ("diversity@10", "novelty@10", "serendipity@10", "genre_kl@10")
LIST_METRICS = ("gini@10", *PER_LIST)


def exposures(lists_TK: Lists, k: int, rows: int) -> NDArray[np.int64]:
    """How often each row is among the first k, int64 [rows]; row 0 never."""
    counts = np.bincount(lists_TK[:, :k].ravel(), minlength=rows)
    counts[0] = 0
    return np.asarray(counts, np.int64)


def gini(counts_N: NDArray[np.integer]) -> float:
    """Inequality of N items' exposures, in [0, 1 - 1/N]: 0 if all are shown equally often, 1 - 1/N if only one ever is.

    Free of order and of scale; 0 where nothing is shown. Fleder and Hosanagar, Management Science 2009.
    """
    count, total = len(counts_N), float(counts_N.sum())
    if total == 0:
        return 0.0
    places = 2.0 * np.arange(1, count + 1) - count - 1
    return max(float(places @ np.sort(counts_N)) / (count * total), 0.0)


def diversity(lists_TK: Lists, vectors_NC: Matrix, k: int) -> PerTarget:
    """Mean of 1 - cosine over the pairs of a list's first k items, in [0, 2]; 0 if all are alike.

    Items whose vector is zero are known by nothing and left out; NaN with fewer than two others. Ziegler et al., WWW
    2005 (intra-list similarity); Zhang and Hurley, RecSys 2008.
    """
    lengths = np.linalg.norm(vectors_NC, axis=1, keepdims=True)
    units = np.divide(vectors_NC, lengths, out=np.zeros(vectors_NC.shape, np.float32), where=lengths > 0)
    known = lists_TK[:, :k] * (lengths[:, 0] > 0)[lists_TK[:, :k]]
    n_T = (known > 0).sum(axis=1)
    # The cosines of all ordered pairs, an item with itself included, are the square of the sum of unit vectors.
    squared = (np.asarray(membership(known, len(units)) @ units, np.float64) ** 2).sum(axis=1)
    pairs = n_T * (n_T - 1.0)
    return np.where(pairs > 0, np.clip(1.0 - (squared - n_T) / np.maximum(pairs, 1.0), 0.0, 2.0), np.nan)


def self_information(interactions_N: NDArray[np.integer]) -> NDArray[np.float64]:
    """Bits by row, -log2 of an item's share of all interactions, each item counted once more so that none is infinite.

    interactions_N: by row, row 0 included and ignored (its bits are NaN).
    """
    counts = np.asarray(interactions_N[1:], np.float64) + 1.0
    return np.concatenate([[np.nan], -np.log2(counts / max(counts.sum(), 1.0))])


def novelty(lists_TK: Lists, bits_N: NDArray[np.float64], k: int) -> PerTarget:
    """Mean self-information of a list's first k items in bits, at least 0; one more means half as popular.

    NaN for an empty list. Zhou et al., PNAS 2010; Vargas and Castells, RecSys 2011.
    """
    first = lists_TK[:, :k]
    n_T = (first > 0).sum(axis=1)
    bits = np.where(first > 0, bits_N[first], 0.0).sum(axis=1)
    return np.where(n_T > 0, bits / np.maximum(n_T, 1), np.nan)


def serendipity(lists_TK: Lists, targets_T: Targets, obvious: Sequence[Lists], k: int) -> PerTarget:
    """1 where the first k hold the target and none of the obvious lists' first k does, else 0; at most hr@k.

    Relevant and not what a primitive recommender shows anyway: Murakami et al. 2008; Ge, Delgado-Battenfeld and
    Jannach, RecSys 2010, whose share of the list this is k times. What is obvious has none itself.
    """
    found = ranks(lists_TK[:, :k], targets_T) > 0
    for lists in obvious:
        found &= ranks(lists[:, :k], targets_T) == 0
    return found.astype(np.float64)


def membership(lists_TK: Lists, rows: int) -> sparse.csr_matrix:
    """Ones [T, rows] where a list holds a row; row 0 never."""
    at, place = np.nonzero(lists_TK)
    return sparse.csr_matrix(
        (np.ones(len(at), np.float32), (at, lists_TK[at, place])), shape=(len(lists_TK), rows), dtype=np.float32
    )
