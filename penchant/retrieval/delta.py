"""Search over the items that came after the bundle: an immutable index of most of them, the rest exactly.

The index holds the rows as they were at one position of the item table. What was written since, the tail, is searched
exactly and merged; what was deleted or is not allowed is masked. Compacting builds the next index aside, from a view of
the table, and puts it in place by one assignment: a search under way goes on with the one it began with.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penchant.item_table import ItemTable
from penchant.retrieval.index import OpenedSearch, build_search
from penchant.retrieval.search import Search, best, merged
from penchant.types import Mask, Matrix, Rows, Vector

COMPACT_FROM = 2000
"""Rows of the tail that are searched exactly in about 0.1 ms; a longer one is worth an index."""


@dataclass(frozen=True, slots=True)
class _Compacted:
    """Delta rows (ascending) as of a position since a reset of the table; opened is over places 1..S in rows."""

    rows: NDArray[np.int64]
    position: int
    resets: int
    opened: OpenedSearch


class DeltaSearch:
    """The delta of one bundle. One thread at a time compacts; others search meanwhile."""

    def __init__(self, queries: Matrix, index: str = "auto", compact_from: int = COMPACT_FROM) -> None:
        """queries [Q, D]: vectors of users, that an index has to prove itself on; index as in open_search."""
        self._queries = queries
        self._index = index
        self._compact_from = compact_from
        self._compacted: _Compacted | None = None
        self.compactions = 0

    @property
    def indexed(self) -> int:
        """Rows of the index."""
        return 0 if self._compacted is None else len(self._compacted.rows)

    @property
    def kind(self) -> str:
        """How the indexed rows are searched: hnsw, or exact where a graph would miss too many."""
        return "" if self._compacted is None else self._compacted.opened.kind

    def tail(self, table: ItemTable) -> int:
        """Rows that every search looks at one by one."""
        return int(np.count_nonzero(_late(table, self._of(table))))

    def due(self, table: ItemTable) -> bool:
        """Whether compacting pays: the tail is long, in itself and beside what is indexed, so builds stay few."""
        compacted = self._of(table)
        indexed = 0 if compacted is None else len(compacted.rows)
        return int(np.count_nonzero(_late(table, compacted))) > max(self._compact_from, indexed // 2)

    def compact(self, table: ItemTable) -> None:
        """Index every available row of the delta, as of a view of the table."""
        late = np.arange(table.bundle_rows + 1, table.row_count)
        rows = late[table.available[late]]
        embeddings = np.zeros((len(rows) + 1, table.embeddings.shape[1]), np.float32)
        embeddings[1:] = table.embeddings[rows]
        opened = build_search(embeddings, self._queries, self._index)
        self._compacted = _Compacted(rows, table.position, table.resets, opened)
        self.compactions += 1

    def over(self, table: ItemTable) -> Search | None:
        """Search over the delta of a view of the table; None where there is none."""
        if table.row_count == table.bundle_rows + 1:
            return None
        compacted = self._of(table)
        base = table.bundle_rows + 1
        late = _late(table, compacted)

        def search(vector: Vector, k: int, allowed: Mask) -> tuple[Rows, Vector]:
            tail = np.flatnonzero(late & allowed[base:])
            found = best(tail + base, table.embeddings.extra[tail] @ vector, k)
            if compacted is None:
                return found
            permitted = np.zeros(len(compacted.rows) + 1, np.bool_)
            permitted[1:] = allowed[compacted.rows] & ~late[compacted.rows - base]
            places, scores = compacted.opened.search(vector, k, permitted)
            return merged(found, (compacted.rows[places.astype(np.int64) - 1].astype(np.uint32), scores), k)

        return search

    def _of(self, table: ItemTable) -> _Compacted | None:
        """The index, if it is of this table's items and not of those before a reset."""
        compacted = self._compacted
        return compacted if compacted is not None and compacted.resets == table.resets else None


def _late(table: ItemTable, compacted: _Compacted | None) -> NDArray[np.bool_]:
    """Which of the delta's rows the index does not hold as they are now, bool [M-N]."""
    if compacted is None:
        return np.ones(len(table.written), np.bool_)
    return np.asarray(table.written > compacted.position)
