"""Intervals by bootstrap over users: a user's targets hang together, so whole users are drawn."""

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

DRAWS = 2000
_CHUNK = 4_000_000
_Name = TypeVar("_Name")


def paired_intervals(
    differences: Mapping[_Name, NDArray[np.float64]],
    users_T: NDArray[np.integer],
    seed: int,
    draws: int = DRAWS,
    level: float = 0.95,
) -> dict[_Name, tuple[float, float]]:
    """Percentile intervals of the means of differences [T], by name, whole users drawn with replacement.

    A difference is one metric of one system less that of another on the same T targets; users_T says whose each is.
    The mean weighs targets equally, as the metric does. All names share the draws. (0, 0) without targets. Efron and
    Tibshirani 1993, ch. 13.
    """
    if len(users_T) == 0 or not differences:
        return dict.fromkeys(differences, (0.0, 0.0))
    _, place, counts = np.unique(users_T, return_inverse=True, return_counts=True)
    sums_UP = np.stack([np.bincount(place, d) for d in differences.values()], axis=1)
    users = len(counts)
    generator = np.random.default_rng(seed)
    chunk = max(1, _CHUNK // users)
    means = np.empty((draws, len(differences)))
    for start in range(0, draws, chunk):
        size = min(chunk, draws - start)
        weights = generator.multinomial(users, np.full(users, 1.0 / users), size=size).astype(np.float64)
        means[start : start + size] = (weights @ sums_UP) / (weights @ counts)[:, None]
    lows, highs = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return {name: (float(lows[i]), float(highs[i])) for i, name in enumerate(differences)}


def ratio_interval(
    a_T: NDArray[np.float64],
    b_T: NDArray[np.float64],
    users_T: NDArray[np.integer],
    seed: int,
    draws: int = DRAWS,
    level: float = 0.95,
) -> tuple[float, float]:
    """The percentile interval of sum(a) / sum(b), whole users drawn as in paired_intervals; inf where b sums to 0."""
    if len(users_T) == 0:
        return 0.0, 0.0
    _, place = np.unique(users_T, return_inverse=True)
    sums_U2 = np.stack([np.bincount(place, a_T), np.bincount(place, b_T)], axis=1)
    users = len(sums_U2)
    generator = np.random.default_rng(seed)
    chunk = max(1, _CHUNK // users)
    ratios = np.empty(draws)
    for start in range(0, draws, chunk):
        size = min(chunk, draws - start)
        above, below = (generator.multinomial(users, np.full(users, 1.0 / users), size=size) @ sums_U2).T
        ratios[start : start + size] = np.where(below > 0, above / np.where(below > 0, below, 1.0), np.inf)
    low, high = np.quantile(ratios, [(1 - level) / 2, (1 + level) / 2], method="nearest")
    return float(low), float(high)


def paired_interval(
    a_T: NDArray[np.float64],
    b_T: NDArray[np.float64],
    users_T: NDArray[np.integer],
    seed: int,
    draws: int = DRAWS,
    level: float = 0.95,
) -> tuple[float, float]:
    """The interval of mean(a - b); see paired_intervals."""
    return paired_intervals({"": a_T - b_T}, users_T, seed, draws, level)[""]
