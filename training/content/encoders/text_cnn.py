"""A convolutional network over words."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from training.content.encoders.words import WordsEncoder

_WIDTH = 48
_FILTERS = 64
_SPANS = (1, 2, 3)


class TextCnn(WordsEncoder):
    """Filters over one, two and three words, each by where it answers most (Kim, EMNLP 2014)."""

    medium: ClassVar[str] = "words"

    def __init__(self, dim: int) -> None:
        super().__init__(dim, _WIDTH)
        self.filters = nn.ModuleList(nn.Conv1d(_WIDTH, _FILTERS, span) for span in _SPANS)
        self.out = nn.Sequential(nn.Dropout(0.3), nn.Linear(len(_SPANS) * _FILTERS, dim))

    def forward(self, raw: Tensor) -> Tensor:
        """raw int64 [B, words]."""
        said = self.words(raw).transpose(1, 2)
        found = [nn.functional.gelu(layer(said)).amax(dim=2) for layer in self.filters]
        return torch.as_tensor(self.out(torch.cat(found, dim=1)))
