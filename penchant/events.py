"""The event, as everything inside Penchant sees it, and what each type means."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Event:
    """One thing one user did. Times are UTC microseconds; value is NaN when there is none; item_key 0: no item."""

    user_key: int
    item_key: int
    event_type: str
    event_time_us: int
    value: float = math.nan
    text: str = ""
    position: int = 0
    """Log position; 0 before the log has given one."""
    event_id: str = ""
    tenant: str = ""
    user_id: str = ""
    item_id: str = ""
    anonymous_id: str = ""
    device_id: str = ""
    session_id: str = ""
    ingest_time_us: int = 0
    recommendation_id: str = ""
    slate_position: int = -1
    placement: str = ""
    consent: int = 0
    context: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EventType:
    """What a type means to the models: its code in histories, its weight, and what it does to the slate."""

    name: str
    code: int
    weight: float
    in_history: bool
    """Enters the user's history and seen set (positive engagement)."""
    hides: bool = False
    """Removes the item from every later slate of this user."""
    needs_item: bool = True
    retired: bool = False
    """Known, so that its code stays taken and old events can be read, but no longer taken in."""

    @property
    def lowers(self) -> bool:
        """Lowers the item on later slates of this user, for a while."""
        return self.weight < 0 and not self.hides and not self.in_history


OWN_CODES_FROM = 32
CODES = 256


EVENT_TYPES: dict[str, EventType] = {
    t.name: t
    for t in (
        EventType("view", 1, 0.2, in_history=False),
        EventType("click", 2, 1.0, in_history=True),
        EventType("like", 3, 2.0, in_history=True),
        EventType("purchase", 4, 3.0, in_history=True),
        EventType("rating", 5, 1.0, in_history=True),
        EventType("play", 6, 1.0, in_history=True),
        EventType("share", 7, 1.5, in_history=False, needs_item=False),
        EventType("comment", 8, 1.0, in_history=False, needs_item=False),
        EventType("search", 9, 0.0, in_history=False, needs_item=False),
        EventType("hide", 10, -2.0, in_history=False, hides=True),
        EventType("dislike", 11, -2.0, in_history=False, hides=True),
        EventType("skip", 12, -0.5, in_history=False),
        EventType("impression", 13, 0.0, in_history=False),
    )
}
"""By name: the built-in types. A dataset's own types map to these in dataset.toml; policy may add own ones."""


@dataclass(frozen=True)
class EventTypes:
    """The types in force, by name: the built-in ones, and what a policy says. Columns are by code, [CODES]."""

    by_name: Mapping[str, EventType]

    def __contains__(self, name: str) -> bool:
        return name in self.by_name

    def get(self, name: str) -> EventType | None:
        """The type of a name."""
        return self.by_name.get(name)

    def codes(self, events: Sequence[Event]) -> NDArray[np.int64]:
        """Type codes [E]; 0, which nothing counts, for a type of the log that the policy has not any more."""
        known = self.by_name
        return np.array([known[e.event_type].code if e.event_type in known else 0 for e in events], np.int64)

    @cached_property
    def in_history(self) -> frozenset[int]:
        """Codes that enter the history and the seen set."""
        return frozenset(t.code for t in self.by_name.values() if t.in_history)

    @cached_property
    def hides(self) -> frozenset[int]:
        """Codes that remove the item for good."""
        return frozenset(t.code for t in self.by_name.values() if t.hides)

    @cached_property
    def lowers(self) -> frozenset[int]:
        """Codes that lower the item for a while."""
        return frozenset(t.code for t in self.by_name.values() if t.lowers)

    @cached_property
    def weights(self) -> NDArray[np.float64]:
        """Weight of each code; 0 for one that is no type's."""
        weights = np.zeros(CODES)
        for kind in self.by_name.values():
            weights[kind.code] = kind.weight
        return weights


BUILT_IN = EventTypes(EVENT_TYPES)
