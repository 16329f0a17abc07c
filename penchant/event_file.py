"""Events from a file of JSON lines, one JSON array or CSV: the columns are EventWrite's fields."""

import csv
import json
import math
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, TextIO

from penchant import messages
from penchant.errors import DataError, InvalidArgument
from penchant.fields import shown
from penchant.writes import EventWrite

MAX_SPOOLED_BYTES = 1 << 30
_FIELDS = {field.name for field in fields(EventWrite)}
_TEXTS = _FIELDS - {"value", "event_time", "position", "context"}
_IDENTITIES = {"user_id", "anonymous_id", "device_id"}
_CSV_BY_NAME = {".jsonl": False, ".ndjson": False, ".json": False, ".csv": True, ".tsv": True}
_SPACE = " \t\r\n"


@contextmanager
def opened(file: str, most: int = MAX_SPOOLED_BYTES) -> Iterator[tuple[Path, str]]:
    """A path that can be read more than once, and what to call it: stdin ("-") and pipes are copied to disk first.

    Raises DataError for what cannot be read, or has more than `most` bytes to copy.
    """
    if file != "-" and Path(file).is_file():
        yield Path(file), file
        return
    name = "stdin" if file == "-" else file
    with tempfile.NamedTemporaryFile(prefix="penchant-") as spool:
        try:
            if file == "-" and sys.stdin is None:
                raise DataError(name, "is closed: give a file, or open it")
            if file == "-":
                _copy(getattr(sys.stdin, "buffer", sys.stdin), spool, name, most)
            else:
                with Path(file).open("rb") as source:
                    _copy(source, spool, name, most)
        except OSError as error:
            raise DataError(name, f"cannot be read ({error.strerror})") from None
        except UnicodeDecodeError as error:
            raise DataError(name, f"is no UTF-8 text ({error.reason})") from None
        yield Path(spool.name), name


def _copy(source: IO[Any], spool: IO[bytes], name: str, most: int) -> None:
    while block := source.read(1 << 20):
        spool.write(block if isinstance(block, bytes) else block.encode())
        if spool.tell() > most:
            raise DataError(
                name, f"is too long, at most {most} bytes are taken from a pipe: write a file and give that"
            )
    spool.flush()


def read_events(path: Path, name: str, form: str = "auto") -> Iterator[EventWrite]:
    """Events in file order. form is jsonl, csv or auto: by the ending of the name, else by the first character.

    Every event can be sent as it is. Raises DataError with the name, line and column of what cannot.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            start = next((c for line in stream if (c := line.strip()[:1])), "")
            stream.seek(0)
            is_csv = form == "csv" or (form == "auto" and _CSV_BY_NAME.get(Path(name).suffix, start not in tuple("{[")))
            if not start:
                return
            if is_csv:
                yield from _csv(name, stream)
            elif start == "[":
                yield from _json_array(name, stream.read())
            else:
                yield from _json_lines(name, stream)
    except UnicodeDecodeError as error:
        raise DataError(name, f"is no UTF-8 text ({error.reason} at byte {error.start})") from None
    except OSError as error:
        raise DataError(name, f"cannot be read ({error.strerror})") from None


def _json_lines(name: str, stream: TextIO) -> Iterator[EventWrite]:
    for number, line in enumerate(stream, 1):
        if not line.strip():
            continue
        try:
            raw = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(name, f"is no JSON object: {_why(error)}", number) from None
        yield _json_event(name, number, raw)


def _json_array(name: str, text: str) -> Iterator[EventWrite]:
    """One array of events, over as many lines as it likes."""
    decoder, at = json.JSONDecoder(), _after_space(text, text.index("[") + 1)
    line, counted = 1, 0
    end = text[at : at + 1]
    while end != "]":
        line, counted = line + text.count("\n", counted, at), at
        try:
            raw, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raise DataError(name, f"is no JSON array of events: {_why(error)}", line) from None
        yield _json_event(name, line, raw)
        at = _after_space(text, at)
        end = text[at : at + 1]
        if end not in tuple(",]"):
            raise DataError(name, "is no JSON array of events: it lacks a ',' or its ']'", line)
        at = _after_space(text, at + 1) if end == "," else at
    rest = _after_space(text, at + 1)
    if rest < len(text):
        line += text.count("\n", counted, rest)
        raise DataError(name, "goes on after the JSON array: give one array, or one object a line", line)


def _after_space(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at


def _why(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    return error.msg if isinstance(error, json.JSONDecodeError) else str(error)


def _json_event(name: str, line: int, raw: Any) -> EventWrite:
    if not isinstance(raw, dict):
        raise DataError(name, "is no JSON object: give one an event", line)
    return _event(name, line, {key: value for key, value in raw.items() if value is not None})


def _csv(name: str, stream: TextIO) -> Iterator[EventWrite]:
    line = 1
    try:
        first = stream.readline()
        while not first.strip():
            first, line = stream.readline(), line + 1
        reader = csv.DictReader(_with(first, stream), delimiter=max(",\t;", key=first.count), strict=True)
        _check_header(name, line, reader.fieldnames or ())
        for row in reader:
            number = reader.line_num + line - 1
            if None in row or None in row.values():
                raise DataError(name, f"has another number of columns than the header's {len(row)}", number)
            yield _event(name, number, {key: value for key, value in row.items() if value})
    except csv.Error as error:
        raise DataError(name, f"is no CSV: {error}") from None


def _with(first: str, stream: TextIO) -> Iterator[str]:
    yield first
    yield from stream


def _check_header(name: str, line: int, columns: Any) -> None:
    for place, column in enumerate(columns):
        _check_field(name, line, column)
        if column in columns[:place]:
            raise DataError(name, "is in the header twice", line, column)
    if "event_type" not in columns:
        raise DataError(name, "is missing in the header: every event needs a type", line, "event_type")
    if not _IDENTITIES & set(columns):
        raise DataError(name, "the header lacks who acted: give a column user_id, anonymous_id or device_id", line)


def _check_field(name: str, line: int, field: str) -> None:
    if field not in _FIELDS:
        known = ", ".join(sorted(_FIELDS))
        raise DataError(name, f"unknown field {field[:80]!r}; known are: {known}", line, field[:80])


def _event(name: str, line: int, raw: Mapping[str, Any]) -> EventWrite:
    for field in raw:
        _check_field(name, line, field)
    if "event_type" not in raw:
        raise DataError(name, "is missing: every event needs a type", line, "event_type")
    event = EventWrite(**{field: _read(name, line, field, value) for field, value in raw.items()})
    try:
        messages.event(event)
    except InvalidArgument as error:
        raise DataError(name, error.reason, line, error.field) from None
    return event


def _read(name: str, line: int, field: str, value: Any) -> Any:
    try:
        if field in _TEXTS:
            return _text(value)
        if field == "value":
            return _number(value)
        if field == "position":
            return _whole(value)
        if field == "event_time":
            return _time(value)
        context = json.loads(value) if isinstance(value, str) else value
        if not isinstance(context, dict):
            raise ValueError("give a JSON object of texts")
        return {key: _text(entry) for key, entry in context.items()}
    except (ValueError, TypeError, OverflowError, RecursionError, OSError) as error:
        raise DataError(name, f"{shown(value)} cannot be read: {_why(error)}", line, field) from None


def _text(value: Any) -> str:
    if isinstance(value, bool | list | dict) or value is None:
        raise ValueError("give a text or a number")
    return str(value)


def _number(value: Any) -> float:
    if isinstance(value, bool | list | dict):
        raise ValueError("give a number")
    return float(value)


def _whole(value: Any) -> int:
    if isinstance(value, str):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise ValueError("give a whole number")
    return int(value)


def _time(value: Any) -> datetime:
    """Seconds since 1970 or ISO 8601; a time without a zone is UTC."""
    if isinstance(value, bool | list | dict):
        raise ValueError("give seconds since 1970 or ISO 8601")
    try:
        seconds = float(value)
    except ValueError:
        time = datetime.fromisoformat(value)
        return time if time.tzinfo else time.replace(tzinfo=UTC)
    if not math.isfinite(seconds):
        raise ValueError("it is no number of seconds")
    return datetime.fromtimestamp(seconds, UTC)
