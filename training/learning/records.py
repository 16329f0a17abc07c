"""What the learner takes from log records: acts it may train on, items, users. What it may not use is counted."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from penchant.events import EVENT_TYPES
from penchant.ids import identity_key
from penchant.log_record import read_record
from penchant.v1 import event_pb2
from training.evaluation.protocol import TENANT

_TRAINS = (event_pb2.CONSENT_UNSPECIFIED, event_pb2.CONSENT_FULL)


@dataclass(frozen=True, slots=True)
class Act:
    """One event that may be trained on. user is identity()'s text; item "": none; value NaN: none."""

    position: int
    user: str
    item: str
    type: str
    time_us: int
    value: float
    recommendation_id: str
    slate_position: int
    """-1: not given."""


@dataclass(frozen=True, slots=True)
class Described:
    """An item or a user as their owner described them; attributes hold str, float or list of str."""

    position: int
    id: str
    attributes: Mapping[str, Any]
    created_us: int = 0
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Withheld:
    """An event that must not be trained on; its user's features in the running system hold more than the learner's."""

    position: int
    user_key: int
    reason: str


@dataclass(frozen=True, slots=True)
class Merged:
    """From here on, and for all that was, what `source` did `target` did; both as identity() has them."""

    position: int
    source: str
    target: str


Entry = Act | Described | Withheld | Merged | None


@dataclass(slots=True)
class Refused:
    """Counts of what was read and not used, by reason."""

    counts: dict[str, int] = field(default_factory=dict)

    def add(self, reason: str) -> None:
        """One more."""
        self.counts[reason] = self.counts.get(reason, 0) + 1


def identity(message: event_pb2.Event) -> str:
    """A text whose key is penchant.ids.identity_key of the event's: anonymous and device ids are apart from users'."""
    return _identity(message.user_id, message.anonymous_id, message.device_id)


def _identity(user_id: str, anonymous_id: str, device_id: str) -> str:
    if user_id:
        return user_id
    return f"\0anonymous\0{anonymous_id}" if anonymous_id else f"\0device\0{device_id}"


def decoded(position: int, payload: bytes) -> Entry:
    """What one record means to the learner; None for what is another tenant's.

    Events for personalisation alone, of an evaluation, without consent, and of types that models do not read are
    Withheld. Raises LogError for a record of a newer version or an encrypted one.
    """
    record = read_record(position, payload)
    match record.WhichOneof("payload"):
        case "event":
            return _event(position, record.event)
        case "item" if record.item.tenant == TENANT:
            item = record.item
            created = time_us(item.created_time) if item.HasField("created_time") else 0
            return Described(position, item.item_id, _attributes(item.attributes), created, item.deleted)
        case "merge" if record.merge.tenant == TENANT:
            merge = record.merge
            source = _identity(merge.user_id, merge.anonymous_id, merge.device_id)
            return Merged(position, source, merge.into_user_id)
        case "user" if record.user.tenant == TENANT:
            return Described(position, record.user.user_id, _attributes(record.user.attributes))
    return None


def time_us(stamp: Timestamp) -> int:
    """UTC microseconds."""
    return int(stamp.seconds) * 1_000_000 + stamp.nanos // 1000


def _event(position: int, event: event_pb2.Event) -> Act | Withheld | None:
    if event.tenant != TENANT:
        return None
    reason = _why_withheld(event)
    if reason:
        user_key = identity_key(event.tenant, event.user_id, event.anonymous_id, event.device_id)
        return Withheld(position, user_key, reason)
    return Act(
        position,
        identity(event),
        event.item_id,
        event.event_type,
        time_us(event.event_time),
        event.value if event.HasField("value") else math.nan,
        event.recommendation_id,
        event.position if event.HasField("position") else -1,
    )


def _why_withheld(event: event_pb2.Event) -> str:
    if "evaluation" in event.context:
        return "evaluation"
    if event.consent not in _TRAINS:
        return "consent"
    return "" if event.event_type in EVENT_TYPES else "a type of the policy's own"


def _attributes(values: Mapping[str, event_pb2.AttributeValue]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        match value.WhichOneof("kind"):
            case "text":
                found[name] = value.text
            case "number":
                found[name] = value.number
            case "list":
                found[name] = list(value.list.values)
    return found
