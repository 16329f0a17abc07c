"""Items held out of training, and what asks for them."""

import numpy as np
import pytest

from penchant.errors import ConfigError
from training.catalogue import build_catalogue
from training.content.held_out import draw_cold, histories, with_only, without_items
from training.data.dataset import Dataset


def test_held_out_items_leave_neither_events_nor_a_row(described: Dataset) -> None:
    items = draw_cold(described, 0.2, seed=3)
    np.testing.assert_array_equal(items, draw_cold(described, 0.2, seed=3))
    assert len(items) == 16
    warm = without_items(described, items)
    assert not np.isin(warm.events.items, items).any()
    assert len(warm.events) == len(described.events) - np.isin(described.events.items, items).sum()
    assert all(warm.items.text["title"][i] == "" and warm.items.multi["half"][i] == () for i in items)
    catalogue = build_catalogue(warm, np.arange(len(warm.events)), int(warm.events.times.max()))
    assert not catalogue.rows(items).any()
    assert catalogue.count == 80 - 16


def test_each_target_is_asked_for_with_the_known_items_before_it_and_no_other(described: Dataset) -> None:
    items = draw_cold(described, 0.2, seed=3)
    warm = without_items(described, items)
    catalogue = build_catalogue(warm, np.arange(len(warm.events)), int(warm.events.times.max()))
    last = warm.events.order[-5:]
    past = histories(described, catalogue, items, last)
    events = described.events
    expected = []
    for user in range(len(described.user_ids)):
        rows: list[int] = []
        met: list[int] = []
        for item in events.items[events.users == user].tolist():
            if item in items:
                place = int(np.searchsorted(items, item))
                if rows:
                    expected.append((user, place, tuple(rows), tuple(met)))
                met.append(place)
            else:
                rows.append(int(catalogue.rows(np.array([item]))[0]))
    cold = past.cold
    found = [
        (
            int(cold.users[i]), int(cold.target[i]),
            tuple(past.warm.rows[cold.starts[i] : cold.ends[i]].tolist()),
            tuple(past.cold_places[cold.cold_starts[i] : cold.cold_ends[i]].tolist()),
        )
        for i in range(len(cold))
    ]  # fmt: skip
    assert found == expected
    assert past.left_out["without_history"] + len(found) == np.isin(events.items, items).sum()
    np.testing.assert_array_equal(np.sort(past.last.target), np.sort(catalogue.rows(warm.events.items[-5:])))


def test_a_share_that_holds_out_nothing_is_refused(described: Dataset) -> None:
    with pytest.raises(ConfigError, match=r"--share 0\.001 of the 80 items of kinds"):
        draw_cold(described, 0.001, seed=0)


def test_attributes_can_be_left_out(described: Dataset) -> None:
    kept = with_only(described, ["half"]).items
    assert kept.text == {}
    assert list(kept.multi) == ["half"]
