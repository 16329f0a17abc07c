"""DCN v2: features multiplied explicitly, layer by layer, beside a deep network.

Wang et al., DCN V2, WWW 2021: the low-rank form, cross and deep in parallel.
"""

import torch
from torch import Tensor, nn

from training.ranking.networks.cross import Cross, Pairs, deep
from training.ranking.recipe import RankingRecipe


class CrossLayer(nn.Module):
    """x0 * (U V x) + x: one low-rank layer."""

    def __init__(self, width: int, rank: int) -> None:
        super().__init__()
        self.down = nn.Linear(width, rank, bias=False)
        self.up = nn.Linear(rank, width)

    def forward(self, x0: Tensor, x: Tensor) -> Tensor:
        """Both [..., width]."""
        return torch.as_tensor(x0 * self.up(self.down(x)) + x)


class DcnCross(Cross):
    """The cross layers' output beside the deep network's."""

    def __init__(self, recipe: RankingRecipe, width: int, user: int) -> None:
        super().__init__()
        self.width = width + recipe.hidden // 2
        self.layers = nn.ModuleList(CrossLayer(width, recipe.cross_rank) for _ in range(recipe.cross_layers))
        self.drop = nn.Dropout(recipe.dropout)
        self.deep = deep(width, recipe.hidden, recipe.dropout)

    def forward(self, pairs: Pairs) -> Tensor:
        """[R, C, width]."""
        x = pairs.everything
        for layer in self.layers:
            x = layer(pairs.everything, x)
        return torch.cat([self.drop(x), self.deep(pairs.everything)], dim=-1)
