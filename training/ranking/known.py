"""What the ranker knows of an item: its first-stage embedding, its content and its numbers, by row."""

import numpy as np
import torch
from numpy.typing import NDArray

from penchant.types import Matrix
from training.catalogue import Catalogue
from training.retrieval.trained import TrainedRetrieval


class ItemKnowledge:
    """Known vectors of the first stage's items, and of any later catalogue's by key.

    The embedding is unit length, so only its direction is read. An item that the first stage did not have gets its
    content's embedding, as one written to the running system does. Numbers are standardised over the first stage.
    """

    def __init__(self, stage: TrainedRetrieval) -> None:
        self.keys = stage.catalogue.keys
        self._stage = stage
        self._embeddings = stage.embeddings
        self._scale = {
            name: (float(np.nanmean(values)), float(np.nanstd(values)) + 1e-6)
            for name, values in stage.catalogue.numeric.items()
            if (~np.isnan(values)).any()
        }

    def vectors(self, catalogue: Catalogue) -> Matrix:
        """Known vectors float32 [N+1, K] of a catalogue's rows; row 0 is zeros."""
        with torch.no_grad():
            embeddings = self._stage.towers.project(torch.from_numpy(np.array(catalogue.content))).numpy()
        mine = self.keys[1:]
        if len(mine):
            place = np.minimum(np.searchsorted(mine, catalogue.keys), len(mine) - 1)
            there = mine[place] == catalogue.keys
            embeddings = np.where(there[:, None], self._embeddings[place + 1], embeddings)
        norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
        columns: list[NDArray[np.floating]] = [embeddings / (norms + 1e-9), catalogue.content]
        for name, (mean, spread) in self._scale.items():
            values = (catalogue.numeric[name] - mean) / spread
            present = ~np.isnan(values)
            columns += [np.where(present, np.clip(values, -5, 5), 0.0)[:, None], present[:, None].astype(np.float32)]
        vectors = np.concatenate(columns, axis=1).astype(np.float32)
        vectors[0] = 0.0
        return vectors
