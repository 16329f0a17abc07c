"""LiGR layers: gated residuals and SwiGLU, as eSASRec builds SASRec from them.

The gates are of Borisyuk et al. 2025 (From Features to Transformers: Redefining Ranking for Scalable Impact).
Tikhonovich et al., RecSys 2025 (eSASRec: Enhancing Transformer-based Recommendations in a Modular Fashion) put them
together with a sampled softmax. Where a plain SASRec of eight layers collapses, these do not.
"""

import torch
from torch import Tensor, nn

from training.retrieval.encoders.attention import AttendingEncoder, heads_first, heads_joined
from training.retrieval.recipe import RetrievalRecipe


class LigrBlock(nn.Module):
    """Pre-norm attention and SwiGLU; what each adds passes a gate that reads the layer's input."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention = nn.LayerNorm(dim)
        self.query = nn.Linear(dim, dim)
        self.key_value = nn.Linear(dim, 2 * dim)
        self.mixed = nn.Linear(dim, dim)
        self.attention_gate = nn.Linear(dim, dim)
        self.before_feed = nn.LayerNorm(dim)
        self.feed_up = nn.Linear(dim, 8 * dim)
        self.feed_down = nn.Linear(4 * dim, dim)
        self.feed_gate = nn.Linear(dim, dim)
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
        x_BLD = x_BLD + torch.sigmoid(self.attention_gate(x_BLD)) * self.drop(self.mixed(heads_joined(mixed)))
        swish, linear = self.feed_up(self.before_feed(x_BLD)).chunk(2, dim=-1)
        fed = self.feed_down(self.drop(nn.functional.silu(swish) * linear))
        return torch.as_tensor(x_BLD + torch.sigmoid(self.feed_gate(x_BLD)) * self.drop(fed))


class LigrEncoder(AttendingEncoder):
    """recipe.blocks LiGR blocks."""

    def __init__(self, recipe: RetrievalRecipe) -> None:
        super().__init__(
            recipe.dim, (LigrBlock(recipe.dim, recipe.heads, recipe.dropout) for _ in range(recipe.blocks))
        )

    @staticmethod
    def multiplications(recipe: RetrievalRecipe) -> int:
        """Four projections, two gates, twelve of SwiGLU, and the attention over the whole window."""
        return recipe.blocks * (18 * recipe.dim**2 + 2 * recipe.history_length * recipe.dim)
