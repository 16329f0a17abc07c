"""A two-tower model: the history's decayed mean beside the newest item, through a multi-layer perceptron.

Huang et al., CIKM 2013 (DSSM) made towers of perceptrons; Yi et al., RecSys 2019 train them with a corrected softmax.
"""

import torch
from torch import Tensor, nn

from training.retrieval.encoders.base import Encoder
from training.retrieval.encoders.perceptron import perceptron, perceptron_multiplications
from training.retrieval.recipe import RetrievalRecipe

_HALF_LIFE = 8.0
"""Items, where it begins; it is learned."""


class TwoTowerEncoder(Encoder):
    """recipe.blocks hidden layers over what was and what is."""

    def __init__(self, recipe: RetrievalRecipe) -> None:
        super().__init__()
        self.log_half_life = nn.Parameter(torch.tensor(_HALF_LIFE).log())
        self.layers = perceptron(2 * recipe.dim, recipe.dim, recipe.blocks, recipe.dropout)

    def forward(self, x_BLD: Tensor, known_BL: Tensor, last_only: bool = False) -> Tensor:
        """As Encoder.forward."""
        length = x_BLD.shape[1]
        asking = 1 if last_only else length
        place = torch.arange(length, device=x_BLD.device)
        back = place[length - asking :, None] - place[None, :]
        decay = torch.exp2(-back.clamp(min=0) * torch.exp(-self.log_half_life)) * (back >= 0)
        weights = decay * known_BL[:, None, :]
        mean = (weights @ x_BLD) / weights.sum(dim=2, keepdim=True).clamp(min=1e-6)
        states = self.layers(torch.cat([mean, x_BLD[:, length - asking :]], dim=2))
        return torch.as_tensor(states[:, 0] if last_only else states)

    @staticmethod
    def multiplications(recipe: RetrievalRecipe) -> int:
        """The mean over the whole window, and the layers."""
        layers = perceptron_multiplications(2 * recipe.dim, recipe.dim, recipe.blocks)
        return recipe.history_length * recipe.dim + layers
