"""Ranking samples that outlive their catalogue: kept with a bundle, replayed later against forgetting.

A sample points into rows of the stage it was collected from. A book keeps the rows it needs, by item key and with the
item features of that time, so that samples of several stages can be trained on together.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penchant.errors import BundleMismatch
from penchant.types import Keys, Matrix
from training.ranking.samples import Samples
from training.ranking.statistics import RequestStatistics

_COMPACT = {"events": np.int32, "history_rows": np.int32, "history_types": np.int8, "rows": np.int32}
_STATISTICS = tuple(f.name for f in fields(RequestStatistics))
_COLUMNS = tuple(f.name for f in fields(Samples) if f.name != "statistics")


@dataclass(frozen=True, slots=True)
class Book:
    """Samples whose rows point into keys [M] and features [M, Fi]; row 0 is no item. events say nothing any more."""

    samples: Samples
    keys: Keys
    features: Matrix

    def __len__(self) -> int:
        return len(self.samples)

    @classmethod
    def of(cls, samples: Samples, keys: Keys, features: Matrix) -> "Book":
        """The samples with the rows that they use, and no others."""
        used = np.unique(np.concatenate([[0], samples.rows.ravel(), samples.history_rows.ravel()]))
        place = np.zeros(len(keys), np.int64)
        place[used] = np.arange(len(used))
        moved = replace(
            samples, events=np.full(len(samples), -1, np.int64), rows=place[samples.rows],
            history_rows=place[samples.history_rows],
        )  # fmt: skip
        return cls(moved, np.asarray(keys[used]), np.asarray(features[used], np.float32))

    def thinned(self, most: int, seed: Sequence[int]) -> "Book":
        """At most `most` requests, drawn evenly."""
        if len(self) <= most:
            return self
        kept = np.sort(np.random.default_rng(seed).permutation(len(self))[:most])
        return Book.of(take(self.samples, kept), self.keys, self.features)

    def write(self, path: Path) -> None:
        """As one compressed npz file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, Any] = {}
        for name in _COLUMNS:
            arrays[name] = getattr(self.samples, name).astype(_COMPACT.get(name, getattr(self.samples, name).dtype))
        arrays |= {f"statistics.{name}": getattr(self.samples.statistics, name) for name in _STATISTICS}
        np.savez_compressed(path, **arrays, keys=self.keys, features=self.features)

    @classmethod
    def read(cls, path: Path) -> "Book":
        """Back from write(). Raises BundleMismatch for another file."""
        try:
            with np.load(path, allow_pickle=False) as file:
                columns = {n: file[n].astype(np.int64) if n in _COMPACT else file[n] for n in _COLUMNS if n in file}
                # Books of before places were kept do not say them.
                columns.setdefault("positions", np.full(columns["rows"].shape, -1, np.int16))
                statistics = RequestStatistics(**{n: file[f"statistics.{n}"] for n in _STATISTICS})
                return cls(Samples(statistics=statistics, **columns), file["keys"], file["features"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BundleMismatch(f"{path} holds no samples ({error}): train with `python -m training fit`") from None


def bound(books: Sequence[Book]) -> Book:
    """One book of several, in their order."""
    offsets = np.cumsum([0, *(len(book.keys) for book in books[:-1])])
    moved = [
        replace(
            book.samples,
            rows=np.where(book.samples.rows > 0, book.samples.rows + offset, 0),
            history_rows=np.where(book.samples.history_rows > 0, book.samples.history_rows + offset, 0),
        )
        for book, offset in zip(books, offsets.tolist(), strict=True)
    ]
    return Book(
        concatenated(moved), np.concatenate([b.keys for b in books]), np.concatenate([b.features for b in books])
    )


def take(samples: Samples, index: NDArray[np.int64]) -> Samples:
    """Some of the requests, in the given order."""
    statistics = RequestStatistics(*(getattr(samples.statistics, name)[index] for name in _STATISTICS))
    return Samples(statistics=statistics, **{name: getattr(samples, name)[index] for name in _COLUMNS})


def concatenated(parts: Sequence[Samples]) -> Samples:
    """All requests of several samples; the narrower ones get places that are not used."""
    width = max(part.rows.shape[1] for part in parts)
    statistics = RequestStatistics(
        *(np.concatenate([getattr(part.statistics, name) for part in parts]) for name in _STATISTICS)
    )
    columns = {
        name: np.concatenate([_widened(getattr(part, name), part, width, name) for part in parts]) for name in _COLUMNS
    }
    return Samples(statistics=statistics, **columns)


def _widened(array: NDArray[Any], samples: Samples, width: int, name: str) -> NDArray[Any]:
    """A column of candidates [R, C, ...] filled up to the width; any other as it is."""
    if name not in ("rows", "retrieval", "pair_dense", "weights", "labels", "positions"):
        return array
    lack = width - samples.rows.shape[1]
    filler = {"labels": np.nan, "positions": -1}.get(name, 0)
    return np.pad(array, [(0, 0), (0, lack), *([(0, 0)] * (array.ndim - 2))], constant_values=filler)
