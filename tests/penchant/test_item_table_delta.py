"""Rows of items written after the bundle: each process numbers them itself, and finds another's by key."""

import numpy as np
import pytest

from penchant.item_table import ItemChange, ItemTable
from penchant.leaves import Candidates


def table() -> ItemTable:
    zeros = np.zeros((3, 2), np.float32)
    return ItemTable(
        np.array([0, 10, 20]), ["", "ten", "twenty"], zeros, zeros, zeros, np.zeros(3, np.int64), {}, {}
    )  # fmt: skip


def block(rows: list[int]) -> Candidates:
    count = len(rows)
    return Candidates(
        np.array(rows, np.uint32), np.zeros(count, np.float32), np.zeros(count, np.uint32),
        np.zeros((count, 1), np.float32), (),
    )  # fmt: skip


def test_a_table_that_learnt_the_delta_in_another_order_finds_its_own_rows() -> None:
    early, late = table(), table()
    early.apply([ItemChange(1, 30, "thirty"), ItemChange(2, 40, "forty"), ItemChange(3, 30, "thirty")])
    late.apply([ItemChange(2, 40, "forty"), ItemChange(3, 30, "thirty")])
    told = early.with_keys(block([1, 3, 4]))
    assert [early.ids[r] for r in told.rows] == ["ten", "thirty", "forty"]
    assert [late.ids[r] for r in late.own_rows(told)] == ["ten", "thirty", "forty"]


def test_an_item_that_has_not_arrived_is_row_zero() -> None:
    ahead, behind = table(), table()
    ahead.apply([ItemChange(1, 30, "thirty")])
    assert behind.own_rows(ahead.with_keys(block([3, 2]))).tolist() == [0, 2]


def test_candidates_of_the_bundle_carry_no_keys() -> None:
    ahead = table()
    ahead.apply([ItemChange(1, 30, "thirty")])
    assert len(ahead.with_keys(block([1, 2])).keys) == 0
    assert ahead.keys_of(np.array([3, 1, 0, 2], np.uint32)).tolist() == [30, 10, 0, 20]


@pytest.mark.parametrize("seed", range(5))
def test_rows_stay_in_order_of_key_and_of_age_however_they_come(seed: int) -> None:
    rng = np.random.default_rng(seed)
    items, position = table(), 0
    for _ in range(40):
        changes = []
        for key in rng.choice(np.arange(100, 140), rng.integers(1, 5), replace=False).tolist():
            position += 1
            created, deleted = int(rng.integers(1, 30)), bool(rng.random() < 0.2)
            changes.append(ItemChange(position, key, str(key), deleted=deleted, created_us=created))
        items.apply(changes)
        rows = np.arange(3, items.row_count)
        keys, created = items.keys_of(rows.astype(np.uint32)), items.created[rows]
        assert items.newest_rows.tolist() == rows[np.lexsort((keys, -created))].tolist()
        assert items.rows_of(keys).tolist() == rows.tolist()
        assert items.rows_of(np.array([99, 10, 140])).tolist() == [0, 1, 0]
