"""From raw columns to a clean Dataset: missing values, duplicates, outliers and unfit ids, all counted."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from penchant.errors import DataError
from penchant.events import EVENT_TYPES
from training.data.attributes import EntityTable, align
from training.data.columns import coded, unfit
from training.data.dataset import Dataset, EventTable
from training.data.times import MISSING, OUTSIDE, SECOND_US

__all__ = ["SECOND_US", "build"]
IGNORED = "ignore"
"""The type that dataset.toml maps to what is to be left out."""
OUTLIER_REACH = 10.0
"""Values further than this many interquartile ranges from the middle half are clipped."""
_EXPOSED = ("impression", "view")


def build(
    *,
    name: str,
    folder: Path,
    frame: pl.DataFrame,
    has_times: bool,
    items: EntityTable | None = None,
    users: EntityTable | None = None,
    tasks: Mapping[str, str],
    counts: dict[str, int],
) -> Dataset:
    """A Dataset of columns user, item, type (text), time (us), value and, where there are any, text, slate_position,
    slate, session; a null is a missing value. Raises DataError if nothing is left.

    Rows without user, time or needed item and rows with unfit ids are dropped, exact repeats too where there are
    times; values that are infinite are removed, outliers clipped. Every step is counted, and a clean table stays as
    it is.
    """
    counts["rows_read"] = len(frame)
    user_codes, user_names = coded(frame["user"])
    item_codes, item_names = coded(frame["item"])
    type_codes, type_names = coded(frame["type"])
    needs_item = np.array([t in EVENT_TYPES and EVENT_TYPES[t].needs_item for t in type_names] + [False])
    ignored = np.array([t == IGNORED for t in type_names] + [False])
    unfit_user, unfit_item = np.append(unfit(user_names), False), np.append(unfit(item_names), False)
    times = frame["time"].to_numpy()
    kept = np.ones(len(frame), np.bool_)
    for reason, bad in (
        ("ignored_type", ignored[type_codes]),
        ("missing_type", type_codes < 0),
        ("missing_user", user_codes < 0),
        ("missing_item", (item_codes < 0) & needs_item[type_codes]),
        ("unfit_id", unfit_user[user_codes] | unfit_item[item_codes]),
        ("missing_time", times == MISSING),
        ("bad_time", times == OUTSIDE),
    ):
        counts[reason] = int((kept & bad).sum())
        kept &= ~bad
    columns: dict[str, Any] = {
        "user": user_codes, "item": item_codes, "type": type_codes.astype(np.int8), "time": times,
        "value": frame["value"].cast(pl.Float32),
    }  # fmt: skip
    optional = [c for c in ("text", "slate_position", "slate", "session") if c in frame.columns]
    clean = pl.DataFrame(columns).with_columns(frame[c] for c in optional).with_row_index("order")
    clean = clean.filter(pl.Series(kept))
    # Without times a repeat is a second act; with them it is the same act written twice.
    if has_times:
        told_apart = ["user", "item", "time", "type", *(c for c in ("text", "slate") if c in optional)]
        unique = clean.unique(told_apart, keep="first", maintain_order=True)
        counts["duplicates_dropped"] = len(clean) - len(unique)
        clean = unique
    clean = clean.sort("time", maintain_order=True)
    if len(clean) == 0:
        if len(frame) == 0:
            raise DataError(str(folder), "the event files hold a header and no rows: give at least one event")
        dropped = ", ".join(f"{name} {count:,}" for name, count in counts.items() if count)
        raise DataError(str(folder), f"no usable event is left ({dropped}): check the columns named in dataset.toml")
    counts["events"] = len(clean)

    users_E, user_ids = _renumbered(clean["user"].to_numpy(), user_names, [])
    items_E, item_ids = _renumbered(clean["item"].to_numpy(), item_names, items.ids if items else [])
    types_E, event_types = _sorted_types(clean["type"].to_numpy(), type_names)
    if users is not None:
        counts["users_without_events"] = len(set(users.ids) - set(user_ids))
    events = EventTable(
        users_E, items_E, clean["time"].to_numpy().astype(np.int64), types_E, _clipped(clean["value"], counts),
        clean["order"].to_numpy().astype(np.int64), **_optional(clean, types_E, event_types),
    )  # fmt: skip
    item_attributes, created = align(items, item_ids, folder, counts)
    user_attributes, _ = align(users, user_ids, folder, counts)
    return Dataset(
        name, user_ids, item_ids, event_types, events, item_attributes, user_attributes, has_times, dict(tasks),
        counts, folder, created,
    )  # fmt: skip


def position_clock(users: pl.Series) -> NDArray[np.int64]:
    """Times for a file without any: one second a row.

    A file in which every user's rows stand together says nothing of the order between users: there each user's own
    sequence starts at second 1.
    """
    place = np.arange(len(users), dtype=np.int64)
    changes = np.flatnonzero((users != users.shift(1)).fill_null(True).to_numpy())
    if 1 < len(changes) < len(users) and len(changes) == users.n_unique():
        place -= np.repeat(changes, np.diff(np.append(changes, len(users))))
    return (place + 1) * SECOND_US


def _clipped(column: pl.Series, counts: dict[str, int]) -> NDArray[np.float32]:
    """Values float32 [E], NaN where there is none; outliers at the bound."""
    # Rounded first and clipped within the bounds: a second cleaning finds the same bounds and nothing outside.
    with np.errstate(over="ignore"):
        values = column.fill_null(np.nan).to_numpy().astype(np.float32)
    infinite = np.isinf(values)
    values[infinite] = np.nan
    counts["bad_values"] = int(infinite.sum())
    finite = values[~np.isnan(values)].astype(np.float64)
    counts["outliers_clipped"] = 0
    if len(finite):
        low, high = np.percentile(finite, [25, 75])
        if high > low:
            reach = OUTLIER_REACH * (high - low)
            least, most = np.float32(low - reach), np.float32(high + reach)
            least = np.nextafter(least, np.float32(np.inf)) if least < low - reach else least
            most = np.nextafter(most, np.float32(-np.inf)) if most > high + reach else most
            counts["outliers_clipped"] = int(((values < least) | (values > most)).sum())
            values = np.clip(values, least, most)
    return values


def _renumbered(codes: NDArray[np.int32], names: list[str], listed: list[str]) -> tuple[NDArray[np.int32], list[str]]:
    """Codes and names anew: the listed names first, then the others in order of first appearance; -1 stays."""
    first = np.full(len(names) + 1, -1, np.int64)
    # Written from the end, each place keeps its first row; -1 writes to the last place, which is nobody's.
    first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)
    used = np.flatnonzero(first[:-1] >= 0)
    in_order = used[np.argsort(first[used])].tolist()
    ids = list(dict.fromkeys([*listed, *(names[code] for code in in_order)]))
    place = {id_: i for i, id_ in enumerate(ids)}
    renumber = np.full(len(names) + 1, -1, np.int32)
    for code in in_order:
        renumber[code] = place[names[code]]
    return renumber[codes], ids


def _sorted_types(codes: NDArray[np.int8], names: list[str]) -> tuple[NDArray[np.int8], list[str]]:
    event_types = sorted(names[code] for code in np.unique(codes).tolist())
    place = np.array([event_types.index(n) if n in event_types else -1 for n in names], np.int8)
    return place[codes], event_types


def _optional(frame: pl.DataFrame, types: NDArray[np.int8], event_types: list[str]) -> dict[str, Any]:
    """The optional columns of an EventTable that the frame has."""
    given: dict[str, Any] = {}
    if "text" in frame.columns:
        given["texts"] = frame["text"].fill_null("").to_numpy().astype(object)
    if "slate_position" in frame.columns:
        given["slate_positions"] = frame["slate_position"].cast(pl.Int16).fill_null(-1).to_numpy()
    for key, name in (("slate", "slates"), ("session", "sessions")):
        if key in frame.columns:
            given[name] = _numbered(frame[key])
    if "slate_position" in frame.columns or "impression" in event_types:
        by_type = np.array([t in _EXPOSED for t in event_types])
        shown = by_type[types]
        if "slate_position" in frame.columns:
            shown &= (given["slate_positions"] >= 0) | (types == _place(event_types, "impression"))
        else:
            shown &= types == _place(event_types, "impression")
        given["impressions"] = shown
    return given


def _numbered(column: pl.Series) -> NDArray[np.int64]:
    """Equal values, equal numbers, -1 for none. Columns of whole numbers are taken as they are."""
    if column.dtype.is_integer() and (column.min() or 0) >= 0:  # type: ignore[operator]
        return column.fill_null(-1).to_numpy().astype(np.int64)
    return coded(column.cast(pl.String))[0].astype(np.int64)


def _place(names: list[str], name: str) -> int:
    return names.index(name) if name in names else -1
