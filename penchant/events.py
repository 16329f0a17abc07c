"""The event, as everything inside Penchant sees it, and what each type means."""

import math
from dataclasses import dataclass, field


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
"""By name. An unlisted type is refused at the front door. A dataset's own types map to these in dataset.toml."""
