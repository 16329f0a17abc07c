"""The classical models beside which every other is shown: they read which items a user had, and in no order."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from scipy import sparse

from penchant.types import Matrix
from training.evaluation.ease import fit_ease, too_large
from training.evaluation.factorisation import fit_als, not_installed
from training.evaluation.neighbours import fit_item_knn, fit_user_knn


class ClassicalModel(Protocol):
    """Scores from sets of items."""

    def scores(self, histories: sparse.csr_matrix) -> Matrix:
        """float32 [T, N+1] of histories [T, N+1], zeros and ones; row 0 scores -inf."""


@dataclass(frozen=True, slots=True)
class Classical:
    """How one is made of interactions [U, N+1], zeros and ones, and why it cannot be for so many users and items."""

    fit: Callable[[sparse.csr_matrix], ClassicalModel]
    left_out: Callable[[int, int], str | None] = lambda users, items: None


CLASSICAL: dict[str, Classical] = {
    "ease": Classical(fit_ease, too_large),
    "item_knn": Classical(fit_item_knn),
    "user_knn": Classical(fit_user_knn),
    "als": Classical(fit_als, lambda users, items: not_installed()),
}
