"""What encoders that attend share: who sees whom, and the heads."""

import torch
from torch import Tensor

_MASKED = -1e9


def visible(known_BL: Tensor) -> Tensor:
    """bool [B, L, L]: query i sees key j if j is not later and no padding; every place sees itself."""
    place = torch.arange(known_BL.shape[1], device=known_BL.device)
    visible_LL = place[None, :] <= place[:, None]
    itself_LL = place[None, :] == place[:, None]
    return torch.as_tensor((visible_LL & known_BL[:, None, :]) | itself_LL)


def as_bias(visible_BLL: Tensor) -> Tensor:
    """What is added to the attention: nothing to what is visible, and minus everything to the rest."""
    return torch.where(visible_BLL, 0.0, _MASKED)


def heads_first(x_BLD: Tensor, heads: int) -> Tensor:
    """[B, L, D] as [B, heads, L, D / heads]."""
    batch, length, dim = x_BLD.shape
    return x_BLD.view(batch, length, heads, dim // heads).transpose(1, 2)


def heads_joined(x_BHLD: Tensor) -> Tensor:
    """Back from heads_first."""
    return x_BHLD.transpose(1, 2).flatten(2)
