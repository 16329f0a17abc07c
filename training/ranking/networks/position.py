"""What the place on a slate does to an act, learned beside the ranker from what was shown and left out of what serves.

Who is shown an item further down may not look at it, so a slate's lower items seem worse than they are. "additive" adds
a log-odds a place and task; "examined" takes an act for one that needs a look first and multiplies by its chance:
Guo et al., PAL, RecSys 2019. The first place is where both are nothing, and so is what serves: a probability as if
the item were shown on top, which calibration then brings to the places it was shown at.
"""

import torch
from torch import Tensor, nn

PLACES = 50
"""Places further down are one."""
_LOOKED = -3.0
"""Before training a look is all but sure."""


class PositionBias(nn.Module):
    """One number a place, from the second on, and task."""

    def __init__(self, kind: str, tasks: int) -> None:
        super().__init__()
        self.examined = kind == "examined"
        self.places = nn.Parameter(torch.full((PLACES - 1, tasks), _LOOKED if self.examined else 0.0))

    def forward(self, logits: Tensor, positions: Tensor) -> Tensor:
        """Logits [R, C, T] as they are observed at positions [R, C]; -1 is no place, where they stay as they are."""
        table = nn.functional.pad(self.effect(), (0, 0, 1, 0))
        effect = table[positions.clamp(0, PLACES - 1)]
        if not self.examined:
            return logits + effect * (positions >= 0)[..., None]
        both = effect + nn.functional.logsigmoid(logits)
        seen = both - torch.log(-torch.expm1(both.clamp(max=-1e-6)))
        return torch.where((positions > 0)[..., None], seen, logits)

    def effect(self) -> Tensor:
        """[PLACES - 1, T] from the second place on: log-odds added, or the log of the chance of a look."""
        return -nn.functional.softplus(self.places) if self.examined else self.places
