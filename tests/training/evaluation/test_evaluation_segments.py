"""Parts of the targets, and that together they are the whole."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.evaluation.pairs import PAIRED_METRICS
from training.evaluation.segments import AGES, BANDS, bands, by_age, by_band, segmented


def test_users_are_told_apart_by_which_event_of_theirs_the_target_is() -> None:
    found = by_age(np.array([0, 1, 4, 5, 19, 20, 500]))
    assert {name: np.flatnonzero(mask).tolist() for name, mask in found.items()} == {
        "first": [0], "2_to_5": [1, 2], "6_to_20": [3, 4], "more": [5, 6],
    }  # fmt: skip


def test_head_middle_tail_and_cold_by_hand() -> None:
    # 100 interactions: 30 alone passes the first fifth; 25, 20 and 10 start before four fifths; 8 and 7 after.
    interactions = np.array([0, 10, 30, 0, 8, 25, 20, 7])
    assert [BANDS[b] for b in bands(interactions)] == [
        "cold", "middle", "head", "cold", "tail", "middle", "middle", "tail",
    ]  # fmt: skip
    masks = by_band(np.array([2, 0, 3, 7]), interactions)
    assert {name: np.flatnonzero(mask).tolist() for name, mask in masks.items()} == {
        "head": [0], "middle": [], "tail": [3], "cold": [1, 2],
    }  # fmt: skip


@given(st.lists(st.integers(0, 30), min_size=1, max_size=30))
def test_a_more_popular_item_is_in_no_later_band(counts: list[int]) -> None:
    interactions = np.array([0, *counts])
    found = bands(interactions)
    order = np.argsort(-interactions, kind="stable")
    assert (np.diff(found[order]) >= 0).all()
    assert (found[interactions == 0] == BANDS.index("cold")).all()
    if interactions.sum():
        assert found[interactions.argmax()] == 0
        # Without the least popular of the head, it holds less than a fifth; the tail holds a fifth at most.
        head, tail = interactions[found == 0], interactions[found == 2]
        assert head.sum() - head.min() < 0.2 * interactions.sum()
        assert tail.sum() <= 0.2 * interactions.sum() + 1e-9


def test_segments_add_up_to_the_whole_and_an_empty_one_has_no_number() -> None:
    rng = np.random.default_rng(0)
    users = np.sort(rng.integers(0, 50, 300))
    values = {s: {m: rng.random(300) for m in ("hr@10", "ndcg@10", "mrr")} for s in ("ranked", "retrieval")}
    masks = by_age(rng.integers(1, 40, 300))
    found = segmented(values, masks, users, 0)
    assert list(found) == list(AGES)
    assert sum(part["targets"] for part in found.values()) == 300
    whole = sum(part["targets"] * part["test"]["ranked"]["mrr"] for part in found.values() if part["targets"]) / 300
    assert whole == pytest.approx(values["ranked"]["mrr"].mean())
    assert found["first"] == {
        "targets": 0, "users": 0, "paired": {},
        "test": {s: dict.fromkeys(("hr@10", "ndcg@10", "mrr")) for s in values},
    }  # fmt: skip
    assert set(found["more"]["paired"]["ranked_minus_retrieval"]) == set(PAIRED_METRICS)
