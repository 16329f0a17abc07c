"""Lists of rows: distinct, permitted, united, looked up."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from penchant.types import Bits, Mask, Rows, Vector


def distinct(rows: NDArray[np.integer]) -> Rows:
    """Each row once, where it came first."""
    _, places = np.unique(rows, return_index=True)
    return np.asarray(rows[np.sort(places)], np.uint32)


def first(rows: NDArray[np.integer], allowed: Mask, k: int) -> Rows:
    """The first k allowed of distinct rows."""
    return np.asarray(rows[allowed[rows]][:k], np.uint32)


def union(by_source: Mapping[str, Rows], bit_of: Mapping[str, np.uint32]) -> tuple[Rows, Bits]:
    """Unique rows, ascending, with the bits of the sources that proposed each."""
    rows = np.concatenate([np.empty(0, np.uint32), *by_source.values()])
    if len(rows) == 0:
        return rows, np.empty(0, np.uint32)
    bits = np.repeat(np.array([bit_of[name] for name in by_source]), [len(r) for r in by_source.values()])
    order = np.argsort(rows, kind="stable")
    rows = rows[order]
    starts = np.flatnonzero(np.concatenate([[True], rows[1:] != rows[:-1]]))
    return rows[starts], np.bitwise_or.reduceat(bits[order], starts)


def look_up(rows: Rows, ascending: Rows, scores: Vector, missing: float = 0.0) -> Vector:
    """scores at `rows` out of (ascending rows, scores); `missing` elsewhere."""
    if len(ascending) == 0:
        return np.full(len(rows), missing, np.float32)
    place = np.minimum(np.searchsorted(ascending, rows), len(ascending) - 1)
    return np.where(ascending[place] == rows, scores[place], missing).astype(np.float32)


def of_bundled(rows: NDArray[np.integer], scores: Vector, lowest: float) -> Vector:
    """scores at `rows`; the lowest for rows newer than the bundle."""
    if len(rows) == 0 or int(rows.max()) < len(scores):
        return scores.take(rows).astype(np.float32, copy=False)
    late = rows >= len(scores)
    return np.where(late, np.float32(lowest), scores[np.where(late, 0, rows)]).astype(np.float32)
