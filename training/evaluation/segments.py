"""Who a system is good for, and on which items: the same metrics over parts of the targets."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.evaluation.metrics import PerTarget, Targets
from training.evaluation.pairs import PAIRED_METRICS, mean_known, paired_values

AGES = {"first": (1, 1), "2_to_5": (2, 5), "6_to_20": (6, 20), "more": (21, 1 << 62)}
"""User ages: which history event of its user a target is, first and last of each class."""
BANDS = ("head", "middle", "tail", "cold")
"""Items by their interactions before the held-out part: the most popular that hold the first fifth of them, those up to
four fifths, the rest, and items without any."""
HEAD, TAIL = 0.2, 0.8
SEGMENT_METRICS = ("hr@10", "ndcg@10", "mrr")

Masks = dict[str, NDArray[np.bool_]]


def by_age(history_T: NDArray[np.integer]) -> Masks:
    """Targets by how many history events their user had before: AGES, each target in one."""
    ages = history_T + 1
    return {name: (ages >= first) & (ages <= last) for name, (first, last) in AGES.items()}


def bands(interactions_N: NDArray[np.integer]) -> NDArray[np.int64]:
    """Place of each row's band in BANDS, int64 [N+1]; row 0 is cold, ties in popularity go to the lower row first.

    As in Abdollahpouri et al., UMAP 2021: head and tail items hold a fifth of the interactions each.
    """
    counts = np.asarray(interactions_N, np.int64).copy()
    counts[0] = 0
    order = np.argsort(-counts, kind="stable")
    taken_before = np.cumsum(counts[order]) - counts[order]
    total = max(int(counts.sum()), 1)
    found = np.empty(len(counts), np.int64)
    found[order] = (taken_before >= HEAD * total).astype(np.int64) + (taken_before >= TAIL * total)
    found[counts == 0] = BANDS.index("cold")
    return found


def by_band(targets_T: Targets, interactions_N: NDArray[np.integer]) -> Masks:
    """Targets by the band of their item; one that the catalogue does not hold (row 0) is cold."""
    band_T = bands(interactions_N)[targets_T]
    return {name: band_T == i for i, name in enumerate(BANDS)}


def segmented(
    values: Mapping[str, Mapping[str, PerTarget]],
    masks: Mapping[str, NDArray[np.bool_]],
    users_T: NDArray[np.integer],
    seed: int,
) -> dict[str, dict[str, Any]]:
    """Of each segment: targets, users, SEGMENT_METRICS by system (None in an empty one) and paired intervals."""
    found = {}
    for name, mask in masks.items():
        part = {s: {m: v[mask] for m, v in by_metric.items()} for s, by_metric in values.items()}
        users = users_T[mask]
        found[name] = {
            "targets": int(mask.sum()),
            "users": len(np.unique(users)),
            "test": {s: {m: mean_known(part[s][m]) for m in SEGMENT_METRICS} for s in part},
            "paired": paired_values(part, PAIRED_METRICS, users, seed) if len(users) else {},
        }
    return found
