"""How what is known of a user, a candidate and both of them meets."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Pairs:
    """R requests of C candidates: everything [R, C, W], the user's part of it [R, U], the item vectors [R, C, D]."""

    everything: Tensor
    user: Tensor
    items: Tensor


class Cross(nn.Module, ABC):
    """Made as Cross(recipe, W, U)."""

    width: int
    """Columns that it gives."""

    @abstractmethod
    def forward(self, pairs: Pairs) -> Tensor:
        """[R, C, width]."""


def deep(width: int, hidden: int, dropout: float) -> nn.Sequential:
    """Two layers, the second half as wide: [..., width] to [..., hidden // 2]."""
    return nn.Sequential(
        nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, hidden // 2), nn.ReLU()
    )
