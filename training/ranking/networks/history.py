"""How candidates read a user's history: the user's part is computed once a request, candidates attend to it."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn

from training.ranking.recipe import RankingRecipe

MASKED = -1e9


@dataclass(frozen=True, slots=True)
class Past:
    """The history of R requests as read by a network: keys and values [R, L, *], known [R, 1, L]."""

    keys: Tensor
    values: Tensor
    known: Tensor


class History(nn.Module, ABC):
    """A network over the history. The order of its draws is part of what a seed gives."""

    width: int
    """Columns that it adds for each candidate."""
    user_width: int
    """Columns of `summary`."""

    @abstractmethod
    def encode(self, seen: Tensor, known: Tensor) -> Past:
        """The user's part: seen [R, L, D], events as vectors, oldest first; known [R, 1, L], where there is one."""

    @abstractmethod
    def read(self, past: Past, mine: Tensor) -> tuple[Tensor, ...]:
        """What the candidates mine [R, C, D] find in it, columns [R, C, *]."""

    def summary(self, past: Past) -> Tensor:
        """The mean event [R, user_width]; zeros without a history."""
        known = past.known.transpose(1, 2).float()
        return (past.values * known).sum(dim=1) / known.sum(dim=1).clamp_min(1.0)


class NoHistory(History):
    """Reads nothing: the ranker without attention, to see what attention is worth."""

    def __init__(self, recipe: RankingRecipe) -> None:
        super().__init__()
        self.width = self.user_width = 0

    def encode(self, seen: Tensor, known: Tensor) -> Past:
        """As it is."""
        return Past(seen, seen, known)

    def read(self, past: Past, mine: Tensor) -> tuple[Tensor, ...]:
        """Nothing."""
        return ()

    def summary(self, past: Past) -> Tensor:
        """Nothing."""
        return past.values[:, 0, :0]
