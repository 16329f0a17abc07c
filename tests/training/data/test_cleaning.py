"""Cleaning: what is dropped and mended is counted, a clean table stays as it is, and the order of rows is kept."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from described_shop import Shop, events_toml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from training.data.dataset import Dataset, iterate
from training.data.dataset import frame as event_frame
from training.data.table import build


def test_everything_that_is_dropped_is_counted(shop: Shop) -> None:
    rows = [
        "u,i,t,e,v",
        "1,a,1,rating,4",
        "1,a,1,rating,4",  # the same act written twice
        ",a,2,rating,4",
        "1,,3,rating,4",
        "1,b,,rating,4",
        "1,b,-7,rating,4",
        "1,b,1e300,rating,4",
        "1,b,5,,4",
        f"{'x' * 257},b,6,rating,4",
        f"{'é' * 129},b,6,rating,4",
        "1,n\0ul,7,rating,4",
        "1,c,8,rating,inf",
        "1,d,9,rating,NaN",
        "1,e,10,rating,",
        "1,,11,search,",
    ]
    dataset = shop(events_toml('value = "v"', type_='type = { column = "e" }'), e__csv="\n".join(rows) + "\n")
    expected = {
        "rows_read": 15, "duplicates_dropped": 1, "missing_user": 1, "missing_item": 1, "missing_time": 1,
        "bad_time": 2, "missing_type": 1, "unfit_id": 3, "bad_values": 1, "events": 5, "outliers_clipped": 0,
    }  # fmt: skip
    assert {k: dataset.counts[k] for k in expected} == expected
    assert dataset.item_ids == ["a", "c", "d", "e"]
    np.testing.assert_array_equal(np.isnan(dataset.events.values), [False, True, True, True, True])


def test_ids_at_the_bound_are_kept(shop: Shop) -> None:
    assert shop(events_toml(), e__csv=f"u,i,t\n{'x' * 256},a,1\n").user_ids == ["x" * 256]


def test_outliers_are_clipped_to_ten_interquartile_ranges(shop: Shop) -> None:
    values = [1, 2, 3, 4, 5] * 10 + [1000, -1000]
    rows = "".join(f"1,i{n},{n},{v}\n" for n, v in enumerate(values))
    dataset = shop(events_toml('value = "v"'), e__csv="u,i,t,v\n" + rows)
    assert dataset.counts["outliers_clipped"] == 2
    assert dataset.events.values.max() == 24.0
    assert dataset.events.values.min() == -18.0


def test_equal_times_keep_the_files_order(shop: Shop) -> None:
    dataset = shop(events_toml(), e__csv="u,i,t\n1,z,5\n1,y,5\n1,x,4\n1,w,5\n")
    assert [dataset.item_ids[i] for i in dataset.events.items] == ["x", "z", "y", "w"]
    assert dataset.events.order.tolist() == [2, 0, 1, 3]
    assert list(iterate(dataset.events)) == [0, 1, 2, 3]


rows = st.lists(
    st.tuples(
        st.sampled_from(["u1", "u2", "u3", None]),
        st.sampled_from(["i1", "i2", "i3", "i4", None]),
        st.integers(-2, 6),
        st.sampled_from(["click", "rating", "search", "ignore"]),
        st.one_of(st.none(), st.floats(width=32)),
    ),
    max_size=40,
).map(lambda given_rows: [("u0", "i0", 0, "click", None), *given_rows])


def built(table: pl.DataFrame) -> Dataset:
    return build(name="d", folder=Path("."), frame=table, has_times=True, tasks={}, counts={})


def raw(cells: list[tuple]) -> pl.DataFrame:
    names = {"user": pl.String, "item": pl.String, "time": pl.Int64, "type": pl.String, "value": pl.Float64}
    return pl.DataFrame(cells, schema=names, orient="row")


def as_raw(dataset: Dataset) -> pl.DataFrame:
    events = event_frame(dataset.events)
    item_ids = pl.Series([*dataset.item_ids, None], dtype=pl.String)
    return events.select(
        pl.Series("user", [dataset.user_ids[u] for u in events["user"]]),
        item_ids.gather(events["item"].to_numpy()).alias("item"),
        "time",
        pl.Series("type", [dataset.event_types[t] for t in events["type"]]),
        pl.col("value").cast(pl.Float64),
    )


@settings(max_examples=60, deadline=None)
@example(
    [("u1", "i1", n, "click", value) for n, value in enumerate([0.0, 0.0, 0.0, -21817156.0, -239988720.0])]
)  # A bound that float32 rounds outwards.
@given(rows)
def test_cleaning_a_clean_table_changes_nothing(cells: list[tuple]) -> None:
    once = built(raw(cells))
    twice = built(as_raw(once))
    assert as_raw(twice).equals(as_raw(once), null_equal=True)
    assert (twice.user_ids, twice.item_ids, twice.event_types) == (once.user_ids, once.item_ids, once.event_types)
    changed = {k: v for k, v in twice.counts.items() if v and k not in ("rows_read", "events")}
    assert changed == {}
    assert sum(
        v for k, v in once.counts.items() if k not in ("events", "bad_values", "outliers_clipped", "rows_read")
    ) == (once.counts["rows_read"] - once.counts["events"])


@settings(max_examples=60, deadline=None)
@given(rows)
def test_events_are_in_time_order_and_finite(cells: list[tuple]) -> None:
    events = built(raw(cells)).events
    later = np.diff(events.times)
    assert (later >= 0).all()
    assert (np.diff(events.order)[later == 0] > 0).all()
    assert not np.isinf(events.values).any()
    assert (events.users >= 0).all()


@pytest.mark.parametrize("has_times", [True, False])
def test_repeats_are_dropped_only_where_there_are_times(has_times: bool) -> None:
    table = raw([("u", "i", 1, "click", None)] * 3)
    dataset = build(name="d", folder=Path("."), frame=table, has_times=has_times, tasks={}, counts={})
    assert len(dataset.events) == (1 if has_times else 3)
