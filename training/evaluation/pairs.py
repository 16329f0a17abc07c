"""Which systems are compared, and by what interval."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from training.evaluation.bootstrap import paired_intervals
from training.evaluation.metrics import PerTarget

PAIRS = (
    ("ranked", "retrieval"),
    ("ranked", "trees"),
    ("ranked", "popularity"),
    ("retrieval", "popularity"),
    ("retrieval", "co_visitation"),
    ("retrieval", "ease"),
)
PAIRED_METRICS = ("ndcg@10", "hr@10")

Intervals = dict[str, dict[str, list[float]]]
"""By "a_minus_b", then by metric: lowest and highest difference."""


def paired_values(
    values: Mapping[str, Mapping[str, PerTarget]],
    metrics: Sequence[str],
    users_T: NDArray[np.integer],
    seed: int,
    pairs: Sequence[tuple[str, str]] = PAIRS,
) -> Intervals:
    """95 % intervals of a - b by bootstrap over users, for the pairs that both ran.

    values: one a target, by system and metric. Each difference is over the targets where both have a value (no NaN).
    """
    by_known: dict[bytes, tuple[NDArray[np.bool_], dict[tuple[str, str], PerTarget]]] = {}
    for a, b in pairs:
        for metric in metrics:
            if metric not in values.get(a, {}) or metric not in values.get(b, {}):
                continue
            difference = values[a][metric] - values[b][metric]
            there = ~np.isnan(difference)
            by_known.setdefault(there.tobytes(), (there, {}))[1][f"{a}_minus_{b}", metric] = difference
    found: Intervals = {}
    for there, differences in by_known.values():
        kept = {name: d[there] for name, d in differences.items()}
        for (name, metric), interval in paired_intervals(kept, users_T[there], seed).items():
            found.setdefault(name, {})[metric] = list(interval)
    return found


def mean_known(values_T: PerTarget | None) -> float | None:
    """The mean of what is not NaN; None where nothing is."""
    if values_T is None or np.isnan(values_T).all():
        return None
    return float(np.nanmean(values_T))
