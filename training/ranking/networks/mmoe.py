"""Experts shared by the outputs, and a gate an output that mixes them: outputs that disagree need not share.

Ma et al., Modeling Task Relationships in Multi-task Learning with Multi-gate Mixture-of-Experts, KDD 2018.
"""

import torch
from torch import Tensor, nn

from training.ranking.recipe import RankingRecipe


class MmoeHeads(nn.Module):
    """Each expert is one layer of hidden / 2; the heads start at zero, as the shared ones do."""

    def __init__(self, recipe: RankingRecipe, width: int, outputs: int) -> None:
        super().__init__()
        self.shape = (recipe.experts, recipe.hidden // 2)
        self.experts = nn.Linear(width, recipe.experts * (recipe.hidden // 2))
        self.gates = nn.Linear(width, outputs * recipe.experts)
        self.head = nn.Parameter(torch.zeros(outputs, recipe.hidden // 2))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """[..., width] to [..., outputs]."""
        experts = self.experts(x).relu().reshape(*x.shape[:-1], *self.shape)
        gates = self.gates(x).reshape(*x.shape[:-1], -1, self.shape[0]).softmax(dim=-1)
        return torch.as_tensor(((gates @ experts) * self.head).sum(dim=-1) + self.bias)
