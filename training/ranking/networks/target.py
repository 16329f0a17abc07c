"""Target attention as a dot product: what DIN does, with the history's part a matrix that is ready before candidates.

Zhou et al., Deep Interest Network, KDD 2018, with the attention of Vaswani et al., NeurIPS 2017.
"""

from torch import Tensor, nn

from training.ranking.networks.history import MASKED, History, Past
from training.ranking.recipe import RankingRecipe


class TargetAttention(History):
    """A softmax over the events; and how close the closest one is."""

    def __init__(self, recipe: RankingRecipe) -> None:
        super().__init__()
        self.dim = recipe.dim
        self.width = 2 * recipe.dim + 1
        self.user_width = recipe.dim
        self.asks = nn.Linear(recipe.dim, recipe.dim)
        self.keys = nn.Linear(recipe.dim, recipe.dim)

    def encode(self, seen: Tensor, known: Tensor) -> Past:
        """Keys of the events, and the events."""
        return Past(self.keys(seen), seen, known)

    def read(self, past: Past, mine: Tensor) -> tuple[Tensor, ...]:
        """The attended event, its product with the candidate, and the largest affinity (0 at least, unless full)."""
        affinity = self.asks(mine) @ past.keys.transpose(1, 2) / self.dim**0.5
        weight = affinity.masked_fill(~past.known, MASKED).softmax(dim=-1) * past.known.any(dim=-1, keepdim=True)
        attended = weight @ past.values
        closest = affinity.masked_fill(~past.known, 0.0).amax(dim=-1, keepdim=True)
        return attended, mine * attended, closest
