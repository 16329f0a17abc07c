"""What every model of a user's interest is: a history of item vectors in, a state after each place out."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn

from training.retrieval.recipe import RetrievalRecipe


class Encoder(nn.Module, ABC):
    """States of which the inner product with an item's vector is the score of that item coming next.

    A state depends on its own place and earlier ones alone, and never on padding: the same history in a wider window
    gives the same states. States of padding itself mean nothing. tests/training/retrieval/encoders holds every encoder
    to that, and to its export.
    """

    positional: ClassVar[bool] = False
    """Whether the towers add a learned vector for each place, counted from the newest, to what comes in."""

    @abstractmethod
    def forward(self, x_BLD: Tensor, known_BL: Tensor, last_only: bool = False) -> Tensor:
        """States [B, L, D] after each place, or [B, D] after the newest with last_only.

        x_BLD: vectors of a left-padded history, oldest first; what stands at padding is any number. known_BL: bool,
        False is padding. L is at most the recipe's history_length.
        """

    @staticmethod
    @abstractmethod
    def multiplications(recipe: RetrievalRecipe) -> int:
        """Multiplications of matrix products at one place, forward: what the budget of a recipe is counted in."""
