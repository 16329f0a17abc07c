"""NextItNet: dilated causal convolutions. Yuan et al., WSDM 2019 (A Simple Convolutional Generative Network)."""

import torch
from torch import Tensor, nn

from training.retrieval.encoders.base import Encoder
from training.retrieval.recipe import RetrievalRecipe

_KERNEL = 3
_CYCLE = 3
"""Blocks after which dilations begin again at 1; three see 127 places together."""


class CausalConvolution(nn.Module):
    """A convolution over a place and earlier ones, a norm and a ReLU."""

    def __init__(self, dim: int, dilation: int) -> None:
        super().__init__()
        self.reach = (_KERNEL - 1) * dilation
        self.convolve = nn.Conv1d(dim, dim, _KERNEL, dilation=dilation)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x_BLD: Tensor, known_BL1: Tensor) -> Tensor:
        """Padding counts as zeros, which is what stands before every history."""
        x_BDL = (x_BLD * known_BL1).transpose(1, 2)
        convolved = self.convolve(nn.functional.pad(x_BDL, (self.reach, 0)))
        return nn.functional.relu(self.norm(convolved.transpose(1, 2)))


class NextItNetEncoder(Encoder):
    """Residual blocks of two convolutions, dilated by 1 and 2, 4 and 8, 16 and 32, 1 and 2, ...; and a projection."""

    def __init__(self, recipe: RetrievalRecipe) -> None:
        super().__init__()
        dim = recipe.dim
        dilations = [4 ** (i % _CYCLE) for i in range(recipe.blocks)]
        self.first = nn.ModuleList(CausalConvolution(dim, dilation) for dilation in dilations)
        self.second = nn.ModuleList(CausalConvolution(dim, 2 * dilation) for dilation in dilations)
        self.project = nn.Linear(dim, dim)
        self.drop = nn.Dropout(recipe.dropout)

    def forward(self, x_BLD: Tensor, known_BL: Tensor, last_only: bool = False) -> Tensor:
        """As Encoder.forward."""
        known_BL1 = known_BL[:, :, None].to(x_BLD.dtype)
        for first, second in zip(self.first, self.second, strict=True):
            x_BLD = x_BLD + self.drop(second(first(x_BLD, known_BL1), known_BL1))
        return torch.as_tensor(self.project(x_BLD[:, -1] if last_only else x_BLD))

    @staticmethod
    def multiplications(recipe: RetrievalRecipe) -> int:
        """Two convolutions a block, and the projection."""
        return (2 * _KERNEL * recipe.blocks + 1) * recipe.dim**2
