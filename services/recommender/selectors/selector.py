"""What a selector is, and how its choice becomes a slate."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from penchant.columns import Column
from penchant.policy import Placement
from penchant.types import Matrix, Rows, Vector
from services.recommender.query import Query, Scored, Slate
from services.recommender.selectors.mmr import MMRSelector
from services.recommender.selectors.top_k import Chosen, RowsOf, TopKSelector

_TOP_K = TopKSelector()


class Selector(Protocol):
    """Chooses by score and likeness."""

    def select(self, scores_B: Vector, embeddings_BD: RowsOf, k: int) -> Chosen:
        """Indices of at most k candidates, in slate order; scores that are no number come last."""
        ...


def selector_of(placement: Placement) -> Selector:
    """The placement's selector."""
    return MMRSelector(placement.trade_off) if placement.selector == "mmr" else _TOP_K


def select_slate(query: Query, scored: Scored) -> Slate:
    """The slate of at most query.max_items; every slot is deterministic, so every propensity is 1."""
    pool = scored.pool
    selector = selector_of(query.placement) if query.ranked else _TOP_K
    chosen = selector.select(scored.scores, _Embeddings(query.table.embeddings, pool.rows), query.max_items)
    candidates = pool.candidates
    return Slate(
        query,
        pool.rows[chosen],
        pool.keys[chosen],
        _finite(scored.scores[chosen]),
        _finite(candidates.scores[chosen]),
        candidates.source_bits[chosen],
        candidates.source_names,
        np.ones(len(chosen), np.float32),
        pool.item_table_position,
        scored.tasks,
        None if scored.task_scores is None else _finite(scored.task_scores[chosen]),
        None if scored.features is None else scored.features[chosen],
    )


@dataclass(frozen=True, slots=True)
class _Embeddings:
    """Of a pool's rows, read where a selector looks."""

    column: Column
    rows: Rows

    def __getitem__(self, places: Chosen, /) -> Matrix:
        return np.asarray(self.column[self.rows[places]], np.float32)


def _finite(values: Matrix) -> Matrix:
    """What is no number, given the lowest number there is: an answer holds only numbers."""
    good = np.isfinite(values)
    if good.all():
        return values
    lowest = values[good].min() if good.any() else np.float32(0.0)
    return np.where(good, values, lowest).astype(np.float32)
