"""Maximal marginal relevance: relevant, and unlike what is already on the slate."""

from dataclasses import dataclass

import numpy as np

from penchant.types import Matrix, Vector
from services.recommender.selectors.top_k import Chosen, RowsOf, by_score, sunk

_BOTTOM = np.float32(-1e30)
_POOL = 200
"""The slate is chosen among so many of the best, or twice its length: further down, relevance has gone."""


@dataclass(frozen=True, slots=True)
class MMRSelector:
    """The k candidates that mmr chooses among the best by score; see Placement.trade_off."""

    trade_off: float

    def select(self, scores_B: Vector, embeddings_BD: RowsOf, k: int) -> Chosen:
        """Indices of the chosen, in slate order. An item without an embedding is unlike every other."""
        order = by_score(scores_B)
        pool = order[: max(_POOL, 2 * k)]
        pool = pool[np.isfinite(scores_B[pool])]
        if len(pool) == 0:
            return order[:k]
        vectors = embeddings_BD[pool]
        unit = vectors / np.maximum(np.sqrt(np.einsum("nd,nd->n", vectors, vectors)), 1e-9)[:, None]
        chosen = pool[mmr(_unit_range(scores_B[pool]), unit, min(k, len(pool)), self.trade_off)]
        if len(chosen) == k:
            return chosen
        rest = order[~np.isin(order, chosen)]
        return np.concatenate([chosen, rest])[:k]


def mmr(relevance_N: Vector, unit_ND: Matrix, k: int, trade_off: float) -> list[int]:
    """Indices of the k chosen items, best first.

    relevance_N in [0, 1]; unit_ND of length 1, or 0 for what is unlike everything; trade_off 1 ignores similarity.
    Ties go to the lower index, so a slate is reproducible. Carbonell & Goldstein, SIGIR 1998.
    """
    chosen: list[int] = []
    relevance = np.maximum(sunk(trade_off * relevance_N), _BOTTOM)
    weighed = unit_ND * np.float32(1.0 - trade_off)
    marginal = relevance
    for _ in range(min(k, len(relevance))):
        best = int(marginal.argmax())
        left = relevance - weighed @ unit_ND[best]
        # The least that any of the chosen leaves is what the nearest of them leaves.
        marginal = np.minimum(marginal, left, out=left) if chosen else left
        marginal[best] = -np.inf
        chosen.append(best)
    return chosen


def _unit_range(scores: Vector) -> Vector:
    low, high = float(scores.min()), float(scores.max())
    return (scores - low) / (high - low) if high > low else np.ones_like(scores)
