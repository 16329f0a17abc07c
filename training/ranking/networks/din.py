"""DIN's activation unit: a small network says how much each event matters to the candidate, and the sum is not a mean.

Zhou et al., Deep Interest Network, KDD 2018. Dice is left out: it standardises over the batch, so that candidates
would change one another's scores; PReLU stands for it.
"""

import torch
from torch import Tensor, nn

from training.ranking.networks.history import History, Past
from training.ranking.recipe import RankingRecipe

_UNITS = 16


class DinAttention(History):
    """The unit reads event, candidate and their product. Its first layer is linear in each, so the event's part is
    computed once a request and the product's is a matrix product a unit."""

    def __init__(self, recipe: RankingRecipe) -> None:
        super().__init__()
        dim = recipe.dim
        self.width = 2 * dim
        self.user_width = dim
        self.of_event = nn.Linear(dim, _UNITS)
        self.of_candidate = nn.Linear(dim, _UNITS, bias=False)
        self.of_product = nn.Parameter(torch.randn(_UNITS, dim) / dim**0.5)
        self.bend = nn.PReLU()
        self.out = nn.Linear(_UNITS, 1)

    def encode(self, seen: Tensor, known: Tensor) -> Past:
        """The event's part of the unit, and the events."""
        return Past(self.of_event(seen), seen, known)

    def read(self, past: Past, mine: Tensor) -> tuple[Tensor, ...]:
        """The events added up by weight, and that times the candidate."""
        asked = mine[:, :, None, :] * self.of_product
        product = asked @ past.values.transpose(1, 2)[:, None]
        hidden = product + past.keys.transpose(1, 2)[:, None] + self.of_candidate(mine)[..., None]
        weight = ((self.out.weight @ self.bend(hidden))[:, :, 0] + self.out.bias) * past.known
        attended = weight @ past.values
        return attended, mine * attended
