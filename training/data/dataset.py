"""A dataset in memory: what every reader gives and everything that trains takes."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class EventTable:
    """E events in columns, sorted by (time, original order): stable, so equal times keep the file's order.

    users, items int32 [E] index into Dataset.user_ids / item_ids (item -1: no item); times int64 [E] UTC
    microseconds (a position clock where has_times is False: 1 second a step of the file); types int8 [E]
    index into Dataset.event_types; values float32 [E], NaN: none; order int64 [E] the row's place in the
    source, which breaks ties within a user.
    """

    users: NDArray[np.int32]
    items: NDArray[np.int32]
    times: NDArray[np.int64]
    types: NDArray[np.int8]
    values: NDArray[np.float32]
    order: NDArray[np.int64]
    texts: NDArray[np.object_] | None = None
    """Search or comment text by event, "" for none; None if the set has no text events."""
    impressions: NDArray[np.bool_] | None = None
    """True where the row is an exposure of an item on a slate (a real negative unless followed by engagement)."""
    slate_positions: NDArray[np.int16] | None = None
    """Position on the slate from 0, -1 for none."""
    slates: NDArray[np.int64] | None = None
    """The slate an exposure was on or an act came from: equal numbers, same slate; -1 for none."""
    sessions: NDArray[np.int64] | None = None
    """The session: equal numbers, same session; -1 for none."""

    def __len__(self) -> int:
        return len(self.users)

    def take(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> "EventTable":
        """The chosen rows, in the given order."""
        return EventTable(
            self.users[index], self.items[index], self.times[index], self.types[index], self.values[index],
            self.order[index],
            None if self.texts is None else self.texts[index],
            None if self.impressions is None else self.impressions[index],
            None if self.slate_positions is None else self.slate_positions[index],
            None if self.slates is None else self.slates[index],
            None if self.sessions is None else self.sessions[index],
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Attributes:
    """Attributes of N entities (items or users), row-aligned with the dataset's ids.

    categorical: "" is missing. multi: tuple of tags, () is missing. numeric: NaN is missing. text: "" is
    missing. image / audio: absolute paths, "" is missing.
    """

    categorical: dict[str, list[str]] = field(default_factory=dict)
    multi: dict[str, list[tuple[str, ...]]] = field(default_factory=dict)
    numeric: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    text: dict[str, list[str]] = field(default_factory=dict)
    image: dict[str, list[str]] = field(default_factory=dict)
    audio: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Dataset:
    """Everything read from one folder. tasks maps a ranking task to its rule, e.g. {"like": "value >= 4"}."""

    name: str
    user_ids: list[str]
    item_ids: list[str]
    event_types: list[str]
    events: EventTable
    items: Attributes
    users: Attributes
    has_times: bool
    tasks: dict[str, str]
    counts: dict[str, int]
    """What cleaning did: rows_read, duplicates_dropped, missing_user, bad_values, outliers_clipped, ..."""
    folder: Path
    created_us: NDArray[np.int64] | None = None
    """Items' arrival times, UTC microseconds; None if unknown."""


def iterate(events: EventTable) -> Iterator[int]:
    """Row numbers in time order."""
    return iter(range(len(events)))


def frame(events: EventTable) -> pl.DataFrame:
    """The five core columns as a polars frame, for group-bys."""
    return pl.DataFrame(
        {
            "user": events.users,
            "item": events.items,
            "time": events.times,
            "type": events.types,
            "value": events.values,
            "order": events.order,
        }
    )
