"""What the encoders of texts share: embedded words, of which a step of training leaves some out."""

import torch
from torch import Tensor, nn

from penchant.media import VOCABULARY
from training.content.encoders.base import MediaEncoder

_LEFT_OUT = 0.15


class WordsEncoder(MediaEncoder):
    """Words that no text of training had are embedded as nothing at all."""

    def __init__(self, dim: int, width: int) -> None:
        super().__init__(dim)
        self.words = nn.Embedding(VOCABULARY, width, padding_idx=0)
        nn.init.normal_(self.words.weight, std=width**-0.5)
        with torch.no_grad():
            self.words.weight[0] = 0.0

    def forget_unseen(self, raw: Tensor) -> None:
        """Take the random start from words that these texts do not have."""
        unseen = torch.ones(VOCABULARY, dtype=torch.bool)
        unseen[raw.flatten()] = False
        with torch.no_grad():
            self.words.weight[unseen] = 0.0

    def varied(self, raw: Tensor) -> Tensor:
        """Without some of the words."""
        return raw.masked_fill(torch.rand(raw.shape) < _LEFT_OUT, 0)
