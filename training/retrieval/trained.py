"""A trained retrieval, in process: the model that ranking trains on, and what a bundle is written from."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from penchant.bundle import ModelSpec
from penchant.ids import keys
from penchant.item_table import ItemChange
from penchant.retrieval import CoVisitation, RetrievalModel, RetrievalSettings, exact_search
from penchant.retrieval.index import HNSW_FROM
from penchant.types import Keys, Matrix, Rows, Vector
from training.catalogue import Catalogue
from training.content.encoders.trained import write_encoders_of
from training.content.item_map import ItemMap
from training.evaluation.protocol import TENANT
from training.retrieval.export import export_user_tower, write_index
from training.retrieval.popular import Popularity
from training.retrieval.recipe import RetrievalRecipe
from training.retrieval.sequences import Sequences, newest
from training.retrieval.tower import ServedUserTower, Towers
from training.retrieval.weights import TowerWeights

Export = Callable[[Towers, NDArray[np.int64], Path], ModelSpec]
_BATCH = 256
_UNMET = 4096


@dataclass(frozen=True)
class TrainedRetrieval:
    """Everything a bundle's retrieval needs. The towers do not change any more: what follows from them is kept."""

    recipe: RetrievalRecipe
    catalogue: Catalogue
    towers: Towers
    histories: Sequences
    """What it was trained on."""
    user_ids: list[str]
    co_visitation: CoVisitation
    popularity: Popularity
    fresh: Rows
    neighbours: Rows
    item_map: ItemMap
    """Where items stand that nobody met."""
    settings: RetrievalSettings = field(default_factory=RetrievalSettings)
    losses: Vector = field(default_factory=lambda: np.zeros(0, np.float32))
    """Of each step of its training."""

    def with_settings(self, settings: RetrievalSettings) -> "TrainedRetrieval":
        """The same model with another blend."""
        return replace(self, settings=settings)

    @cached_property
    def _served(self) -> ServedUserTower:
        return ServedUserTower(self.towers).eval()

    @property
    def weights(self) -> TowerWeights:
        """What a later training starts from."""
        state = {name: value.numpy().copy() for name, value in self.towers.state_dict().items()}
        return TowerWeights(state, self.catalogue.keys, self.towers.has_id[:, 0].numpy() > 0)

    @cached_property
    def embeddings(self) -> Matrix:
        """Item embeddings float32 [N+1, D]; row 0 is zeros. Items that nobody met stand where the item tower says."""
        vectors: Matrix = self._served.vectors.numpy().copy()
        unmet = np.flatnonzero(self.towers.has_id[1:, 0].numpy() == 0) + 1
        for start in range(0, len(unmet), _UNMET):
            some = unmet[start : start + _UNMET]
            vectors[some] = self.item_map.placed(self.catalogue.written(some))
        return vectors

    def embed(self, changes: Sequence[ItemChange], content: Matrix) -> Matrix:
        """Embeddings [n, D] of items as they were written: the item tower, as a bundle's would give them."""
        return self.item_map.placed(change.attributes for change in changes)

    def user_vectors(self, history_rows: NDArray[np.int64]) -> Matrix:
        """User embeddings [B, D] of left-padded rows [B, L]."""
        filled = (history_rows > 0).sum(axis=1)
        order = np.argsort(filled, kind="stable")
        vectors = np.zeros((len(history_rows), self.recipe.dim), np.float32)
        with torch.no_grad():
            for start in range(0, len(order), _BATCH):
                some = order[start : start + _BATCH]
                # Leading padding is seen by nobody: leaving it out changes nothing but the time.
                width = max(int(filled[some].max()), 1)
                vectors[some] = self._served(torch.from_numpy(history_rows[some, -width:].copy())).numpy()
        return vectors

    def model(self, settings: RetrievalSettings | None = None) -> RetrievalModel:
        """The model as it is served, with the torch tower in process and exact search."""
        embeddings = self.embeddings
        user_keys, user_embeddings, _ = self.users
        settings = settings or self.settings
        return RetrievalModel(
            settings, self.recipe.history_length, embeddings, self.catalogue.content,
            self.co_visitation, self.popularity.rows, self.popularity.scores[-1],
            self.popularity.scores[settings.trend_window], self.fresh, self.neighbours, user_keys, user_embeddings,
            self.user_vectors, exact_search(embeddings),
        )  # fmt: skip

    @cached_property
    def users(self) -> tuple[Keys, Matrix, list[str]]:
        """Keys (ascending), embeddings and ids of every user with a history."""
        known = np.flatnonzero(self.histories.lengths > 0)
        user_keys = keys(TENANT, [self.user_ids[u] for u in known])
        order = np.argsort(user_keys, kind="stable")
        known = known[order]
        vectors = self.user_vectors(newest(self.histories, known, self.recipe.history_length))
        return user_keys[order], vectors, [self.user_ids[u] for u in known]

    def write(self, folder: Path, export: Export = export_user_tower) -> dict[str, ModelSpec]:
        """Write the retrieval/ and users/ files of a bundle folder; returns the specs of its models by name.

        export writes the user tower, as export_user_tower does. Raises BundleMismatch if an exported model differs
        from the trained one by more than 1e-4.
        """
        retrieval = folder / "retrieval"
        for part in (retrieval, folder / "users"):
            part.mkdir(parents=True, exist_ok=True)
        specs = {"user_tower": export(self.towers, self._golden_histories(), folder)}
        some = np.arange(1, self.catalogue.count + 1)[:100]
        content = self.item_map.reader.vectors(self.catalogue.written(some))
        write_encoders_of(self.item_map.reader, folder)
        specs["item_tower"] = self.item_map.write(folder, content[content.any(axis=1)])
        self.co_visitation.write(retrieval)
        np.save(retrieval / "popular.rows.npy", self.popularity.rows)
        np.save(retrieval / "popular.scores.npy", self.popularity.scores[-1])
        np.save(retrieval / "trend.scores.npy", self.popularity.scores[self.settings.trend_window])
        np.save(retrieval / "fresh.rows.npy", self.fresh)
        np.save(retrieval / "neighbours.rows.npy", self.neighbours)
        user_keys, vectors, ids = self.users
        np.save(folder / "users" / "keys.npy", user_keys)
        np.save(folder / "users" / "embeddings.npy", vectors)
        (folder / "users" / "ids.json").write_text(json.dumps(ids))
        if self.catalogue.count >= HNSW_FROM:
            write_index(self.embeddings, retrieval / "index.hnsw")
        return specs

    def _golden_histories(self, count: int = 8) -> NDArray[np.int64]:
        """Real histories of spread lengths, and one of a single item; two or more."""
        length = self.recipe.history_length
        single = np.zeros((2, length), np.int64)
        single[:, -1] = (min(1, self.catalogue.count), self.catalogue.count)
        known = np.flatnonzero(self.histories.lengths > 0)
        by_length = known[np.argsort(self.histories.lengths[known], kind="stable")]
        spread = by_length[np.unique(np.linspace(0, max(len(by_length) - 1, 0), count).astype(np.int64))[: len(known)]]
        return np.concatenate([newest(self.histories, spread, length), single])
