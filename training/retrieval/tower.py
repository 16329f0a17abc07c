"""The user tower, an encoder over the history, and the item vectors it shares with the catalogue."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from penchant.types import Matrix
from training.retrieval.encoders import encoder_type
from training.retrieval.recipe import RetrievalRecipe


class Towers(nn.Module):
    """Item vectors = id embedding + projected content; a user is the encoder's state after the newest item.

    score = <user, item>. Rows without events have no id embedding: their content speaks for them.
    """

    content: Tensor
    speaks: Tensor
    """bool [N+1, 1]: the row has content."""
    has_id: Tensor

    def __init__(self, recipe: RetrievalRecipe, content_NC: Tensor, has_id_N: Tensor) -> None:
        super().__init__()
        self.recipe = recipe
        self.register_buffer("content", content_NC, persistent=False)
        self.register_buffer("speaks", content_NC.any(dim=1, keepdim=True), persistent=False)
        self.register_buffer("has_id", has_id_N.float()[:, None], persistent=False)
        dim = recipe.dim
        self.ids_ND = nn.Parameter(torch.randn(len(content_NC), dim) * dim**-0.5 * 0.5)
        self.project = nn.Linear(content_NC.shape[1], dim, bias=False)
        nn.init.normal_(self.project.weight, std=dim**-0.5 * 0.2)
        encoder = encoder_type(recipe.encoder)
        if encoder.positional:
            self.positions_LD = nn.Parameter(torch.randn(recipe.history_length, dim) * 0.02)
        self.encoder = encoder(recipe)
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
        x_BLD = nn.functional.embedding(history_BL, vectors_ND) * self.recipe.dim**0.5
        if self.encoder.positional:
            # Positions count from the newest item, so that the place that is served is the best trained one.
            x_BLD = x_BLD + self.positions_LD[: history_BL.shape[1]].flip(0)
        return torch.as_tensor(self.encoder(self.drop(x_BLD), history_BL > 0, last_only))


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
