"""Times in any of the usual ways of writing them, as UTC microseconds."""

from collections.abc import Callable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from penchant.errors import DataError

SECOND_US = 1_000_000
MISSING, OUTSIDE = -1, -2
"""What times_us gives where there is no time, and where it lies outside 1970 to 2200."""
_END_US = 7_258_118_400 * SECOND_US
_ISO = (
    r"^(\d{4})-?(\d{2})-?(\d{2})"
    r"(?:[Tt ](\d{2}):?(\d{2})(?::?(\d{2})(?:[.,](\d{1,9}))?)?)?"
    r"\s?(?:(Z|z|UTC)|([+-])(\d{2})(?::?(\d{2}))?)?$"
)
_WAYS = "use seconds, milliseconds or ISO 8601 such as 2026-01-05T10:00:00Z"

Times = NDArray[np.int64]


def times_us(column: pl.Series, fault: Callable[[int, str], DataError]) -> Times:
    """UTC microseconds int64 [E] of seconds, milliseconds, micro- or nanoseconds, ISO 8601 or date columns.

    The unit of numbers is found from their middle value. ISO times without a zone are UTC, dates mean midnight.
    Raises fault(row, reason) for the first value that is no time.
    """
    if column.dtype.is_temporal() and column.dtype in (pl.Date, pl.Datetime):
        return _bounded(column.cast(pl.Datetime("us")).dt.timestamp("us").to_numpy(writable=True), column.is_null())
    if column.dtype.is_numeric():
        return _from_numbers(column.cast(pl.Float64))
    if column.dtype != pl.String:
        if len(column) == column.null_count():
            return np.full(len(column), MISSING, np.int64)
        raise fault(0, f"a {column.dtype} is no time: {_WAYS}")
    texts = column.str.strip_chars().replace("", None)
    compact = texts.str.contains(r"^(?:19|20|21)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])$")
    numbers = texts.cast(pl.Float64, strict=False)
    written = numbers.is_null() & texts.is_not_null()
    if not written.any() and not (compact.any() and compact.all()):
        return _from_numbers(numbers)
    if compact.drop_nulls().all():
        written = texts.is_not_null()
    times = _from_numbers(pl.select(pl.when(~written).then(numbers)).to_series())
    rows = written.arg_true().to_numpy()
    parsed, valid = _from_iso(texts.filter(written))
    if not valid.all():
        row = int(rows[int(np.flatnonzero(~valid)[0])])
        raise fault(row, f"{column[row]!r} is no time: {_WAYS}")
    times[rows] = _bounded(parsed, pl.Series(np.zeros(len(parsed), np.bool_)))
    return times


def _bounded(times: NDArray[np.int64], missing: pl.Series) -> Times:
    bounded = np.where((times < 0) | (times >= _END_US), OUTSIDE, np.nan_to_num(times)).astype(np.int64)
    bounded[missing.to_numpy()] = MISSING
    return bounded


def _from_numbers(column: pl.Series) -> Times:
    values = column.fill_null(np.nan).to_numpy()
    usable = np.isfinite(values) & (values >= 0)
    middle = float(np.median(values[usable])) if usable.any() else 0.0
    scale = 1e6 if middle < 1e11 else 1e3 if middle < 1e14 else 1.0 if middle < 1e17 else 1e-3
    inside = usable & (np.where(usable, values, 0.0) * scale < _END_US)
    times = np.where(inside, np.where(inside, values, 0.0) * scale, OUTSIDE).round().astype(np.int64)
    times[np.isnan(values)] = MISSING
    return times


def _from_iso(texts: pl.Series) -> tuple[Times, NDArray[np.bool_]]:
    parts = texts.str.extract_groups(_ISO).struct.unnest()
    names = ("year", "month", "day", "hour", "minute", "second", "fraction", "zulu", "sign", "zone_hour", "zone_minute")
    parts.columns = list(names)
    matched = parts["year"].is_not_null().to_numpy()

    def number(name: str) -> NDArray[np.int64]:
        return parts[name].cast(pl.Int64).fill_null(0).to_numpy()

    month = ((number("year") - 1970) * 12 + number("month") - 1).astype("datetime64[M]")
    first = month.astype("datetime64[D]").astype(np.int64)
    following = (month + 1).astype("datetime64[D]").astype(np.int64)
    day, hour, minute, second = (number(n) for n in ("day", "hour", "minute", "second"))
    valid = matched & (number("month") >= 1) & (number("month") <= 12) & (day >= 1) & (day <= following - first)
    valid &= (hour < 24) & (minute < 60) & (second <= 60) & (number("zone_hour") < 24) & (number("zone_minute") < 60)
    seconds = ((first + day - 1) * 24 + hour) * 3600 + minute * 60 + second
    offset = number("zone_hour") * 3600 + number("zone_minute") * 60
    seconds -= np.where((parts["sign"] == "-").fill_null(False).to_numpy(), -offset, offset)
    fraction = parts["fraction"].fill_null("").str.pad_end(6, "0").str.slice(0, 6).cast(pl.Int64).to_numpy()
    return seconds * SECOND_US + fraction, valid
