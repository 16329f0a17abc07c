"""What encoders that attend share: who sees whom, the heads, and the blocks one after another."""

from collections.abc import Iterable
from typing import ClassVar

import torch
from torch import Tensor, nn

from training.retrieval.encoders.base import Encoder

_MASKED = -1e9


def visible(known_BL: Tensor) -> Tensor:
    """bool [B, L, L]: query i sees key j if j is not later and no padding; every place sees itself."""
    place = torch.arange(known_BL.shape[1], device=known_BL.device)
    visible_LL = place[None, :] <= place[:, None]
    itself_LL = place[None, :] == place[:, None]
    return torch.as_tensor((visible_LL & known_BL[:, None, :]) | itself_LL)


def heads_first(x_BLD: Tensor, heads: int) -> Tensor:
    """[B, L, D] as [B, heads, L, D / heads]."""
    batch, length, dim = x_BLD.shape
    return x_BLD.view(batch, length, heads, dim // heads).transpose(1, 2)


def heads_joined(x_BHLD: Tensor) -> Tensor:
    """Back from heads_first."""
    return x_BHLD.transpose(1, 2).flatten(2)


class AttendingBlock(nn.Module):
    """What blocks with softmax attention share: the norm before it, its projections, and the attention itself."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention = nn.LayerNorm(dim)
        self.query = nn.Linear(dim, dim)
        self.key_value = nn.Linear(dim, 2 * dim)
        self.mixed = nn.Linear(dim, dim)

    def attend(self, x_BLD: Tensor, bias_BLL: Tensor, last_only: bool) -> tuple[Tensor, Tensor]:
        """The places that ask, [B, L, D] (or [B, 1, D] with last_only), and what each of them gathers.

        bias_BLL [B, L, L] (or [B, 1, L] with last_only) is added to the attention of query to key.
        """
        normed = self.before_attention(x_BLD)
        if last_only:
            x_BLD, asking = x_BLD[:, -1:], normed[:, -1:]
        else:
            asking = normed
        query = heads_first(self.query(asking), self.heads)
        key, value = (heads_first(part, self.heads) for part in self.key_value(normed).chunk(2, dim=-1))
        mixed = nn.functional.scaled_dot_product_attention(query, key, value, bias_BLL[:, None])
        return x_BLD, self.mixed(heads_joined(mixed))


class AttendingEncoder(Encoder):
    """Blocks and a last norm. A block is called with x [B, L, D], who sees whom, and whether the newest asks alone."""

    positional: ClassVar[bool] = True

    def __init__(self, dim: int, blocks: Iterable[nn.Module]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.last_norm = nn.LayerNorm(dim)

    def forward(self, x_BLD: Tensor, known_BL: Tensor, last_only: bool = False) -> Tensor:
        """As Encoder.forward; with last_only the last block asks for the newest place alone."""
        sight_BLL = self.sight(known_BL)
        for i, block in enumerate(self.blocks):
            newest_only = last_only and i == len(self.blocks) - 1
            x_BLD = block(x_BLD, sight_BLL[:, -1:] if newest_only else sight_BLL, newest_only)
        x_BLD = self.last_norm(x_BLD)
        return torch.as_tensor(x_BLD[:, -1] if last_only else x_BLD)

    def sight(self, known_BL: Tensor) -> Tensor:
        """Who sees whom [B, L, L], as the blocks take it: what is added to the attention."""
        return torch.where(visible(known_BL), 0.0, _MASKED)
