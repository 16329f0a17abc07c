"""The parts of a replay that need no stack: sessions, windowed popularity, what is reported."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.dataset import Attributes, Dataset, EventTable
from training.evaluation.bootstrap import ratio_interval
from training.evaluation.metrics import LIST_LENGTH
from training.evaluation.protocol import TargetSet, Timeline
from training.replay.play import SYSTEMS, Played, acted_on_before
from training.replay.popularity import WindowedPopularity
from training.replay.report import measured, plot, values_of
from training.replay.sessions import GAP_US, session_starts

MINUTE_US = 60_000_000


def dataset(times: list[int], sessions: list[int] | None = None, has_times: bool = True) -> Dataset:
    count = len(times)
    events = EventTable(
        np.zeros(count, np.int32), np.zeros(count, np.int32), np.array(times, np.int64), np.zeros(count, np.int8),
        np.full(count, np.nan, np.float32), np.arange(count), sessions=None if sessions is None else np.array(sessions),
    )  # fmt: skip
    return Dataset("d", ["u"], ["i"], ["click"], events, Attributes(), Attributes(), has_times, {}, {}, Path("."))


def test_a_pause_of_more_than_half_an_hour_starts_a_session() -> None:
    data = dataset([0, MINUTE_US, MINUTE_US + GAP_US, MINUTE_US + 2 * GAP_US + 1])
    assert session_starts(data, np.arange(4)).tolist() == [True, False, False, True]


def test_a_datasets_own_sessions_come_before_pauses() -> None:
    data = dataset([0, 1, 2, 3], sessions=[7, 7, 8, 8])
    assert session_starts(data, np.arange(4)).tolist() == [True, False, True, False]


def test_without_times_a_users_life_is_one_session() -> None:
    data = dataset([0, 10 * GAP_US, 20 * GAP_US], has_times=False)
    assert session_starts(data, np.arange(3)).tolist() == [True, False, False]


def test_a_cached_list_loses_what_was_acted_on_and_keeps_what_was_only_shown() -> None:
    data = dataset([0, 1, 2, 3, 4])
    kinds = ["impression", "click", "view", "hide"]
    events = replace(data.events, items=np.array([0, 1, 2, 3, 0], np.int32), types=np.array([0, 1, 2, 3, 1], np.int8))
    data = replace(data, item_ids=["a", "b", "c", "d"], event_types=kinds, events=events)
    line = Timeline(0, np.arange(5), np.array([4]), 0)
    assert acted_on_before(data, line, 4).tolist() == [1, 3]
    assert acted_on_before(data, line, 5).tolist() == [1, 3, 0]


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 9)), max_size=60), st.integers(1, 30))
def test_windowed_popularity_counts_what_a_plain_loop_counts(steps: list[tuple[int, int]], window: int) -> None:
    events = sorted(steps)
    popularity = WindowedPopularity(10, window)
    for time, row in events:
        popularity.add(time, row)
    now = events[-1][0] if events else 0
    plain = [0] * 10
    for time, row in events:
        plain[row] += time > now - window
    expected = sorted((r for r in range(1, 10) if plain[r] and r != 3), key=lambda r: (-plain[r], r))
    assert popularity.top(np.array([3])).tolist() == expected[:LIST_LENGTH]


def played() -> tuple[Played, TargetSet]:
    rng = np.random.default_rng(0)
    slates = {s: np.zeros((60, LIST_LENGTH), np.int64) for s in SYSTEMS}
    slates["live"][:, 0] = 1
    slates["frozen"][:30, 0] = 1
    slates["co_visitation"][:, 20] = 1
    ages = np.tile([1, 2, 6, 21], 15)
    targets = TargetSet(np.arange(60), np.repeat(np.arange(20), 3), np.ones(60, np.int64), "x")
    return Played(slates, ages, rng.random(100).tolist()), targets


def test_the_report_holds_the_contracts_keys_and_is_json() -> None:
    run, targets = played()
    values = values_of(run, np.ones(60, np.int64))
    result = json.loads(json.dumps(measured(run, values, targets, 0)))
    assert {*SYSTEMS, "paired", "freshness_ms"} <= set(result)
    assert result["live"]["hr@10"] == 1.0
    assert result["frozen"]["hr@10"] == 0.5
    assert result["co_visitation"]["hr@10"] == 0.0
    assert result["co_visitation"]["mrr"] == pytest.approx(1 / 21)
    assert result["live"]["by_user_age"]["first"]["targets"] == 15
    assert result["paired"]["live_over_frozen"]["hr@10"] == 2.0
    low, high = result["paired"]["live_over_frozen"]["hr@10_interval"]
    assert 1.0 < low < 2.0 < high
    assert result["paired"]["live_over_popularity"]["hr@10"] is None
    assert set(result["freshness_ms"]) == {"p50", "p99"}


def test_the_ratio_of_equals_is_one_without_spread() -> None:
    hits = np.tile([1.0, 0.0], 20)
    assert ratio_interval(hits, hits, np.arange(40) // 2, 0) == (1.0, 1.0)


def test_the_plot_is_a_picture(tmp_path: Path) -> None:
    run, _ = played()
    for has_times in (True, False):
        path = tmp_path / f"{has_times}.png"
        plot(path, values_of(run, np.ones(60, np.int64)), np.arange(60) * MINUTE_US, has_times)
        assert path.read_bytes().startswith(b"\x89PNG")


def test_ages_cover_every_age_once() -> None:
    run, targets = played()
    older = replace(run, ages=np.arange(1, 61))
    result = measured(older, values_of(older, np.ones(60, np.int64)), targets, 0)
    assert sum(a["targets"] for a in result["live"]["by_user_age"].values()) == 60
