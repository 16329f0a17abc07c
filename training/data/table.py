"""From raw columns to a clean Dataset: missing values, duplicates, outliers and time formats, all counted."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from penchant.errors import DataError
from penchant.events import EVENT_TYPES
from training.data.dataset import Attributes, Dataset, EventTable

SECOND_US = 1_000_000
MAX_ID_BYTES = 256


def times_us(column: pl.Series, file: str, name: str) -> NDArray[np.int64]:
    """UTC microseconds from seconds, milliseconds, microseconds or ISO 8601; raises DataError with line and remedy."""
    if column.dtype == pl.String:
        numbers = column.cast(pl.Float64, strict=False)
        if numbers.null_count() == column.null_count():
            return times_us(numbers, file, name)
        parsed = column.str.to_datetime(strict=False, time_zone="UTC", time_unit="us")
        bad = (parsed.is_null() & column.is_not_null()).arg_true()
        if len(bad):
            line = int(bad[0]) + 2
            raise DataError(
                file, f"{column[int(bad[0])]!r} is no time: use seconds, milliseconds or ISO 8601", line, name
            )
        return parsed.dt.timestamp("us").fill_null(-1).to_numpy().astype(np.int64)
    if column.dtype.is_temporal():
        return column.cast(pl.Datetime("us")).dt.timestamp("us").fill_null(-1).to_numpy().astype(np.int64)
    values = column.cast(pl.Float64).fill_null(-1.0).to_numpy()
    if not np.isfinite(values).all():
        line = int(np.flatnonzero(~np.isfinite(values))[0]) + 2
        raise DataError(file, "the time is not finite: give seconds, milliseconds or ISO 8601", line, name)
    typical = float(np.median(values[values >= 0])) if (values >= 0).any() else 0.0
    scale = SECOND_US if typical < 1e11 else 1000 if typical < 1e14 else 1
    return np.where(values < 0, -1, values * scale).astype(np.int64)


def build(
    *,
    name: str,
    folder: Path,
    frame: pl.DataFrame,
    has_times: bool,
    item_frame: pl.DataFrame | None,
    item_kinds: Mapping[str, str],
    user_frame: pl.DataFrame | None,
    user_kinds: Mapping[str, str],
    separators: Mapping[str, str],
    tasks: Mapping[str, str],
    counts: dict[str, int],
) -> Dataset:
    """A Dataset of columns user, item, time (us), type, value and, where there are any, text, slate_position.

    Rows without user are dropped, exact repeats too, values beyond 10 interquartile ranges are clipped; all counted.
    """
    counts["rows_read"] = len(frame)
    frame = frame.with_row_index("order").with_columns(
        pl.col("user").cast(pl.String).str.strip_chars(), pl.col("item").cast(pl.String).str.strip_chars().fill_null("")
    )
    needs_item = [t.name for t in EVENT_TYPES.values() if t.needs_item]
    unknown = set(frame["type"].unique().to_list()) - set(EVENT_TYPES)
    if unknown:
        raise DataError(
            str(folder), f"unknown event types {sorted(map(str, unknown))}: map them in [events.types], to one of "
            f"{sorted(EVENT_TYPES)}", column="type",
        )  # fmt: skip
    for reason, bad in (
        ("missing_user", pl.col("user").is_null() | (pl.col("user") == "")),
        ("missing_item", (pl.col("item") == "") & pl.col("type").is_in(needs_item)),
        ("missing_time", pl.col("time") < 0),
        ("over_long_id", (pl.col("user").str.len_bytes() > MAX_ID_BYTES) | (pl.col("item").str.len_bytes() > 256)),
    ):
        kept = frame.filter(~bad)
        counts[reason] = len(frame) - len(kept)
        frame = kept
    # Without times a repeat is a second act; with them it is the same act written twice.
    if has_times:
        unique = frame.unique(["user", "item", "time", "type"], keep="first", maintain_order=True)
        counts["duplicates_dropped"] = len(frame) - len(unique)
        frame = unique
    values = frame["value"].cast(pl.Float64).fill_null(np.nan).to_numpy().copy()
    infinite = np.isinf(values)
    values[infinite] = np.nan
    counts["bad_values"] = int(infinite.sum())
    finite = values[~np.isnan(values)]
    if len(finite):
        low, high = np.percentile(finite, [25, 75])
        reach = 10 * max(high - low, 1e-9) if high > low else np.inf
        outside = (values < low - reach) | (values > high + reach)
        counts["outliers_clipped"] = int(outside.sum())
        values = np.clip(values, low - reach, high + reach)
    frame = frame.with_columns(pl.Series("value", values)).sort(["time", "order"], maintain_order=True)

    listed = [] if item_frame is None else item_frame["id"].cast(pl.String).to_list()
    seen_items = frame.filter(pl.col("item") != "")["item"].unique(maintain_order=True).to_list()
    item_ids = list(dict.fromkeys([i for i in listed if i] + seen_items))
    user_ids = frame["user"].unique(maintain_order=True).to_list()
    item_index = {id_: i for i, id_ in enumerate(item_ids)}
    user_index = {id_: i for i, id_ in enumerate(user_ids)}
    types = sorted(frame["type"].unique().to_list())
    type_index = {t: i for i, t in enumerate(types)}
    optional = {c: frame[c] for c in ("text", "slate_position", "slate", "session") if c in frame.columns}
    shown = frame["type"].is_in(["impression", "view"]).to_numpy() if "slate_position" in optional else None
    events = EventTable(
        users=_codes(frame["user"], user_index).astype(np.int32),
        items=_codes(frame["item"], item_index).astype(np.int32),
        times=frame["time"].to_numpy().astype(np.int64),
        types=_codes(frame["type"], type_index).astype(np.int8),
        values=frame["value"].to_numpy().astype(np.float32),
        order=frame["order"].to_numpy().astype(np.int64),
        texts=optional["text"].fill_null("").to_numpy().astype(object) if "text" in optional else None,
        impressions=shown,
        slate_positions=optional["slate_position"].cast(pl.Int16).fill_null(-1).to_numpy()
        if "slate_position" in optional
        else None,
        slates=_numbered(optional.get("slate")),
        sessions=_numbered(optional.get("session")),
    )
    if len(events) == 0:
        raise DataError(str(folder), "no usable events: check the column names in dataset.toml")
    counts["events"] = len(events)
    items, created = attributes(item_frame, item_kinds, separators, item_index, len(item_ids), folder)
    users, _ = attributes(user_frame, user_kinds, separators, user_index, len(user_ids), folder)
    return Dataset(
        name, user_ids, item_ids, types, events, items, users, has_times, dict(tasks), counts, folder, created
    )  # fmt: skip


def _numbered(column: pl.Series | None) -> NDArray[np.int64] | None:
    """Equal texts, equal numbers, by first appearance; -1 where there is none."""
    if column is None:
        return None
    texts = column.cast(pl.String).to_frame("id")
    known = texts.filter(pl.col("id").fill_null("") != "").unique(maintain_order=True).with_row_index("number")
    numbers = texts.join(known, on="id", how="left", maintain_order="left")["number"].cast(pl.Int64)
    return numbers.fill_null(-1).to_numpy()


def _codes(column: pl.Series, index: Mapping[str, int]) -> NDArray[np.int64]:
    codes = column.replace_strict(index, default=-1, return_dtype=pl.Int64)
    return codes.to_numpy().astype(np.int64)


def attributes(
    frame: pl.DataFrame | None,
    kinds: Mapping[str, str],
    separators: Mapping[str, str],
    index: Mapping[str, int],
    count: int,
    folder: Path,
) -> tuple[Attributes, NDArray[np.int64] | None]:
    """Attributes row-aligned with the ids of `index`, and creation times where a column is of kind "created"."""
    result = Attributes()
    if frame is None:
        return result, None
    ids = frame["id"].cast(pl.String).to_list()
    rows = [index.get(i, -1) for i in ids]
    created: NDArray[np.int64] | None = None
    for name, kind in kinds.items():
        column = frame[name]
        if kind == "created":
            created = np.zeros(count, np.int64)
            for row, time in zip(rows, times_us(column, str(folder), name).tolist(), strict=True):
                if row >= 0:
                    created[row] = time
            continue
        if kind == "numeric":
            numbers = np.full(count, np.nan, np.float32)
            for row, value in zip(rows, column.cast(pl.Float64, strict=False).to_list(), strict=True):
                if row >= 0 and value is not None:
                    numbers[row] = value
            result.numeric[name] = numbers
            continue
        texts = [""] * count
        for row, value in zip(rows, column.cast(pl.String).fill_null("").to_list(), strict=True):
            if row >= 0:
                texts[row] = value.strip()
        if kind == "multi":
            mark = separators.get(name, "|")
            result.multi[name] = [tuple(dict.fromkeys(p.strip() for p in t.split(mark) if p.strip())) for t in texts]
        elif kind in ("image", "audio"):
            paths = [str((folder / t).resolve()) if t else "" for t in texts]
            getattr(result, kind)[name] = paths
        else:
            getattr(result, kind)[name] = texts
    return result, created
