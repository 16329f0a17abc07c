"""Intervals by bootstrap over users: a user's targets hang together, so whole users are drawn."""

import numpy as np
from numpy.typing import NDArray

DRAWS = 2000
_CHUNK = 4_000_000


def paired_interval(
    a_T: NDArray[np.float64],
    b_T: NDArray[np.float64],
    users_T: NDArray[np.integer],
    seed: int,
    draws: int = DRAWS,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentile interval of mean(a - b) over targets, whole users drawn with replacement.

    a and b are two systems' values of one metric on the same T targets; users_T says whose each is. The mean weighs
    targets equally, as the metric does. (0, 0) without targets. Efron & Tibshirani 1993, ch. 13.
    """
    if len(a_T) == 0:
        return 0.0, 0.0
    _, place, counts = np.unique(users_T, return_inverse=True, return_counts=True)
    sums = np.bincount(place, a_T - b_T)
    users = len(counts)
    generator = np.random.default_rng(seed)
    chunk = max(1, _CHUNK // users)
    means = np.empty(draws)
    for start in range(0, draws, chunk):
        size = min(chunk, draws - start)
        weights = generator.multinomial(users, np.full(users, 1.0 / users), size=size)
        means[start : start + size] = (weights @ sums) / (weights @ counts)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
