"""A transformer over words."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from penchant.media import WORDS
from training.content.encoders.words import WordsEncoder

_WIDTH = 48
_HEADS = 4
_LAYERS = 2
_MASKED = -1e9


class TextTransformer(WordsEncoder):
    """Two encoder layers, the norm first (Vaswani et al. 2017; Xiong et al. 2020); then the mean over the words."""

    medium: ClassVar[str] = "words"

    def __init__(self, dim: int) -> None:
        super().__init__(dim, _WIDTH)
        self.places = nn.Parameter(0.02 * torch.randn(WORDS, _WIDTH))
        self.layers = nn.ModuleList(_Layer() for _ in range(_LAYERS))
        self.norm = nn.LayerNorm(_WIDTH)
        self.out = nn.Sequential(nn.Dropout(0.2), nn.Linear(_WIDTH, dim))

    def forward(self, raw: Tensor) -> Tensor:
        """raw int64 [B, words]."""
        said = (raw > 0).float()
        bias = (1.0 - said)[:, None, None, :] * _MASKED
        x = self.words(raw) + self.places
        for layer in self.layers:
            x = layer(x, bias)
        mean = (self.norm(x) * said[:, :, None]).sum(dim=1) / said.sum(dim=1, keepdim=True).clamp(min=1.0)
        return torch.as_tensor(self.out(mean))


class _Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.before_attention, self.before_bend = nn.LayerNorm(_WIDTH), nn.LayerNorm(_WIDTH)
        self.asked = nn.Linear(_WIDTH, 3 * _WIDTH)
        self.mixed = nn.Linear(_WIDTH, _WIDTH)
        self.bend = nn.Sequential(nn.Linear(_WIDTH, 2 * _WIDTH), nn.GELU(), nn.Linear(2 * _WIDTH, _WIDTH))
        self.drop = nn.Dropout(0.1)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """x [B, L, width]; bias [B, 1, 1, L] is added to the attention."""
        parts = self.asked(self.before_attention(x)).chunk(3, dim=-1)
        query, key, value = (part.unflatten(-1, (_HEADS, -1)).transpose(1, 2) for part in parts)
        attended = nn.functional.scaled_dot_product_attention(query, key, value, bias)
        x = x + self.drop(self.mixed(attended.transpose(1, 2).flatten(2)))
        return torch.as_tensor(x + self.drop(self.bend(self.before_bend(x))))
