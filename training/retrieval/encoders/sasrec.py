"""SASRec: a causal transformer. Kang and McAuley, ICDM 2018.

Pre-norm, with GELU and a feed-forward of four times the width, as transformers are built today. With the softmax over
the whole catalogue it is ahead of most of what came after it (Klenitskiy and Vasilev, RecSys 2023).
"""

import torch
from torch import Tensor, nn

from training.retrieval.encoders.attention import AttendingEncoder, heads_first, heads_joined
from training.retrieval.recipe import RetrievalRecipe


class Block(nn.Module):
    """Pre-norm attention and feed-forward, each added to its input."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention = nn.LayerNorm(dim)
        self.query = nn.Linear(dim, dim)
        self.key_value = nn.Linear(dim, 2 * dim)
        self.mixed = nn.Linear(dim, dim)
        self.before_feed = nn.LayerNorm(dim)
        self.feed = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))
        self.drop = nn.Dropout(dropout)

    def forward(self, x_BLD: Tensor, bias_BLL: Tensor, last_only: bool = False) -> Tensor:
        """bias_BLL [B, L, L] (or [B, 1, L] with last_only) is added to the attention of query to key."""
        normed = self.before_attention(x_BLD)
        if last_only:
            x_BLD, asking = x_BLD[:, -1:], normed[:, -1:]
        else:
            asking = normed
        query = heads_first(self.query(asking), self.heads)
        key, value = (heads_first(part, self.heads) for part in self.key_value(normed).chunk(2, dim=-1))
        mixed = nn.functional.scaled_dot_product_attention(query, key, value, bias_BLL[:, None])
        x_BLD = x_BLD + self.drop(self.mixed(heads_joined(mixed)))
        return torch.as_tensor(x_BLD + self.drop(self.feed(self.before_feed(x_BLD))))


class SasRecEncoder(AttendingEncoder):
    """recipe.blocks transformer blocks."""

    def __init__(self, recipe: RetrievalRecipe) -> None:
        super().__init__(recipe.dim, (Block(recipe.dim, recipe.heads, recipe.dropout) for _ in range(recipe.blocks)))

    @staticmethod
    def multiplications(recipe: RetrievalRecipe) -> int:
        """Four projections, a feed-forward of eight, and the attention over the whole window."""
        return recipe.blocks * (12 * recipe.dim**2 + 2 * recipe.history_length * recipe.dim)
