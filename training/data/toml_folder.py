"""A folder with dataset.toml: CSV or Parquet files of anyone's own columns."""

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from penchant.errors import ConfigError, DataError
from penchant.events import EVENT_TYPES
from training.data.attributes import KINDS, EntityTable, entity_table
from training.data.columns import numbers, texts
from training.data.dataset import Dataset
from training.data.files import Dialect, Source, read_files
from training.data.table import IGNORED, build, position_clock
from training.data.tasks import check_rule, reads_values
from training.data.times import times_us

_OPTIONAL = ("value", "text", "slate_position", "slate", "session")
_EVENT_KEYS = {"files", "delimiter", "quote", "user", "item", "time", "type", "types", *_OPTIONAL}
_ENTITY_KEYS = {"files", "delimiter", "quote", "id", *KINDS}


class Description:
    """dataset.toml, with errors that name it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = path.parent
        try:
            self.tables = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise self.wrong(f"no valid TOML: {error}") from None

    def wrong(self, reason: str, key: str | None = None) -> DataError:
        """An error of the description itself."""
        return DataError(str(self.path), reason, None, key)

    def known(self, table: object, allowed: set[str], section: str) -> dict[str, Any]:
        """The table, if it is one and holds nothing unknown."""
        if not isinstance(table, dict):
            raise self.wrong(f"{section} must be a table, such as [{section}]")
        if extra := set(table) - allowed:
            raise self.wrong(f"{section} does not know {sorted(extra)}; it knows {sorted(allowed)}", min(extra))
        return table

    def text(self, value: object, key: str) -> str:
        """A text that is not empty."""
        if not isinstance(value, str) or not value:
            raise self.wrong(f"{key} is {value!r}: give a text in quotes", key)
        return value

    def column(self, value: object, key: str, others: frozenset[str] = frozenset()) -> str:
        """A column's name, written as "name" or { column = "name" }, the table with some other keys as well."""
        if isinstance(value, dict):
            return self.text(self.known(value, {"column", *others}, key).get("column"), f"{key} column")
        return self.text(value, key)

    def dialect(self, table: Mapping[str, Any], section: str) -> Dialect:
        """delimiter and quote of a section."""
        given, quote = table.get("delimiter"), table.get("quote", '"')
        if given is not None and not _is_mark(given):
            raise self.wrong(f'{section}.delimiter is {given!r}: give one ASCII character, such as "\\t"', "delimiter")
        if quote != "" and not _is_mark(quote):
            raise self.wrong(f'{section}.quote is {quote!r}: give one ASCII character, or "" for none', "quote")
        return Dialect(given, quote)

    def files(self, table: Mapping[str, Any], section: str) -> list[str]:
        """The files of a section."""
        files = table.get("files")
        if isinstance(files, str):
            files = [files]
        if not isinstance(files, list) or not files or not all(isinstance(f, str) and f for f in files):
            raise self.wrong(f'[{section}] needs files = ["..."]', "files")
        return files


def _is_mark(value: object) -> bool:
    """Whether it can part or quote cells: one ASCII character that ends no line."""
    return isinstance(value, str) and len(value) == 1 and value.isascii() and value not in "\0\r\n"


def read_toml(folder: Path) -> Dataset:
    """Read dataset.toml and what it names. Raises DataError with file, line, column and remedy."""
    description = Description(folder / "dataset.toml")
    tables = description.known(description.tables, {"name", "events", "items", "users", "tasks"}, "dataset.toml")
    if "events" not in tables:
        raise description.wrong("needs an [events] table with files, user and item")
    tasks = description.known(tables.get("tasks", {}), set(tables.get("tasks", {})), "tasks")
    for task, rule in tasks.items():
        try:
            check_rule(description.text(rule, f"tasks.{task}"))
        except ConfigError as error:
            raise description.wrong(str(error), task) from None
        if reads_values(rule) and "value" not in tables["events"]:
            raise description.wrong(f"task {task} is about values: name their column in [events] value = ...", task)
    counts: dict[str, int] = {}
    frame, has_times = _events(description, tables["events"])
    items = _entities(description, tables.get("items"), "items", counts)
    users = _entities(description, tables.get("users"), "users", counts)
    return build(
        name=description.text(tables.get("name", folder.resolve().name), "name"), folder=folder, frame=frame,
        has_times=has_times, items=items, users=users, tasks=tasks, counts=counts,
    )  # fmt: skip


def _events(description: Description, raw: object) -> tuple[pl.DataFrame, bool]:
    """The event columns as build() takes them, and whether there are times."""
    table = description.known(raw, _EVENT_KEYS, "events")
    for key in ("user", "item"):
        if key not in table:
            raise description.wrong(f'[events] needs {key} = "the {key} column"', key)
    of: dict[str, str] = {
        key: description.column(table[key], f"events.{key}") for key in ("user", "item", "time") if key in table
    }
    if isinstance(table.get("type"), dict):
        of["type"] = description.column(table["type"], "events.type")
    optional = {key: description.column(table[key], f"events.{key}") for key in _OPTIONAL if key in table}
    source = read_files(
        description.folder, description.files(table, "events"), description.dialect(table, "events"),
        {column: f"events.{key}" for key, column in of.items()},
        {column: f"events.{key}" for key, column in optional.items() if column not in of.values()},
    )  # fmt: skip

    def fault_in(column: str) -> Callable[[int, str], DataError]:
        return lambda row, reason: source.fault(row, column, reason)

    def read(key: str) -> pl.Series:
        column = (of | optional)[key]
        return texts(source.frame[column], fault_in(column))

    columns: dict[str, Any] = {"user": read("user"), "item": read("item")}
    columns["type"] = _types(description, table, source, of.get("type"))
    if "time" in of:
        columns["time"] = times_us(source.frame[of["time"]], fault_in(of["time"]))
    else:
        columns["time"] = position_clock(columns["user"])
    for key in _OPTIONAL:
        if key in ("value", "slate_position") and key in optional:
            read_numbers = numbers(source.frame[optional[key]], fault_in(optional[key]))
            columns[key] = read_numbers if key == "value" else _positions(read_numbers, fault_in(optional[key]))
        elif key in optional:
            column = source.frame[optional[key]]
            numbered = key != "text" and column.dtype.is_integer()
            columns[key] = column.cast(pl.Int64) if numbered else read(key)
    columns.setdefault("value", np.full(len(source.frame), np.nan))
    return pl.DataFrame(columns), "time" in of


def _types(description: Description, table: Mapping[str, Any], source: Source, column: str | None) -> pl.Series:
    """Event types by Penchant's names."""
    mapping = table.get("types", {})
    if not isinstance(mapping, dict):
        raise description.wrong('events.types must be a table such as { buy = "purchase" }', "types")
    for own, name in mapping.items():
        if name not in EVENT_TYPES and name != IGNORED:
            raise description.wrong(f"events.types maps {own!r} to {name!r}: {_known_types()}", "types")
    if column is None:
        constant = description.text(table.get("type", "click"), "events.type")
        constant = mapping.get(constant, constant)
        if constant not in EVENT_TYPES:
            raise description.wrong(
                f"events.type is {constant!r}: give one of {', '.join(sorted(EVENT_TYPES))}", "type"
            )
        return pl.Series("type", [constant], dtype=pl.String).new_from_index(0, len(source.frame))
    written = texts(source.frame[column], lambda row, reason: source.fault(row, column, reason))
    types = written.replace(mapping) if mapping else written
    unknown = (types.is_not_null() & ~types.is_in([*EVENT_TYPES, IGNORED])).arg_true()
    if len(unknown):
        row = int(unknown[0])
        raise source.fault(
            row, column, f"unknown event type {written[row]!r}: map it in dataset.toml, [events] types = "
            f'{{ {written[row]} = "..." }}; {_known_types()}',
        )  # fmt: skip
    return types


def _known_types() -> str:
    return f"give one of {', '.join(sorted(EVENT_TYPES))}, or {IGNORED} to leave it out"


def _positions(read: np.ndarray, fault: Callable[[int, str], DataError]) -> pl.Series:
    outside = np.flatnonzero(~np.isnan(read) & ~((read >= 0) & (read <= 32_767) & (read % 1 == 0)))
    if len(outside):
        row = int(outside[0])
        raise fault(row, f"slate position {read[row]:g}: give a whole number from 0 to 32767, or nothing")
    return pl.Series(np.where(np.isnan(read), -1, read).astype(np.int16))


def _entities(description: Description, raw: object, section: str, counts: dict[str, int]) -> EntityTable | None:
    if raw is None:
        return None
    table = description.known(raw, _ENTITY_KEYS, section)
    if "id" not in table:
        raise description.wrong(f'[{section}] needs id = "the id column"', "id")
    id_column = description.column(table["id"], f"{section}.id")
    kinds: dict[str, str] = {}
    separators: dict[str, str] = {}
    for kind in KINDS:
        listed = table.get(kind, [])
        for entry in listed if isinstance(listed, list) else [listed]:
            name = description.column(entry, f"{section}.{kind}", frozenset({"separator"}))
            if name in kinds or name == id_column:
                raise description.wrong(f"{section} names column {name!r} twice: give it one kind", kind)
            kinds[name] = kind
            separator = entry.get("separator", "|") if isinstance(entry, dict) else "|"
            separators[name] = description.text(separator, f"{section}.{kind} separator")
    if section == "users" and "created" in kinds.values():
        raise description.wrong("[users] knows no created: it is for items", "created")
    if list(kinds.values()).count("created") > 1:
        raise description.wrong(f"[{section}] created names several columns: give one", "created")
    source = read_files(
        description.folder, description.files(table, section), description.dialect(table, section),
        {id_column: f"{section}.id"}, {name: f"{section}.{kind}" for name, kind in kinds.items()},
    )  # fmt: skip
    return entity_table(source, id_column, kinds, separators, section, counts)
