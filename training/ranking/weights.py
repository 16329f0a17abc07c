"""How task scores add up to the slate's order: chosen on the validation part, in the metric that is reported."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from penchant.ranking import slate_score
from penchant.types import Matrix
from training.evaluation.bootstrap import paired_interval
from training.evaluation.metrics import ndcg
from training.ranking.tasks import ENGAGE

GRID = (0.1, 0.25, 0.5, 1.0, 2.0)


def ranks_of(scores_RC: Matrix, weights_RC: Matrix, chosen: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rank of the chosen candidate from 1 among those of weight above 0, 0 where none was; ties to the earlier."""
    scores = np.where((weights_RC > 0) & np.isfinite(scores_RC), scores_RC, -np.inf)
    at = np.maximum(chosen, 0)[:, None]
    own = np.take_along_axis(scores, at, axis=1)
    ahead = (scores > own) | ((scores == own) & (np.arange(scores.shape[1]) < at))
    return np.where(chosen >= 0, 1 + ahead.sum(axis=1), 0)


def choose_weights(
    scores_RCT: Matrix, weights_RC: Matrix, chosen: NDArray[np.int64], users: NDArray[np.integer], tasks: Sequence[str]
) -> dict[str, float]:
    """Weights by task: `engage` is 1, another is added where it raises NDCG@10 beyond chance.

    scores_RCT [R, C, T] of whole candidate lists, tasks in the order of T; users [R] whose requests they are. A weight
    is taken only if the interval of its gain, by bootstrap over users, lies above 0: else the data cannot tell.
    """
    weights = dict.fromkeys(tasks, 0.0) | {ENGAGE: 1.0}
    if len(chosen) == 0:
        return weights

    def found(by_task: dict[str, float]) -> NDArray[np.float64]:
        flat = slate_score(scores_RCT.reshape(-1, len(tasks)), tasks, by_task).reshape(scores_RCT.shape[:2])
        return ndcg(ranks_of(flat, weights_RC, chosen), 10)

    best = found(weights)
    for task in tasks:
        if task == ENGAGE:
            continue
        tried = {weight: found({**weights, task: weight}) for weight in GRID}
        weight = max(tried, key=lambda w: float(tried[w].mean()))
        if tried[weight].mean() > best.mean() and paired_interval(tried[weight], best, users, seed=0)[0] > 0:
            weights[task], best = weight, tried[weight]
    return weights
