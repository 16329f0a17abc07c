"""SASRec: a causal transformer. Kang and McAuley, ICDM 2018.

Pre-norm, with GELU and a feed-forward of four times the width, as transformers are built today. With the softmax over
the whole catalogue it is ahead of most of what came after it (Klenitskiy and Vasilev, RecSys 2023).
"""

import torch
from torch import Tensor, nn

from training.retrieval.encoders.attention import AttendingBlock, AttendingEncoder
from training.retrieval.recipe import RetrievalRecipe


class Block(AttendingBlock):
    """Pre-norm attention and feed-forward, each added to its input."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__(dim, heads)
        self.before_feed = nn.LayerNorm(dim)
        self.feed = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))
        self.drop = nn.Dropout(dropout)

    def forward(self, x_BLD: Tensor, bias_BLL: Tensor, last_only: bool = False) -> Tensor:
        """As AttendingBlock.attend takes it."""
        x_BLD, mixed = self.attend(x_BLD, bias_BLL, last_only)
        x_BLD = x_BLD + self.drop(mixed)
        return torch.as_tensor(x_BLD + self.drop(self.feed(self.before_feed(x_BLD))))


class SasRecEncoder(AttendingEncoder):
    """recipe.blocks transformer blocks."""

    def __init__(self, recipe: RetrievalRecipe) -> None:
        super().__init__(recipe.dim, (Block(recipe.dim, recipe.heads, recipe.dropout) for _ in range(recipe.blocks)))

    @staticmethod
    def multiplications(recipe: RetrievalRecipe) -> int:
        """Four projections, a feed-forward of eight, and the attention over the whole window."""
        return recipe.blocks * (12 * recipe.dim**2 + 2 * recipe.history_length * recipe.dim)
