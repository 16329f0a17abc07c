"""What is held out comes after what is trained on, and nothing is in two parts."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penchant.errors import ConfigError
from training.data.dataset import Dataset
from training.data.split import PROTOCOLS, default_protocol, history_mask, split, targets_sha256
from training.data.table import build

TYPES = ("click", "view", "search", "purchase")
events = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 9), st.integers(0, 30), st.sampled_from(TYPES)),
    min_size=12,
    max_size=80,
)


def dataset_of(rows: list[tuple[int, int, int, str]], has_times: bool = True) -> Dataset:
    clicks = [(0, item, 40 + item, "click") for item in range(12)]
    table = pl.DataFrame(
        [(f"u{u}", f"i{i}", t * 1_000_000, kind, float("nan")) for u, i, t, kind in [*rows, *clicks]],
        schema=["user", "item", "time", "type", "value"],
        orient="row",
    )
    return build(name="d", folder=Path("."), frame=table, has_times=has_times, tasks={}, counts={})


@settings(max_examples=50, deadline=None)
@given(events, st.sampled_from(PROTOCOLS))
def test_parts_are_disjoint_and_in_time_order(rows: list, protocol: str) -> None:
    dataset = dataset_of(rows)
    cut = split(dataset, protocol)
    parts = [cut.train, cut.valid, cut.held_out]
    together = np.concatenate(parts)
    assert len(np.unique(together)) == len(together)
    if protocol != "leave-one-out":
        np.testing.assert_array_equal(np.sort(together), np.arange(len(dataset.events)))
    for part in [*parts, cut.test]:
        assert (np.diff(part) > 0).all()
    assert np.isin(cut.test, cut.held_out).all()
    assert history_mask(dataset)[cut.test].all()


@settings(max_examples=50, deadline=None)
@given(events)
def test_the_time_split_holds_out_what_comes_last(rows: list) -> None:
    dataset = dataset_of(rows)
    cut = split(dataset, "time-split")
    assert cut.train.max(initial=-1) < cut.valid.min(initial=len(dataset.events))
    assert max(cut.train.max(initial=-1), cut.valid.max(initial=-1)) < cut.held_out.min()
    assert (dataset.events.times[cut.held_out] >= cut.cut_us).all()
    before = np.concatenate([cut.train, cut.valid])
    assert (dataset.events.times[before] <= cut.cut_us).all()
    share = len(cut.test) / history_mask(dataset).sum()
    assert 0.2 <= share <= 0.3


@settings(max_examples=50, deadline=None)
@given(events)
def test_leave_one_out_holds_out_each_users_last_history_event(rows: list) -> None:
    dataset = dataset_of(rows)
    cut = split(dataset, "leave-one-out")
    history = history_mask(dataset)
    columns = dataset.events
    assert len(np.unique(columns.users[cut.test])) == len(cut.test)
    for user in range(len(dataset.user_ids)):
        mine = np.flatnonzero(history & (columns.users == user))
        held = cut.test[columns.users[cut.test] == user]
        if len(mine) < 3:
            assert len(held) == 0
        else:
            assert held.tolist() == [mine[-1]]
            assert cut.valid[columns.users[cut.valid] == user].tolist() == [mine[-2]]


@settings(max_examples=50, deadline=None)
@given(events, st.randoms(use_true_random=False))
def test_targets_do_not_depend_on_the_files_order_where_times_differ(rows: list, random: object) -> None:
    unique = [(u, i, n, kind) for n, (u, i, _, kind) in enumerate(rows[:30])]
    shuffled = list(unique)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    sums = [
        targets_sha256(d, split(d, protocol))
        for d in (dataset_of(unique), dataset_of(shuffled))
        for protocol in ("leave-one-out", "time-split")
    ]
    assert sums[:2] == sums[2:]


def test_the_checksum_of_targets_is_a_fixed_number() -> None:
    dataset = dataset_of([(1, 3, 1, "click"), (1, 4, 2, "click"), (1, 5, 3, "purchase"), (2, 1, 4, "view")])
    assert targets_sha256(dataset, split(dataset, "leave-one-out"))[:16] == "b37f02ef91dacfe5"
    assert targets_sha256(dataset, split(dataset, "none")) == (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )


def test_the_default_protocol_follows_the_times() -> None:
    rows = [(1, 3, 1, "click")]
    assert default_protocol(dataset_of(rows)) == "time-split"
    assert default_protocol(dataset_of(rows, has_times=False)) == "leave-one-out"


def test_an_unknown_protocol_and_too_few_events_are_refused() -> None:
    dataset = dataset_of([])
    with pytest.raises(ConfigError, match="one of leave-one-out, time-split, none"):
        split(dataset, "random")
    few = pl.DataFrame({"user": ["u"], "item": ["i"], "time": [1], "type": ["click"], "value": [float("nan")]})
    tiny = build(name="tiny", folder=Path("."), frame=few, has_times=True, tasks={}, counts={})
    with pytest.raises(ConfigError, match="needs 10 or more"):
        split(tiny, "time-split")
    looked = build(
        name="d", folder=Path("."), frame=few.with_columns(type=pl.lit("view")), has_times=True, tasks={}, counts={}
    )
    with pytest.raises(ConfigError, match="no history events"):
        split(looked, "none")
    assert len(split(tiny, "leave-one-out").test) == 0
