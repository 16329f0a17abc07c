"""Times in every usual way of writing them."""

from datetime import UTC, date, datetime, timedelta, timezone

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penchant.errors import DataError
from training.data.times import MISSING, OUTSIDE, times_us

MOMENT = datetime(2026, 1, 5, 10, 0, 0, tzinfo=UTC)
US = 1_767_607_200_000_000


def read(values: list, dtype: pl.DataType | None = None) -> list[int]:
    column = pl.Series(values, dtype=dtype)
    return times_us(column, lambda row, reason: DataError("f", reason, row)).tolist()


@pytest.mark.parametrize(
    "written",
    [
        "1767607200", "1767607200.0", "1767607200000", "1767607200000000", "1767607200000000000", " 1767607200 ",
        "2026-01-05T10:00:00Z", "2026-01-05 10:00:00", "2026-01-05T10:00", "20260105T100000Z",
        "2026-01-05T12:00:00+02:00",         "2026-01-05T15:30:00+0530", 
        "2026-01-05T05:00:00-05", "2026-01-05T10:00:00.000Z", "2026-01-05 10:00:00 UTC",
        "2026-01-05T10:00:00,000000+00:00",
    ],
)  # fmt: skip
def test_one_moment_written_in_many_ways(written: str) -> None:
    assert read([written]) == [US]


def test_every_value_of_a_column_may_have_its_own_zone() -> None:
    mixed = ["2026-01-05T10:00:00Z", "2026-01-05T11:00:00+01:00", "2026-01-05", "", None, "2026-01-05T10:00:00.25"]
    assert read(mixed) == [US, US, US - 36_000_000_000, MISSING, MISSING, US + 250_000]


def test_dates_and_datetimes_of_parquet() -> None:
    assert read([date(2026, 1, 5), None]) == [US - 36_000_000_000, MISSING]
    assert read([MOMENT.replace(tzinfo=None)]) == [US]
    assert read([MOMENT.astimezone(timezone(timedelta(hours=3)))]) == [US]
    assert read([US * 1000], pl.Datetime("ns")) == [US]


def test_compact_dates_are_dates_and_not_seconds() -> None:
    assert read(["20260105", "20260106"]) == [US - 36_000_000_000, US + 50_400_000_000]
    assert read(["20260105", "1767607200"])[1] == US


def test_numbers_that_are_no_time_are_told_apart_from_missing_ones() -> None:
    assert read([1767607200.0, 0.0, None, float("nan"), float("inf"), -5.0, 1e15]) == [
        US, 0, MISSING, MISSING, OUTSIDE, OUTSIDE, OUTSIDE,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "bad", ["yesterday", "2026-13-01", "2026-02-29", "2026-01-05T25:00:00", "05.01.2026", "1/2/2026"]
)
def test_what_is_no_time_is_refused_with_its_row(bad: str) -> None:
    with pytest.raises(DataError, match="ISO 8601") as caught:
        read(["2026-01-05", "1767607200", bad])
    assert caught.value.line == 2


@settings(max_examples=100, deadline=None)
@given(
    st.datetimes(datetime(1970, 1, 2), datetime(2199, 12, 30)),
    st.integers(-12 * 60, 14 * 60),
    st.sampled_from(["seconds", "milliseconds", "microseconds"]),
)
def test_iso_times_of_any_zone_are_read_exactly(moment: datetime, zone_minutes: int, precision: str) -> None:
    zoned = moment.replace(tzinfo=timezone(timedelta(minutes=zone_minutes)))
    written = zoned.isoformat(timespec=precision)
    expected = datetime.fromisoformat(written) - datetime(1970, 1, 1, tzinfo=UTC)
    assert read([written]) == [expected // timedelta(microseconds=1)]
