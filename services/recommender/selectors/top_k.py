"""The best by score."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from penchant.types import Matrix, Vector

Chosen = NDArray[np.int64]


class RowsOf(Protocol):
    """B rows of which a selector reads those it needs; an array is one."""

    def __getitem__(self, places: Chosen, /) -> Matrix:
        """Rows at these places, in their order."""
        ...


@dataclass(frozen=True, slots=True)
class TopKSelector:
    """The k candidates with the highest scores, best first; ties go to the better retrieved one."""

    def select(self, scores_B: Vector, embeddings_BD: RowsOf, k: int) -> Chosen:
        """Indices of the chosen, best first."""
        return by_score(scores_B)[:k]


def by_score(scores_B: Vector) -> Chosen:
    """All indices, best score first; ties go to the lower index, and scores that are no number sink to the bottom."""
    return np.argsort(-sunk(scores_B), kind="stable")


def sunk(scores_B: Vector) -> Vector:
    """The scores with everything that is not finite at minus infinity, NaN and plus infinity included."""
    return np.where(np.isfinite(scores_B), scores_B, np.float32(-np.inf))
