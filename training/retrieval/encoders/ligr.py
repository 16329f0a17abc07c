"""LiGR layers: gated residuals and SwiGLU, as eSASRec builds SASRec from them.

The gates are of Borisyuk et al. 2025 (From Features to Transformers: Redefining Ranking for Scalable Impact).
Tikhonovich et al., RecSys 2025 (eSASRec: Enhancing Transformer-based Recommendations in a Modular Fashion) put them
together with a sampled softmax. Where a plain SASRec of eight layers collapses, these do not.
"""

import torch
from torch import Tensor, nn

from training.retrieval.encoders.attention import AttendingBlock, AttendingEncoder
from training.retrieval.recipe import RetrievalRecipe


class LigrBlock(AttendingBlock):
    """Pre-norm attention and SwiGLU; what each adds passes a gate that reads the layer's input."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__(dim, heads)
        self.attention_gate = nn.Linear(dim, dim)
        self.before_feed = nn.LayerNorm(dim)
        self.feed_up = nn.Linear(dim, 8 * dim)
        self.feed_down = nn.Linear(4 * dim, dim)
        self.feed_gate = nn.Linear(dim, dim)
        self.drop = nn.Dropout(dropout)

    def forward(self, x_BLD: Tensor, bias_BLL: Tensor, last_only: bool = False) -> Tensor:
        """As AttendingBlock.attend takes it."""
        x_BLD, mixed = self.attend(x_BLD, bias_BLL, last_only)
        x_BLD = x_BLD + torch.sigmoid(self.attention_gate(x_BLD)) * self.drop(mixed)
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
