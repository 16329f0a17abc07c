"""Targets and what comes before them."""

import numpy as np

from penchant.events import EVENT_TYPES
from penchant.ids import key
from training.data.dataset import Attributes, Dataset, EventTable
from training.data.split import split
from training.evaluation.protocol import event_columns, target_set, timelines, user_attributes


def small_dataset(users: int = 12, events: int = 240, seed: int = 0, types: tuple[str, ...] = ("rating",)) -> Dataset:
    """Random events with many equal times, sorted as a reader would sort them."""
    from pathlib import Path

    rng = np.random.default_rng(seed)
    times = np.sort(rng.integers(0, 60, events)) * 1_000_000
    table = EventTable(
        rng.integers(0, users, events).astype(np.int32),
        rng.integers(0, 30, events).astype(np.int32),
        times.astype(np.int64),
        rng.integers(0, len(types), events).astype(np.int8),
        rng.integers(1, 6, events).astype(np.float32),
        np.arange(events, dtype=np.int64),
    )
    return Dataset(
        "small", [f"u{i}" for i in range(users)], [f"i{i}" for i in range(30)], list(types), table,
        Attributes(), Attributes(categorical={"gender": ["F", ""] * (users // 2)}), True, {}, {}, Path("."),
    )  # fmt: skip


def test_leave_one_out_predicts_each_users_last_event_from_all_before_it() -> None:
    dataset = small_dataset()
    targets = target_set(dataset, split(dataset, "leave-one-out"))
    assert len(targets) == targets.user_count
    for line in timelines(dataset, targets):
        mine = np.flatnonzero(dataset.events.users == line.user)
        assert line.events.tolist() == mine.tolist()
        assert line.target_at.tolist() == [len(mine) - 1]


def test_the_time_split_predicts_every_held_out_event_and_earlier_held_out_ones_are_known() -> None:
    dataset = small_dataset()
    cut = split(dataset, "time-split")
    targets = target_set(dataset, cut)
    assert sorted(targets.events.tolist()) == sorted(cut.test.tolist())
    place = 0
    for line in timelines(dataset, targets):
        assert line.first_target == place
        for at in line.target_at:
            assert targets.events[place] == line.events[at]
            assert targets.users[place] == line.user
            before = line.events[:at]
            moment = (dataset.events.times[line.events[at]], dataset.events.order[line.events[at]])
            mine = np.flatnonzero(dataset.events.users == line.user)
            expected = [i for i in mine if (dataset.events.times[i], dataset.events.order[i]) < moment]
            assert before.tolist() == expected
            place += 1
    assert place == len(targets)


def test_a_sample_takes_whole_users_and_changes_the_checksum() -> None:
    dataset = small_dataset()
    cut = split(dataset, "time-split")
    everything = target_set(dataset, cut)
    sample = target_set(dataset, cut, max_targets=15, seed=4)
    assert 0 < len(sample) <= 15
    for user in np.unique(sample.users):
        assert (sample.users == user).sum() == (everything.users == user).sum()
    assert sample.sha256 != everything.sha256
    assert sample.sha256 == target_set(dataset, cut, max_targets=15, seed=4).sha256


def test_views_are_no_targets_but_stand_in_the_timeline() -> None:
    dataset = small_dataset(types=("view", "click"))
    targets = target_set(dataset, split(dataset, "time-split"))
    assert set(dataset.events.types[targets.events]) == {1}
    columns = event_columns(dataset)
    seen = {int(columns.types[i]) for line in timelines(dataset, targets) for i in line.events}
    assert EVENT_TYPES["view"].code in seen


def test_columns_hold_stable_keys_and_zero_without_an_item() -> None:
    dataset = small_dataset()
    dataset.events.items[5] = -1
    columns = event_columns(dataset)
    assert columns.item_keys[5] == 0
    assert columns.item_keys[6] == key("", dataset.item_ids[dataset.events.items[6]])


def test_missing_attributes_are_left_out() -> None:
    dataset = small_dataset()
    assert user_attributes(dataset, 0) == {"gender": "F"}
    assert user_attributes(dataset, 1) == {}
