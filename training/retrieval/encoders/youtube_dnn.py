"""YouTube DNN: the mean of the history through a multi-layer perceptron. Covington, Adams and Sargin, RecSys 2016."""

import torch
from torch import Tensor

from training.retrieval.encoders.base import Encoder
from training.retrieval.encoders.perceptron import perceptron, perceptron_multiplications
from training.retrieval.recipe import RetrievalRecipe


class YoutubeDnnEncoder(Encoder):
    """recipe.blocks hidden layers over the mean. It does not know what came last, and so is the floor for what does."""

    def __init__(self, recipe: RetrievalRecipe) -> None:
        super().__init__()
        self.layers = perceptron(recipe.dim, recipe.dim, recipe.blocks, recipe.dropout)

    def forward(self, x_BLD: Tensor, known_BL: Tensor, last_only: bool = False) -> Tensor:
        """As Encoder.forward."""
        known_BL1 = known_BL[:, :, None].to(x_BLD.dtype)
        known_x = x_BLD * known_BL1
        if last_only:
            mean = known_x.sum(dim=1) / known_BL1.sum(dim=1).clamp(min=1.0)
        else:
            mean = known_x.cumsum(dim=1) / known_BL1.cumsum(dim=1).clamp(min=1.0)
        return torch.as_tensor(self.layers(mean))

    @staticmethod
    def multiplications(recipe: RetrievalRecipe) -> int:
        """The layers; the mean costs nothing."""
        return perceptron_multiplications(recipe.dim, recipe.dim, recipe.blocks)
