"""Maximal marginal relevance: relevant, and unlike what is already on the slate."""

from dataclasses import dataclass

import numpy as np

from penchant.types import Matrix, Vector
from services.recommender.selectors.top_k import Chosen, by_score, sunk

_BOTTOM = np.float32(-1e30)
_POOL = 200
"""The slate is chosen among so many of the best, or twice its length: further down, relevance has gone."""


@dataclass(frozen=True, slots=True)
class MMRSelector:
    """The k candidates that mmr chooses among the best by score; see Placement.trade_off."""

    trade_off: float

    def select(self, scores_B: Vector, embeddings_BD: Matrix, k: int) -> Chosen:
        """Indices of the chosen, in slate order. An item without an embedding is unlike every other."""
        order = by_score(scores_B)
        pool = order[: max(_POOL, 2 * k)]
        pool = pool[np.isfinite(scores_B[pool])]
        if len(pool) == 0:
            return order[:k]
        norms = np.linalg.norm(embeddings_BD[pool], axis=1, keepdims=True)
        unit = embeddings_BD[pool] / np.maximum(norms, 1e-9)
        similarity = unit @ unit.T
        np.fill_diagonal(similarity, 1.0)
        chosen = pool[mmr(_unit_range(scores_B[pool]), similarity, min(k, len(pool)), self.trade_off)]
        if len(chosen) == k:
            return chosen
        rest = order[~np.isin(order, chosen)]
        return np.concatenate([chosen, rest])[:k]


def mmr(relevance_N: Vector, similarity_NN: Matrix, k: int, trade_off: float) -> list[int]:
    """Indices of the k chosen items, best first.

    relevance_N in [0, 1]; similarity_NN symmetric with unit diagonal; trade_off 1 ignores similarity.
    Ties go to the lower index, so a slate is reproducible. Carbonell & Goldstein, SIGIR 1998.
    """
    chosen: list[int] = []
    relevance = np.maximum(sunk(trade_off * relevance_N), _BOTTOM)
    nearest = np.zeros(len(relevance_N), np.float32)
    for _ in range(min(k, len(relevance_N))):
        marginal = relevance - (1.0 - trade_off) * nearest
        marginal[chosen] = -np.inf
        best = int(np.argmax(marginal))
        nearest = np.maximum(nearest, similarity_NN[best]) if chosen else similarity_NN[best].copy()
        chosen.append(best)
    return chosen


def _unit_range(scores: Vector) -> Vector:
    low, high = float(scores.min()), float(scores.max())
    return (scores - low) / (high - low) if high > low else np.ones_like(scores)
