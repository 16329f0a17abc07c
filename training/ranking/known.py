"""What the ranker knows of an item: its first-stage embedding, its content and its numbers, by row."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from penchant.item_table import Embed, ItemChange
from penchant.types import Keys, Matrix
from training.catalogue import Catalogue
from training.retrieval.trained import TrainedRetrieval


class ItemKnowledge:
    """Known vectors of one stage's items, and of any later catalogue's by key.

    The embedding is unit length, so only its direction is read. An item that the stage did not have gets that of
    its item tower, as one written to the running system does.
    """

    def __init__(
        self, keys: Keys, embeddings: Matrix, embed: Embed, numbers: Mapping[str, tuple[float, float]]
    ) -> None:
        """keys and embeddings of the stage's rows; embed is its item tower.

        numbers: mean and spread by which numeric attributes are standardised; those that are not named are left out.
        """
        self.keys = keys
        self.numbers = dict(numbers)
        self._embeddings = embeddings
        self._embed = embed

    @classmethod
    def of(cls, stage: TrainedRetrieval) -> "ItemKnowledge":
        """Of a trained stage; numbers are standardised over its items."""
        numbers = {
            name: (float(np.nanmean(values)), float(np.nanstd(values)) + 1e-6)
            for name, values in stage.catalogue.numeric.items()
            if (~np.isnan(values)).any()
        }
        return cls(stage.catalogue.keys, stage.embeddings, stage.embed, numbers)

    def vectors(self, catalogue: Catalogue) -> Matrix:
        """Known vectors float32 [N+1, K] of a catalogue's rows; row 0 is zeros."""
        mine = self.keys[1:]
        place = np.minimum(np.searchsorted(mine, catalogue.keys), max(len(mine) - 1, 0))
        there = (mine[place] == catalogue.keys) if len(mine) else np.zeros(len(catalogue.keys), np.bool_)
        embeddings = np.zeros((len(catalogue.keys), self._embeddings.shape[1]), np.float32)
        embeddings[there] = self._embeddings[place[there] + 1]
        away = np.flatnonzero(~there[1:]) + 1
        if len(away):
            changes = [ItemChange(0, 0, "", attributes=said) for said in catalogue.written(away)]
            embeddings[away] = self._embed(changes, catalogue.content[away])
        norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
        columns: list[NDArray[np.floating]] = [embeddings / (norms + 1e-9), catalogue.content]
        for name, (mean, spread) in self.numbers.items():
            given = catalogue.numeric.get(name)
            values = np.full(len(catalogue.keys), np.nan) if given is None else (given - mean) / spread
            present = ~np.isnan(values)
            columns += [np.where(present, np.clip(values, -5, 5), 0.0)[:, None], present[:, None].astype(np.float32)]
        vectors = np.concatenate(columns, axis=1).astype(np.float32)
        vectors[0] = 0.0
        return vectors
