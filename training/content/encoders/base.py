"""What an encoder of items' media is: raw input to the vector that training would give the item."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn


class MediaEncoder(nn.Module, ABC):
    """Raw input, as penchant.media makes it, to predicted item vectors [B, D]."""

    medium: ClassVar[str]
    """picture, sound or words."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    @abstractmethod
    def forward(self, raw: Tensor) -> Tensor:
        """[B, D] of raw [B, ...]."""

    @abstractmethod
    def varied(self, raw: Tensor) -> Tensor:
        """The same content, as a step of training may see it: moved a little, or with a part left out."""
