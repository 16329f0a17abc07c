"""Clicks, purchases, returns and satisfaction, counted by hand."""

import numpy as np
import pytest
from small_data import DAY, HOUR, dataset_of, without_slates

from training.data.dataset import Dataset
from training.evaluation.behaviour import FIGURES, behaviour
from training.evaluation.impressions import dataset_impressions

SHOWN = [
    ("ann", "a", "impression", 0, 7, 0), ("ann", "b", "impression", 1, 7, 1), ("ann", "c", "impression", 2, 7, 2),
    ("ann", "b", "click", 10, 7, 1), ("ann", "b", "purchase", 60, 7, 1),
    ("bob", "b", "impression", 100, 8, 0), ("bob", "a", "impression", 101, 8, 1),
    ("ann", "a", "impression", HOUR, 9, 0), ("ann", "a", "click", HOUR + 5, 9, 0),
]  # fmt: skip


def told(dataset: Dataset) -> dict:
    everything = np.arange(len(dataset.events))
    return behaviour(dataset, everything, dataset_impressions(dataset, everything), 0)


@pytest.mark.parametrize("with_slates", [True, False])
def test_clicks_purchases_and_positions_are_counted_on_what_was_shown(with_slates: bool) -> None:
    dataset = dataset_of(SHOWN)
    found = told(dataset if with_slates else without_slates(dataset))
    assert (found["impressions"], found["users"]) == (6, 2)
    assert (found["ctr"]["positives"], found["ctr"]["value"]) == (2, pytest.approx(2 / 6))
    assert found["ctr"]["clicks_are"] == ["click"]
    assert (found["conversion"]["positives"], found["conversion"]["count"]) == (1, 2)
    assert [(p["position"], p["count"], p["positives"]) for p in found["by_position"]] == [
        (0, 3, 1),
        (1, 2, 1),
        (2, 1, 0),
    ]
    if with_slates:
        assert (found["slates_clicked"]["positives"], found["slates_clicked"]["count"]) == (2, 3)
    else:
        assert "which slate" in found["left_out"]["slates_clicked"]


def test_a_click_counts_for_the_slate_it_names_and_without_names_for_half_an_hour() -> None:
    rows = [
        ("ann", "a", "impression", 0, 1, 0),
        ("ann", "a", "impression", 600, 2, 0),
        ("ann", "a", "click", 700, 2, 0),
    ]
    assert told(dataset_of(rows))["ctr"]["positives"] == 1
    assert told(without_slates(dataset_of(rows)))["ctr"]["positives"] == 2
    late = [*rows[:2], ("ann", "a", "click", 2300, -1, -1)]
    assert told(without_slates(dataset_of(late)))["ctr"]["positives"] == 1


def test_where_there_are_no_clicks_any_act_but_a_purchase_is_one() -> None:
    rows = [("ann", "a", "impression", 0, 1, 0), ("ann", "a", "play", 5, 1, 0), ("ann", "a", "purchase", 6, 1, 0)]
    found = told(dataset_of(rows))
    assert found["ctr"]["clicks_are"] == ["play"]
    assert found["ctr"]["value"] == 1.0


def test_who_comes_back_is_counted_from_a_day_to_seven_days_after_the_first_event() -> None:
    rows = [
        ("back", "a", "click", 0), ("back", "b", "click", 3 * DAY),
        ("same day", "a", "click", 0), ("same day", "b", "click", 20 * HOUR),
        ("too late", "a", "click", 0), ("too late", "b", "click", 8 * DAY),
        ("on the seventh", "a", "click", DAY), ("on the seventh", "b", "click", 8 * DAY),
        ("too new to tell", "a", "click", 9 * DAY), ("too new to tell", "b", "click", 11 * DAY),
    ]  # fmt: skip
    found = told(dataset_of(rows))["retention_7d"]
    assert (found["positives"], found["count"]) == (2, 4)
    assert 0.0 <= found["interval"][0] <= 0.5 <= found["interval"][1] <= 1.0


def test_satisfaction_is_what_ratings_likes_and_dislikes_say() -> None:
    rows = [
        ("ann", "a", "rating", 0, -1, -1, 5.0), ("ann", "b", "rating", 1, -1, -1, 2.0),
        ("bob", "a", "rating", 2, -1, -1, 5.0), ("bob", "b", "rating", 3), ("ann", "a", "like", 4),
        ("bob", "a", "like", 5), ("bob", "b", "hide", 6), ("ann", "b", "dislike", 7),
    ]  # fmt: skip
    found = told(dataset_of(rows))
    assert (found["rating"]["value"], found["rating"]["count"]) == (pytest.approx(4.0), 3)
    assert found["rating"]["by_value"] == {"2.0": 1, "5.0": 2}
    assert (found["liked"]["positives"], found["liked"]["count"]) == (2, 4)


def test_what_a_log_does_not_tell_is_left_out_with_the_reason() -> None:
    found = told(dataset_of([("ann", "a", "view", 0), ("ann", "a", "click", 5)], has_times=False))
    assert all(found[name] is None for name in FIGURES)
    assert set(found["left_out"]) == set(FIGURES)
    assert "no times" in found["left_out"]["retention_7d"]
    assert "what was shown" in found["left_out"]["ctr"]
    assert "nobody gave a rating" in found["left_out"]["rating"]
    short = told(dataset_of([("ann", "a", "click", 0), ("ann", "a", "click", DAY)]))
    assert "1.0 days" in short["left_out"]["retention_7d"]
    nothing = told(dataset_of([]))
    assert nothing["left_out"]["retention_7d"] == "there are no events"
    rows = [("ann", "a", "impression", 0, 1, 0), ("bob", "b", "purchase", 5)]
    unclicked = told(dataset_of([*rows, ("bob", "b", "click", 4)]))
    assert unclicked["ctr"]["value"] == 0.0
    assert "nothing that was shown was clicked" in unclicked["left_out"]["conversion"]
    assert "purchases are the only acts" in told(dataset_of(rows))["left_out"]["conversion"]
