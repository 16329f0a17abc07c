"""Columns of the item table: the bundle's part mapped and never written, the delta's behind it.

A column never changes: growing or overwriting gives a new one, so that a request goes on reading the one it began
with while items are written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penchant.types import Mask

Codes = NDArray[np.uint32]
Indptr = NDArray[np.int64]


class Column:
    """M+1 rows of one dtype and width, read by `column[rows]` like the array it stands for."""

    __slots__ = ("_buffer", "base", "extra")

    def __init__(
        self, base: NDArray[Any], extra: NDArray[Any] | None = None, buffer: NDArray[Any] | None = None
    ) -> None:
        self.base = base
        """[N+1, ...]: the bundle's rows."""
        self.extra: NDArray[Any] = base[:0] if extra is None else extra
        """[M-N, ...]: the delta's rows."""
        self._buffer = self.extra if buffer is None else buffer
        """Memory of `extra` with room behind it; rows beyond a column's own are never read through it."""

    def __len__(self) -> int:
        return len(self.base) + len(self.extra)

    @property
    def shape(self) -> tuple[int, ...]:
        """As of an array."""
        return (len(self), *self.base.shape[1:])

    def __getitem__(self, rows: NDArray[np.integer[Any]] | int) -> NDArray[Any]:
        """Values of the rows (or of one row), in their order."""
        rows = np.asarray(rows)
        if len(self.extra) == 0 or rows.size == 0 or int(rows.max()) < len(self.base):
            # Whole rows at a time: half of what indexing costs.
            return np.asarray(self.base.take(rows, axis=0))
        late = rows >= len(self.base)
        values = np.asarray(self.base.take(np.where(late, 0, rows), axis=0))
        values[late] = self.extra[rows[late].astype(np.int64) - len(self.base)]
        return values

    def extended(self, values: NDArray[Any]) -> "Column":
        """With rows appended; room doubles, so a row costs the same however many there are.

        Only the newest column may be extended: columns share the room behind them.
        """
        if len(values) == 0:
            return self
        count = len(self.extra) + len(values)
        buffer = self._buffer
        if count > len(buffer):
            buffer = np.empty((max(2 * count, 64), *self.base.shape[1:]), self.base.dtype)
            buffer[: len(self.extra)] = self.extra
        buffer[len(self.extra) : count] = values
        return Column(self.base, buffer[:count], buffer)

    def overwritten(self, rows: NDArray[np.int64], values: NDArray[Any]) -> "Column":
        """With some of the delta's rows replaced."""
        if len(rows) == 0:
            return self
        extra = np.array(self.extra)
        extra[rows - len(self.base)] = values
        return Column(self.base, extra)


@dataclass(frozen=True)
class TagColumn:
    """A categorical or multi-valued attribute of M+1 rows in CSR form: row r holds codes[indptr[r]:indptr[r+1]]."""

    vocabulary: tuple[str, ...]
    indptr: Indptr
    codes: Codes

    @cached_property
    def code_of(self) -> dict[str, int]:
        """Place of each value in the vocabulary."""
        return {value: code for code, value in enumerate(self.vocabulary)}

    @cached_property
    def _postings(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows by code, and where each code's rows begin: read backwards from codes to rows."""
        owner = np.repeat(np.arange(len(self.indptr) - 1), np.diff(self.indptr))
        starts = np.concatenate([[0], np.cumsum(np.bincount(self.codes, minlength=len(self.vocabulary)))])
        return owner[np.argsort(self.codes, kind="stable")], starts

    def rows_with(self, values: Sequence[str]) -> Mask:
        """Which rows hold at least one of the values, bool [M+1]."""
        rows, starts = self._postings
        matches = np.zeros(len(self.indptr) - 1, np.bool_)
        for code in {self.code_of[value] for value in values if value in self.code_of}:
            matches[rows[starts[code] : starts[code + 1]]] = True
        return matches

    def values_of(self, row: int) -> tuple[str, ...]:
        """One row's tags."""
        return tuple(self.vocabulary[code] for code in self.codes[self.indptr[row] : self.indptr[row + 1]])

    def with_rows(self, row_count: int, changed: Mapping[int, Sequence[str]]) -> "TagColumn":
        """With row_count rows and the tags of some replaced; tags not yet known extend the vocabulary."""
        code_of = dict(self.code_of)
        coded = {
            row: np.array([code_of.setdefault(tag, len(code_of)) for tag in tags], np.uint32)
            for row, tags in sorted(changed.items())
        }
        lengths = np.zeros(row_count, np.int64)
        lengths[: len(self.indptr) - 1] = np.diff(self.indptr)
        lengths[list(coded)] = [len(tags) for tags in coded.values()]
        indptr = np.concatenate([[0], np.cumsum(lengths)])
        parts: list[Codes] = []
        kept_from, known = 0, len(self.indptr) - 1
        for row, tags in coded.items():
            parts.append(self.codes[self.indptr[min(kept_from, known)] : self.indptr[min(row, known)]])
            parts.append(tags)
            kept_from = row + 1
        parts.append(self.codes[self.indptr[min(kept_from, known)] :])
        return TagColumn(tuple(code_of), indptr, np.concatenate(parts).astype(np.uint32))
