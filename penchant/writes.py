"""What a client writes, as plain frozen values; the server checks bounds and says which entry broke which."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

Attribute = str | float | Sequence[str] | bytes
"""bytes: a picture or a sound, of items alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventWrite:
    """One thing one user did; see Event in protos/penchant/v1/event.proto. Without event_id it counts each time."""

    event_type: str
    user_id: str = ""
    item_id: str = ""
    value: float | None = None
    text: str = ""
    event_time: datetime | None = None
    """Absent: on arrival. A time without a zone is UTC."""
    event_id: str = ""
    tenant: str = ""
    anonymous_id: str = ""
    device_id: str = ""
    session_id: str = ""
    recommendation_id: str = ""
    position: int | None = None
    placement: str = ""
    context: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemWrite:
    """An item as its owner describes it."""

    item_id: str
    tenant: str = ""
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    available: bool = True
    deleted: bool = False
    created_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UserWrite:
    """A user as their owner describes them."""

    user_id: str
    tenant: str = ""
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
