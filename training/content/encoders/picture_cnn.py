"""A convolutional network over a small picture."""

from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from training.content.encoders.base import MediaEncoder

_CHANNELS = (3, 24, 48, 96)
_SHIFT = 2


class PictureCnn(MediaEncoder):
    """Three strided convolutions with batch norm, then the means of four quarters and the maximum."""

    medium: ClassVar[str] = "picture"

    def __init__(self, dim: int) -> None:
        super().__init__(dim)
        layers: list[nn.Module] = []
        for i, (before, after) in enumerate(pairwise(_CHANNELS)):
            size = 5 if i == 0 else 3
            layers += [nn.Conv2d(before, after, size, 2, size // 2, bias=False), nn.BatchNorm2d(after), nn.GELU()]
        self.layers = nn.Sequential(*layers)
        self.out = nn.Sequential(nn.Dropout(0.2), nn.Linear(5 * _CHANNELS[-1], dim))

    def forward(self, raw: Tensor) -> Tensor:
        """raw uint8 [B, height, width, 3]."""
        found: Tensor = self.layers((raw.float() / 127.5 - 1.0).permute(0, 3, 1, 2))
        quarters = nn.functional.avg_pool2d(found, found.shape[2] // 2).flatten(1)
        return torch.as_tensor(self.out(torch.cat([quarters, found.amax(dim=(2, 3))], dim=1)))

    def varied(self, raw: Tensor) -> Tensor:
        """Moved by up to two pixels, the edge drawn out; a little lighter or darker."""
        down, right = torch.randint(-_SHIFT, _SHIFT + 1, (2,)).tolist()
        rows = (torch.arange(raw.shape[1]) + down).clamp(0, raw.shape[1] - 1)
        columns = (torch.arange(raw.shape[2]) + right).clamp(0, raw.shape[2] - 1)
        light = 12.0 * torch.randn(len(raw), 1, 1, 1)
        return (raw[:, rows][:, :, columns].float() + light).clamp(0, 255)
