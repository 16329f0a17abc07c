"""A folder with dataset.toml: CSV or Parquet files of anyone's own columns."""

import csv
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from penchant.errors import DataError
from training.data.dataset import Dataset
from training.data.table import SECOND_US, build, times_us

_EVENT_KEYS = {
    "files", "delimiter", "user", "item", "time", "type", "types", "value", "text", "slate_position",
    "slate", "session",
}  # fmt: skip
_ENTITY_KEYS = {"files", "delimiter", "id", "categorical", "multi", "numeric", "text", "image", "audio", "created"}


def _read(path: Path, delimiter: str | None) -> pl.DataFrame:
    if not path.is_file():
        raise DataError(str(path), "no such file: check `files` in dataset.toml")
    if path.suffix == ".parquet":
        return pl.read_parquet(path)
    if delimiter is None:
        with path.open(newline="", encoding="utf-8", errors="replace") as file:
            sample = file.read(65536)
        try:
            delimiter = csv.Sniffer().sniff(sample.splitlines()[0] if sample else ",", ",;\t|").delimiter
        except csv.Error:
            delimiter = ","
    try:
        return pl.read_csv(path, separator=delimiter, infer_schema=False)
    except pl.exceptions.NoDataError:
        raise DataError(str(path), "the file is empty: give a header and at least one row", 1) from None
    except pl.exceptions.PolarsError as error:
        line = _ragged_line(path, delimiter)
        reason = str(error).splitlines()[0]
        raise DataError(str(path), f"{reason}: mend the line or set `delimiter` in dataset.toml", line) from None


def _ragged_line(path: Path, delimiter: str) -> int | None:
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        reader = csv.reader(file, delimiter=delimiter)
        width = len(next(reader, []))
        for row in reader:
            if len(row) != width:
                return reader.line_num
    return None


def _files(table: dict[str, Any], section: str, folder: Path) -> pl.DataFrame:
    files = table.get("files")
    where = str(folder / "dataset.toml")
    if not isinstance(files, list) or not files:
        raise DataError(where, f'[{section}] needs files = ["..."]')
    frames = [_read(folder / name, table.get("delimiter")) for name in files]
    return pl.concat(frames, how="diagonal_relaxed")


def _column(frame: pl.DataFrame, name: str, section: str, key: str, folder: Path) -> pl.Series:
    if name not in frame.columns:
        raise DataError(
            str(folder / "dataset.toml"), f"[{section}] {key} names column {name!r}; the file has {frame.columns}",
            column=name,
        )  # fmt: skip
    return frame[name]


def _known(table: dict[str, Any], allowed: set[str], section: str, folder: Path) -> None:
    if extra := set(table) - allowed:
        raise DataError(
            str(folder / "dataset.toml"), f"[{section}] does not know {sorted(extra)}; it knows {sorted(allowed)}"
        )


def _numbers(column: pl.Series, file: str, name: str) -> pl.Series:
    numbers = column.cast(pl.Float64, strict=False)
    bad = (numbers.is_null() & column.is_not_null() & (column.cast(pl.String) != "")).arg_true()
    if len(bad):
        raise DataError(file, f"{column[int(bad[0])]!r} is no number: mend the row", int(bad[0]) + 2, name)
    return numbers


def _entity(
    table: dict[str, Any] | None, section: str, folder: Path
) -> tuple[pl.DataFrame | None, dict[str, str], dict[str, str]]:
    if table is None:
        return None, {}, {}
    _known(table, _ENTITY_KEYS, section, folder)
    frame = _files(table, section, folder)
    if "id" not in table:
        raise DataError(str(folder / "dataset.toml"), f'[{section}] needs id = "the id column"')
    kinds: dict[str, str] = {}
    separators: dict[str, str] = {}
    chosen = {"id": _column(frame, table["id"], section, "id", folder)}
    for kind in ("categorical", "multi", "numeric", "text", "image", "audio", "created"):
        listed = table.get(kind, [])
        for entry in [listed] if isinstance(listed, str | dict) else listed:
            name = entry["column"] if isinstance(entry, dict) else entry
            column = _column(frame, name, section, kind, folder)
            file = str(folder / table["files"][0])
            chosen[name] = _numbers(column, file, name) if kind == "numeric" else column
            kinds[name] = kind
            separators[name] = entry.get("separator", "|") if isinstance(entry, dict) else "|"
    return (
        pl.DataFrame({n: c.rename(n) for n, c in chosen.items()}).unique("id", keep="last", maintain_order=True),
        (kinds),
        separators,
    )


def read_toml(folder: Path) -> Dataset:
    """Read dataset.toml and what it names. Raises DataError with file, line, column and remedy."""
    path = folder / "dataset.toml"
    try:
        described = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise DataError(str(path), f"no valid TOML: {error}") from None
    _known(described, {"name", "events", "items", "users", "tasks"}, "top level", folder)
    if "events" not in described:
        raise DataError(str(path), "needs an [events] table with files, user and item")
    table = described["events"]
    _known(table, _EVENT_KEYS, "events", folder)
    for key in ("user", "item"):
        if key not in table:
            raise DataError(str(path), f'[events] needs {key} = "the {key} column"')
    raw = _files(table, "events", folder)
    file = str(folder / table["files"][0])
    user = _column(raw, table["user"], "events", "user", folder)
    item = _column(raw, table["item"], "events", "item", folder)
    has_times = "time" in table
    if has_times:
        times = times_us(_column(raw, table["time"], "events", "time", folder), file, table["time"])
    else:
        times = np.arange(1, len(raw) + 1, dtype=np.int64) * SECOND_US
    kind = table.get("type", "click")
    if isinstance(kind, dict):
        types = _column(raw, kind["column"], "events", "type", folder).cast(pl.String)
    else:
        types = pl.Series("type", [kind] * len(raw), dtype=pl.String)
    if mapping := table.get("types"):
        types = types.replace(mapping)
    columns: dict[str, Any] = {"user": user, "item": item, "time": times, "type": types}
    value = table.get("value")
    if value is None:
        columns["value"] = np.full(len(raw), np.nan)
    else:
        name = value["column"] if isinstance(value, dict) else value
        columns["value"] = _numbers(_column(raw, name, "events", "value", folder), file, name)
    for key in ("text", "slate_position", "slate", "session"):
        if key in table:
            column = _column(raw, table[key], "events", key, folder)
            columns[key] = _numbers(column, file, table[key]) if key == "slate_position" else column
    items, item_kinds, item_separators = _entity(described.get("items"), "items", folder)
    users, user_kinds, user_separators = _entity(described.get("users"), "users", folder)
    return build(
        name=described.get("name", folder.name), folder=folder, frame=pl.DataFrame(columns), has_times=has_times,
        item_frame=items, item_kinds=item_kinds, user_frame=users, user_kinds=user_kinds,
        separators=item_separators | user_separators, tasks=described.get("tasks", {}), counts={},
    )  # fmt: skip
