"""HSTU: attention without softmax. Zhai et al., ICML 2024 (Actions Speak Louder than Words).

Each pair of places weighs SiLU(query · key + bias of their distance), so that how often something was done is not
normalised away; what was gathered is gated by the place itself, and there is no feed-forward. The paper's bias by the
time between two events is not here: the tower that serves is given no times.
"""

import torch
from torch import Tensor, nn

from training.retrieval.encoders.attention import AttendingEncoder, heads_first, heads_joined, visible
from training.retrieval.recipe import RetrievalRecipe


class HstuBlock(nn.Module):
    """Pointwise attention over the window, gated, added to its input."""

    def __init__(self, recipe: RetrievalRecipe) -> None:
        super().__init__()
        dim = recipe.dim
        self.heads = recipe.heads
        self.scale = 1.0 / recipe.history_length
        self.before = nn.LayerNorm(dim, eps=1e-6)
        self.gate_query = nn.Linear(dim, 2 * dim)
        self.key_value = nn.Linear(dim, 2 * dim)
        self.distance_bias = nn.Parameter(torch.randn(recipe.history_length) * 0.02)
        self.gathered = nn.LayerNorm(dim, eps=1e-6)
        self.mixed = nn.Linear(dim, dim)
        self.drop = nn.Dropout(recipe.dropout)

    def forward(self, x_BLD: Tensor, visible_BLL: Tensor, last_only: bool = False) -> Tensor:
        """visible_BLL: bool [B, L, L] (or [B, 1, L] with last_only), query by key."""
        length = x_BLD.shape[1]
        normed = self.before(x_BLD)
        if last_only:
            x_BLD, asking = x_BLD[:, -1:], normed[:, -1:]
        else:
            asking = normed
        gate, query = nn.functional.silu(self.gate_query(asking)).chunk(2, dim=-1)
        key, value = nn.functional.silu(self.key_value(normed)).chunk(2, dim=-1)
        query, key, value = (heads_first(part, self.heads) for part in (query, key, value))
        scores = query @ key.transpose(2, 3) + self._bias(length, x_BLD.shape[1])
        weights = nn.functional.silu(scores) * (visible_BLL[:, None] * self.scale)
        mixed = self.mixed(self.drop(gate * self.gathered(heads_joined(weights @ value))))
        return torch.as_tensor(x_BLD + mixed)

    def _bias(self, length: int, asking: int) -> Tensor:
        """[asking, length]: the bias of each of the newest `asking` places to every place, by how far it lies back."""
        place = torch.arange(length, device=self.distance_bias.device)
        return self.distance_bias[(place[length - asking :, None] - place[None, :]).clamp(min=0)]


class HstuEncoder(AttendingEncoder):
    """recipe.blocks HSTU blocks."""

    def __init__(self, recipe: RetrievalRecipe) -> None:
        super().__init__(recipe.dim, (HstuBlock(recipe) for _ in range(recipe.blocks)))

    def sight(self, known_BL: Tensor) -> Tensor:
        """Who sees whom, as it is: there is no softmax to add anything to."""
        return visible(known_BL)

    @staticmethod
    def multiplications(recipe: RetrievalRecipe) -> int:
        """Five projections and the attention over the whole window."""
        return recipe.blocks * (5 * recipe.dim**2 + 2 * recipe.history_length * recipe.dim)
