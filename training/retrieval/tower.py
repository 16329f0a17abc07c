"""The user tower, a causal transformer over the history, and the item vectors it shares with the catalogue."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from penchant.types import Matrix
from training.retrieval.recipe import RetrievalRecipe

_MASKED = -1e9


class Block(nn.Module):
    """Pre-norm attention and feed-forward, each added to its input."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention = nn.LayerNorm(dim)
        self.query = nn.Linear(dim, dim)
        self.key_value = nn.Linear(dim, 2 * dim)
        self.mixed = nn.Linear(dim, dim)
        self.before_feed = nn.LayerNorm(dim)
        self.feed = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))
        self.drop = nn.Dropout(dropout)

    def forward(self, x_BLD: Tensor, bias_BLL: Tensor, last_only: bool = False) -> Tensor:
        """bias_BLL [B, L, L] (or [B, 1, L] with last_only) is added to the attention of query to key."""
        normed = self.before_attention(x_BLD)
        if last_only:
            x_BLD, asking = x_BLD[:, -1:], normed[:, -1:]
        else:
            asking = normed
        query = self._split(self.query(asking))
        key, value = (self._split(part) for part in self.key_value(normed).chunk(2, dim=-1))
        mixed = nn.functional.scaled_dot_product_attention(query, key, value, bias_BLL[:, None])
        x_BLD = x_BLD + self.drop(self.mixed(mixed.transpose(1, 2).flatten(2)))
        return torch.as_tensor(x_BLD + self.drop(self.feed(self.before_feed(x_BLD))))

    def _split(self, x_BLD: Tensor) -> Tensor:
        batch, length, dim = x_BLD.shape
        return x_BLD.view(batch, length, self.heads, dim // self.heads).transpose(1, 2)


class Towers(nn.Module):
    """Item vectors = id embedding + projected content; a user is the transformer's state after the newest item.

    score = <user, item>. Rows without events have no id embedding: their content speaks for them.
    """

    content: Tensor
    has_id: Tensor

    def __init__(self, recipe: RetrievalRecipe, content_NC: Tensor, has_id_N: Tensor) -> None:
        super().__init__()
        self.recipe = recipe
        self.register_buffer("content", content_NC, persistent=False)
        self.register_buffer("has_id", has_id_N.float()[:, None], persistent=False)
        dim = recipe.dim
        self.ids_ND = nn.Parameter(torch.randn(len(content_NC), dim) * dim**-0.5 * 0.5)
        self.project = nn.Linear(content_NC.shape[1], dim, bias=False)
        nn.init.normal_(self.project.weight, std=dim**-0.5 * 0.2)
        self.positions_LD = nn.Parameter(torch.randn(recipe.history_length, dim) * 0.02)
        self.blocks = nn.ModuleList(Block(dim, recipe.heads, recipe.dropout) for _ in range(recipe.blocks))
        self.last_norm = nn.LayerNorm(dim)
        self.drop = nn.Dropout(recipe.dropout)

    def start_ids(self, vectors_ND: Matrix) -> None:
        """Take over vectors as ids, scaled to the spread of the random ones; rows of zeros keep their random ids."""
        known = vectors_ND.any(axis=1)
        if not known.any():
            return
        scale = float(self.ids_ND.detach().std()) / max(float(vectors_ND[known].std()), 1e-9)
        with torch.no_grad():
            self.ids_ND[torch.from_numpy(known)] = torch.from_numpy(vectors_ND[known] * scale)

    def forget_ids(self, rows_N: NDArray[np.bool_]) -> None:
        """Let the content of these rows speak alone, until their ids are trained."""
        with torch.no_grad():
            self.ids_ND[torch.from_numpy(rows_N)] = 0.0

    def item_vectors(self, keep_id_N: Tensor | None = None, rows_R: Tensor | None = None) -> Tensor:
        """Vectors [N+1, D], or of some rows [R, D]; row 0 is zeros. keep_id_N [N+1, 1] says whose id counts: 0 or 1."""
        weight = self.has_id if keep_id_N is None else self.has_id * keep_id_N
        if rows_R is None:
            return torch.as_tensor(self.ids_ND * weight + self.project(self.content))
        return torch.as_tensor(self.ids_ND[rows_R] * weight[rows_R] + self.project(self.content[rows_R]))

    def encode(self, history_BL: Tensor, vectors_ND: Tensor, last_only: bool = False) -> Tensor:
        """States [B, L, D] after each place of the left-padded rows; [B, D] of the newest with last_only."""
        length = history_BL.shape[1]
        x_BLD = nn.functional.embedding(history_BL, vectors_ND) * self.recipe.dim**0.5
        # Positions count from the newest item, so that the place that is served is the best trained one.
        x_BLD = self.drop(x_BLD + self.positions_LD[:length].flip(0))
        place = torch.arange(length)
        visible_LL = place[None, :] <= place[:, None]
        itself_LL = place[None, :] == place[:, None]
        visible_BLL = (visible_LL & (history_BL > 0)[:, None, :]) | itself_LL
        bias_BLL = torch.where(visible_BLL, 0.0, _MASKED)
        for i, block in enumerate(self.blocks):
            newest_only = last_only and i == len(self.blocks) - 1
            x_BLD = block(x_BLD, bias_BLL[:, -1:] if newest_only else bias_BLL, newest_only)
        x_BLD = self.last_norm(x_BLD)
        return torch.as_tensor(x_BLD[:, 0] if last_only else x_BLD)


class ServedUserTower(nn.Module):
    """What is exported: history_rows int64 [B, L] to user embeddings [B, D], the item vectors frozen inside."""

    vectors: Tensor

    def __init__(self, towers: Towers) -> None:
        super().__init__()
        self.towers = towers
        self.register_buffer("vectors", towers.item_vectors().detach().clone())

    def forward(self, history_rows: Tensor) -> Tensor:
        """The newest place's state."""
        return self.towers.encode(history_rows, self.vectors, last_only=True)


class ServedItemTower(nn.Module):
    """What is exported: content [B, C] to item embeddings [B, D], for items written after training."""

    def __init__(self, towers: Towers) -> None:
        super().__init__()
        self.project = towers.project

    def forward(self, content: Tensor) -> Tensor:
        """The projected content."""
        return torch.as_tensor(self.project(content))
