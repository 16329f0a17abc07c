"""Directed co-visitation: what people went on to after an item, as probabilities."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penchant.mapped import mapped
from penchant.types import Rows, Vector


@dataclass(frozen=True, slots=True)
class CoVisitation:
    """CSR over rows 0..N: row i holds the followers of item i and their weights, divided by i's own count."""

    indptr: NDArray[np.int64]
    targets: Rows
    weights: Vector

    @classmethod
    def open(cls, folder: Path) -> "CoVisitation":
        """Map the arrays of a bundle's retrieval folder."""

        def load(name: str) -> NDArray[np.generic]:
            return mapped(folder / f"co_visitation.{name}.npy")

        return cls(
            np.asarray(load("indptr"), np.int64), load("targets").view(np.uint32), load("weights").view(np.float32)
        )

    def write(self, folder: Path) -> None:
        """Write the arrays open() reads."""
        for name in ("indptr", "targets", "weights"):
            np.save(folder / f"co_visitation.{name}.npy", getattr(self, name))

    def scores(self, history_rows: NDArray[np.int64], half_life: float, window: int = 50) -> tuple[Rows, Vector]:
        """Rows (ascending, unique) that follow the newest `window` items of the history, and their scores.

        history_rows [H] oldest first. The j-th item back weighs 2^(-j / half_life); scores add up to at most about
        the followers' mass, so their logarithm is on the scale of a log-probability.
        """
        newest = history_rows[::-1][:window]
        newest = newest[newest > 0]
        if len(newest) == 0:
            return np.empty(0, np.uint32), np.empty(0, np.float32)
        decay = np.exp2(-np.arange(len(newest)) / half_life)
        starts, ends = self.indptr[newest], self.indptr[newest + 1]
        lengths = ends - starts
        if lengths.sum() == 0:
            return np.empty(0, np.uint32), np.empty(0, np.float32)
        offsets = np.repeat(starts - np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths)
        index = np.arange(lengths.sum()) + offsets
        weights = self.weights[index] * np.repeat(decay / decay.sum(), lengths)
        if len(self.indptr) <= 8 * len(index):
            # Adding up over the catalogue costs a tenth of sorting the followers, unless it is much larger.
            mass = np.bincount(self.targets[index], weights)
            followed = np.flatnonzero(mass)
            return followed.astype(np.uint32), mass[followed].astype(np.float32)
        rows, place = np.unique(self.targets[index], return_inverse=True)
        return rows, np.bincount(place, weights).astype(np.float32)
