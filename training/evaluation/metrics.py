"""Ranking metrics over the full catalogue, one target a list: vectorised over T lists.

A list is a row of int64 [T, K], item-table rows, best first, padded at the end with 0 (row 0 is no item). A target is
a row too; 0 is an item the catalogue does not hold, which no list can hit. With one target a list, recall@k equals
hr@k and precision@k is hr@k / k; both are reported because others' tables do.
"""

import numpy as np
from numpy.typing import NDArray

Lists = NDArray[np.int64]
Targets = NDArray[np.int64]
Ranks = NDArray[np.int64]
PerTarget = NDArray[np.float64]

LIST_LENGTH = 50
"""K of every evaluated list; mrr is cut here too."""
METRICS = ("hr@10", "ndcg@10", "recall@50", "precision@10", "mrr", "coverage@10")


def ranks(lists_TK: Lists, targets_T: Targets) -> Ranks:
    """Place of each target in its list from 1, 0 where it is not in it; int64 [T]. The first place counts."""
    if lists_TK.shape[1] == 0:
        return np.zeros(len(targets_T), np.int64)
    hits = (lists_TK == targets_T[:, None]) & (targets_T != 0)[:, None]
    return np.where(hits.any(axis=1), hits.argmax(axis=1) + 1, 0)


def hr(ranks_T: Ranks, k: int) -> PerTarget:
    """1 where the target is among the first k, else 0."""
    return _within(ranks_T, k).astype(np.float64)


def ndcg(ranks_T: Ranks, k: int) -> PerTarget:
    """1 / log2(1 + rank) within the first k, else 0: the ideal gain is 1 with one target."""
    return np.where(_within(ranks_T, k), 1.0 / np.log2(1.0 + np.maximum(ranks_T, 1)), 0.0)


def recall(ranks_T: Ranks, k: int) -> PerTarget:
    """Share of the (one) target found among the first k."""
    return hr(ranks_T, k)


def precision(ranks_T: Ranks, k: int) -> PerTarget:
    """Share of the first k places that hold the target; a short list still counts k places."""
    return hr(ranks_T, k) / k


def mrr(ranks_T: Ranks) -> PerTarget:
    """1 / rank, 0 where the list does not hold the target."""
    return np.where(ranks_T > 0, 1.0 / np.maximum(ranks_T, 1), 0.0)


def coverage(lists_TK: Lists, k: int, catalogue: int) -> float:
    """Share of the catalogue's items that appear among the first k of any list."""
    shown = np.unique(lists_TK[:, :k])
    return float(np.count_nonzero(shown)) / catalogue if catalogue else 0.0


def per_target(ranks_T: Ranks) -> dict[str, PerTarget]:
    """Every metric that is a mean over targets, by name."""
    return {
        "hr@10": hr(ranks_T, 10),
        "ndcg@10": ndcg(ranks_T, 10),
        "recall@50": recall(ranks_T, 50),
        "precision@10": precision(ranks_T, 10),
        "mrr": mrr(ranks_T),
    }


def summary(lists_TK: Lists, targets_T: Targets, catalogue: int) -> dict[str, float]:
    """METRICS by name; zeros where there are no targets."""
    values = per_target(ranks(lists_TK, targets_T))
    means = {name: float(v.mean()) if len(v) else 0.0 for name, v in values.items()}
    return {**means, "coverage@10": coverage(lists_TK, 10, catalogue)}


def _within(ranks_T: Ranks, k: int) -> NDArray[np.bool_]:
    return (ranks_T > 0) & (ranks_T <= k)
