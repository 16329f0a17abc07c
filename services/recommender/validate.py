"""Bounds of the front door's requests: pure checks that name the field and the bound."""

import math
import zoneinfo
from collections.abc import Mapping, Sequence
from functools import lru_cache

from penchant.errors import InvalidArgument
from penchant.ids import MAX_ID_BYTES
from penchant.leaves import Condition
from penchant.retrieval import SOURCES

MAX_ITEMS = 1000
MAX_EXCLUDED = 10_000
MAX_CALLER_CANDIDATES = 1000
MAX_CONDITIONS = 32
MAX_CONDITION_VALUES = 256
MAX_CONTEXT_ENTRIES = 32
MAX_CONTEXT_BYTES = 256
MAX_SHORT_BYTES = 64
MAX_AHEAD_US = 5 * 60 * 1_000_000
MAX_TIME_ZONE_BYTES = 64


def check_text(field: str, value: str, max_bytes: int = MAX_ID_BYTES, required: bool = False) -> None:
    """An id or name: no NUL byte, at most max_bytes in UTF-8."""
    if not value:
        if required:
            raise InvalidArgument(field, "is empty: give one")
        return
    if len(value) > max_bytes or (not value.isascii() and len(value.encode()) > max_bytes):
        raise InvalidArgument(field, f"has {len(value.encode())} bytes, at most {max_bytes} are allowed")
    if "\0" in value:
        raise InvalidArgument(field, "holds a NUL byte: ids and names may not")


def check_ids(field: str, ids: Sequence[str], most: int) -> None:
    """Many ids; empty ones name no item and are left to be ignored."""
    if len(ids) > most:
        raise InvalidArgument(field, f"has {len(ids)} entries, at most {most} are allowed")
    together = "".join(ids)
    if "\0" not in together and max(map(len, ids), default=0) <= MAX_ID_BYTES and together.isascii():
        return
    for i, value in enumerate(ids):
        check_text(f"{field}[{i}]", value)


def check_count(field: str, value: int) -> None:
    """How many to return."""
    if not 1 <= value <= MAX_ITEMS:
        raise InvalidArgument(field, f"is {value}, it must be from 1 to {MAX_ITEMS}")


def check_context(context: Mapping[str, str]) -> None:
    """Free key-value context."""
    if len(context) > MAX_CONTEXT_ENTRIES:
        raise InvalidArgument("context", f"has {len(context)} entries, at most {MAX_CONTEXT_ENTRIES} are allowed")
    for name, value in context.items():
        check_text("context", name, MAX_CONTEXT_BYTES)
        check_text(f"context[{name!r}]", value, MAX_CONTEXT_BYTES)


def check_conditions(conditions: Sequence[Condition]) -> None:
    """The filter; whether its attributes exist, the item table says."""
    if len(conditions) > MAX_CONDITIONS:
        raise InvalidArgument(
            "filter.conditions", f"has {len(conditions)} entries, at most {MAX_CONDITIONS} are allowed"
        )
    for i, condition in enumerate(conditions):
        at = f"filter.conditions[{i}]"
        check_text(f"{at}.attribute", condition.attribute, required=True)
        if len(condition.any_of) > MAX_CONDITION_VALUES:
            raise InvalidArgument(
                f"{at}.any_of", f"has {len(condition.any_of)} values, at most {MAX_CONDITION_VALUES} are allowed"
            )
        for j, value in enumerate(condition.any_of):
            check_text(f"{at}.any_of[{j}]", value)
        low, high = condition.minimum, condition.maximum
        for name, bound in (("minimum", low), ("maximum", high)):
            if bound is not None and not math.isfinite(bound):
                raise InvalidArgument(f"{at}.{name}", f"is {bound}, it must be a finite number: leave it out instead")
        if low is not None and high is not None and low > high:
            raise InvalidArgument(f"{at}.minimum", f"is {low}, above the maximum {high}: no item can meet that")
        if low is None and high is None and not condition.any_of:
            raise InvalidArgument(f"{at}.any_of", "is empty and there is no range: give values, minimum or maximum")


def check_sources(sources: Sequence[str]) -> None:
    """Names of retrieval sources."""
    if len(sources) > len(SOURCES):
        raise InvalidArgument("sources", f"has {len(sources)} entries, there are {len(SOURCES)} sources")
    for i, source in enumerate(sources):
        if source not in SOURCES:
            raise InvalidArgument(f"sources[{i}]", f"unknown source {source!r}; known are: {', '.join(SOURCES)}")


def check_time(field: str, seconds: int, nanos: int, now_us: int) -> int:
    """UTC microseconds of a timestamp from 1970 on, at most five minutes ahead of now."""
    if seconds < 0:
        raise InvalidArgument(field, f"is {seconds} s, before 1970: give seconds since 1970-01-01T00:00:00Z")
    if not 0 <= nanos < 1_000_000_000:
        raise InvalidArgument(field, f"has {nanos} nanos, it must be from 0 to 999999999")
    time_us = seconds * 1_000_000 + nanos // 1000
    if time_us > now_us + MAX_AHEAD_US:
        raise InvalidArgument(field, f"is {seconds} s, more than 5 minutes ahead of now ({now_us // 1_000_000} s)")
    return time_us


def check_position(field: str, value: int) -> None:
    """A log position."""
    if value < 0:
        raise InvalidArgument(field, f"is {value}, it must be 0 or a position from WriteEvents")


@lru_cache(maxsize=1024)
def _is_time_zone(name: str) -> bool:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def check_time_zone(name: str) -> None:
    """An IANA time zone, or nothing."""
    check_text("time_zone", name, MAX_TIME_ZONE_BYTES)
    if name and not _is_time_zone(name):
        raise InvalidArgument("time_zone", f"unknown time zone {name!r}: give an IANA name such as 'Europe/Berlin'")
