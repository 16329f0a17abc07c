"""A convolutional network over the spectrogram of a sound."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from penchant.media import SOUND
from training.content.encoders.base import MediaEncoder

_CHANNELS = 96
_BANDS_LEFT_OUT = 3


class SoundCnn(MediaEncoder):
    """Convolutions over time, the bands as channels since pitch matters; then mean and maximum over time."""

    medium: ClassVar[str] = "sound"

    def __init__(self, dim: int) -> None:
        super().__init__(dim)
        layers: list[nn.Module] = []
        for before, stride in ((SOUND[1], 1), (_CHANNELS, 2), (_CHANNELS, 2)):
            layers += [nn.Conv1d(before, _CHANNELS, 5, stride, 2, bias=False), nn.BatchNorm1d(_CHANNELS), nn.GELU()]
        self.layers = nn.Sequential(*layers)
        self.out = nn.Sequential(nn.Dropout(0.2), nn.Linear(2 * _CHANNELS, dim))

    def forward(self, raw: Tensor) -> Tensor:
        """raw uint8 [B, spectra, bands]."""
        found: Tensor = self.layers((raw.float() / 127.5 - 1.0).transpose(1, 2))
        return torch.as_tensor(self.out(torch.cat([found.mean(dim=2), found.amax(dim=2)], dim=1)))

    def varied(self, raw: Tensor) -> Tensor:
        """Begun anywhere, and some bands silenced (SpecAugment, Park et al. 2019)."""
        raw = raw.roll(int(torch.randint(raw.shape[1], ()).item()), dims=1).clone()
        first = int(torch.randint(raw.shape[2] - _BANDS_LEFT_OUT, ()).item())
        raw[:, :, first : first + int(torch.randint(_BANDS_LEFT_OUT + 1, ()).item())] = 0
        return raw
