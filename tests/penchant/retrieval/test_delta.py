"""What came after the bundle is found as exact search finds it, whatever was compacted, written again or deleted."""

import numpy as np
import pytest

from penchant.item_table import ItemChange, ItemTable
from penchant.retrieval.delta import DeltaSearch
from penchant.retrieval.search import exact_search

DIM = 8
BUNDLED = 20


def table() -> ItemTable:
    rng = np.random.default_rng(1)
    embeddings = rng.normal(size=(BUNDLED + 1, DIM)).astype(np.float32)
    zeros = np.zeros((BUNDLED + 1, 1), np.float32)
    keys = np.arange(BUNDLED + 1)
    return ItemTable(keys, [str(k) for k in keys], embeddings, zeros, embeddings.copy(), keys, {}, {})


class Writer:
    """Writes items whose embedding is their content."""

    def __init__(self, items: ItemTable) -> None:
        self.items = items
        self.position = 0
        self.rng = np.random.default_rng(2)

    def write(self, keys: list[int], deleted: bool = False) -> None:
        first = self.position + 1
        self.position += len(keys)
        changes = [ItemChange(first + i, key, str(key), deleted=deleted) for i, key in enumerate(keys)]
        content = self.rng.normal(size=(len(keys), DIM)).astype(np.float32)
        self.items.apply(changes, content, lambda changes, vectors: vectors)


def exactly(items: ItemTable, vector: np.ndarray, k: int) -> list[int]:
    """Rows of the delta nearest to a vector."""
    allowed = items.allowed()
    allowed[: BUNDLED + 1] = False
    embeddings = items.embeddings[np.arange(items.row_count)]
    return exact_search(embeddings)(vector, k, allowed)[0].tolist()


def found(delta: DeltaSearch, items: ItemTable, vector: np.ndarray, k: int) -> list[int]:
    search = delta.over(items)
    return [] if search is None else search(vector, k, items.allowed())[0].tolist()


def test_without_a_delta_there_is_nothing_to_search() -> None:
    assert DeltaSearch(np.zeros((1, DIM), np.float32)).over(table()) is None


@pytest.mark.parametrize("seed", range(5))
def test_whatever_is_written_deleted_and_compacted_in_between_the_nearest_are_the_exact_ones(seed: int) -> None:
    rng = np.random.default_rng(seed)
    items = table()
    writer, delta = Writer(items), DeltaSearch(rng.normal(size=(4, DIM)).astype(np.float32), compact_from=10)
    for _ in range(60):
        keys = rng.choice(np.arange(100, 200), rng.integers(1, 6), replace=False).tolist()
        writer.write(keys, deleted=rng.random() < 0.3)
        if rng.random() < 0.2:
            delta.compact(items.view())
        vector = rng.normal(size=DIM).astype(np.float32)
        assert found(delta, items.view(), vector, 7) == exactly(items.view(), vector, 7)
    assert delta.compactions > 3


def test_an_item_written_again_is_found_where_it_is_now_not_where_the_index_holds_it() -> None:
    items = table()
    writer, delta = Writer(items), DeltaSearch(np.eye(DIM, dtype=np.float32))
    writer.write([100, 101, 102])
    delta.compact(items.view())
    before = items.embeddings[BUNDLED + 1].copy()
    writer.write([100])
    assert delta.tail(items) == 1
    assert found(delta, items.view(), before * 100, 3) == exactly(items.view(), before * 100, 3)


def test_compacting_is_due_when_the_tail_is_long_and_again_only_when_it_has_grown_with_the_index() -> None:
    items = table()
    writer, delta = Writer(items), DeltaSearch(np.eye(DIM, dtype=np.float32), compact_from=10)
    due_at = []
    for key in range(1000, 1200):
        writer.write([key])
        if delta.due(items):
            due_at.append(key - 999)
            delta.compact(items.view())
    assert due_at == [11, 22, 34, 52, 79, 119, 179]


def test_a_search_begun_before_a_compaction_goes_on_with_what_it_began_with() -> None:
    items = table()
    writer, delta = Writer(items), DeltaSearch(np.eye(DIM, dtype=np.float32))
    writer.write(list(range(100, 120)))
    view, vector = items.view(), np.ones(DIM, np.float32)
    search, expected = delta.over(view), exactly(view, vector, 5)
    assert search is not None
    writer.write(list(range(105, 125)))
    delta.compact(items.view())
    assert search(vector, 5, view.allowed())[0].tolist() == expected


def test_what_was_indexed_is_forgotten_when_the_table_begins_anew() -> None:
    items = table()
    writer, delta = Writer(items), DeltaSearch(np.eye(DIM, dtype=np.float32))
    writer.write(list(range(100, 120)))
    delta.compact(items.view())
    items.reset()
    writer.position = 0
    vector = np.ones(DIM, np.float32)
    for key in range(300, 330):  # Past the position that the index is of.
        writer.write([key])
        assert found(delta, items.view(), vector, 5) == exactly(items.view(), vector, 5)


def test_thousands_of_items_are_searched_by_a_graph_that_proved_itself() -> None:
    items = table()
    writer = Writer(items)
    queries = np.random.default_rng(3).normal(size=(64, DIM)).astype(np.float32)
    delta = DeltaSearch(queries)
    writer.write(list(range(1000, 3000)))
    delta.compact(items.view())
    assert (delta.kind, delta.indexed, delta.tail(items)) == ("hnsw", 2000, 0)
    writer.write(list(range(1000, 1500)), deleted=True)
    shares = [len(set(found(delta, items.view(), q, 100)) & set(exactly(items.view(), q, 100))) / 100 for q in queries]
    assert np.mean(shares) >= 0.98
