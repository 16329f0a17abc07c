"""Events from a file of JSON lines or CSV: the columns are EventWrite's fields."""

import csv
import json
import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from penchant.errors import DataError
from penchant.writes import EventWrite

_FIELDS = {field.name for field in fields(EventWrite)}
_TEXTS = _FIELDS - {"value", "event_time", "position", "context"}


def read_events(file: str, form: str = "auto") -> Iterator[EventWrite]:
    """Events in file order; "-" is stdin. form is jsonl, csv or auto: by name, else by the first character.

    Raises DataError with the file, line and column of what cannot be read.
    """
    name = "stdin" if file == "-" else file
    try:
        with nullcontext(sys.stdin) if file == "-" else Path(file).open(encoding="utf-8", newline="") as stream:
            first = stream.readline()
            is_csv = form == "csv" or (form == "auto" and not first.lstrip().startswith("{"))
            yield from _csv(name, first, stream) if is_csv else _json_lines(name, first, stream)
    except OSError as error:
        raise DataError(name, f"cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise DataError(name, f"is no UTF-8 text ({error.reason} at byte {error.start})") from None


def _json_lines(name: str, first: str, stream: TextIO) -> Iterator[EventWrite]:
    for number, line in enumerate(_with(first, stream), 1):
        if not line.strip():
            continue
        try:
            raw = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(name, f"is no JSON object: {error.msg}", number) from None
        if not isinstance(raw, dict):
            raise DataError(name, "is no JSON object: give one an event", number)
        yield _event(name, number, {key: value for key, value in raw.items() if value is not None})


def _csv(name: str, first: str, stream: TextIO) -> Iterator[EventWrite]:
    try:
        delimiter = max(",\t;", key=first.count)
        reader = csv.DictReader(_with(first, stream), delimiter=delimiter, strict=True)
        for row in reader:
            if None in row or None in row.values():
                raise DataError(name, f"has another number of columns than the header's {len(row)}", reader.line_num)
            yield _event(name, reader.line_num, {key: value for key, value in row.items() if value})
    except csv.Error as error:
        raise DataError(name, f"is no CSV: {error}") from None


def _with(first: str, stream: TextIO) -> Iterator[str]:
    yield first
    yield from stream


def _event(name: str, line: int, raw: Mapping[str, Any]) -> EventWrite:
    for field in raw:
        if field not in _FIELDS:
            known = ", ".join(sorted(_FIELDS))
            raise DataError(name, f"unknown field {field!r}; known are: {known}", line, str(field))
    if "event_type" not in raw:
        raise DataError(name, "is missing: every event needs a type", line, "event_type")
    values = {field: _read(name, line, field, value) for field, value in raw.items()}
    return EventWrite(**values)


def _read(name: str, line: int, field: str, value: Any) -> Any:
    try:
        if field in _TEXTS:
            return _text(value)
        if field == "value":
            return float(value)
        if field == "position":
            return int(value)
        if field == "event_time":
            return _time(value)
        context = json.loads(value) if isinstance(value, str) else value
        return {str(key): _text(entry) for key, entry in context.items()}
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise DataError(name, f"{value!r} cannot be read: {error}", line, field) from None


def _text(value: Any) -> str:
    if isinstance(value, bool | list | dict):
        raise ValueError("give a text or a number")
    return str(value)


def _time(value: Any) -> datetime:
    """Seconds since 1970 or ISO 8601; a time without a zone is UTC."""
    try:
        seconds = float(value)
    except ValueError:
        time = datetime.fromisoformat(value)
        return time if time.tzinfo else time.replace(tzinfo=UTC)
    if not math.isfinite(seconds):
        raise ValueError("it is no number of seconds")
    return datetime.fromtimestamp(seconds, UTC)
