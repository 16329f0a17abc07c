"""The bounds of what is written, as the protos state them; each answers with the field and the remedy."""

import math
from collections.abc import Mapping
from typing import Any

from penchant.errors import InvalidArgument
from penchant.events import BUILT_IN, Event, EventTypes
from services.feature_store.writes import IdentityMerge, ItemWrite, UserWrite

MAX_BATCH = 1000
MAX_AHEAD_US = 5 * 60 * 1_000_000
MAX_ID_BYTES = 256
MAX_TENANT_BYTES = 64
MAX_TEXT_BYTES = 4096
MAX_ATTRIBUTE_BYTES = 65_536
MAX_ATTRIBUTES = 256
MAX_CONTEXT = 32
MAX_VALUE = 1e12
"""Models read values as float32 and sums of them."""
MAX_LIST = 64


def check_batch(count: int, field: str) -> None:
    """Raises InvalidArgument for an empty or too large batch."""
    if count == 0:
        raise InvalidArgument(field, "is empty: send 1 to 1000")
    if count > MAX_BATCH:
        raise InvalidArgument(field, f"holds {count}, at most {MAX_BATCH}: send several batches")


def check_event(event: Event, now_us: int, kinds: EventTypes = BUILT_IN) -> None:
    """Raises InvalidArgument for the first field out of bounds."""
    for field, value, limit in (
        ("event_id", event.event_id, 128),
        ("tenant", event.tenant, MAX_TENANT_BYTES),
        ("user_id", event.user_id, MAX_ID_BYTES),
        ("anonymous_id", event.anonymous_id, MAX_ID_BYTES),
        ("device_id", event.device_id, MAX_ID_BYTES),
        ("session_id", event.session_id, MAX_ID_BYTES),
        ("item_id", event.item_id, MAX_ID_BYTES),
        ("recommendation_id", event.recommendation_id, 128),
        ("placement", event.placement, 64),
    ):
        if value:
            _check_id(field, value, limit)
    if not (event.user_id or event.anonymous_id or event.device_id):
        raise InvalidArgument("user_id", "is empty: give user_id, anonymous_id or device_id")
    kind = kinds.get(event.event_type)
    if kind is None or kind.retired:
        taken = ", ".join(name for name, known in kinds.by_name.items() if not known.retired)
        what = "unknown" if kind is None else "retired"
        raise InvalidArgument(
            "event_type", f"{event.event_type[:64]!r} is {what}: one of {taken}, or name it in the policy"
        )
    if not event.item_id and kind.needs_item:
        raise InvalidArgument("item_id", f"is empty: a {event.event_type} needs the item it is about")
    if math.isinf(event.value):
        raise InvalidArgument("value", f"{event.value} is not finite: leave it out or give a number")
    if abs(event.value) > MAX_VALUE:
        raise InvalidArgument("value", f"{event.value:g} is beyond {MAX_VALUE:g}: give it in a larger unit")
    check_text("text", event.text, MAX_TEXT_BYTES)
    if event.event_time_us < 0:
        raise InvalidArgument("event_time", "is before 1970: give UTC")
    if event.event_time_us > now_us + MAX_AHEAD_US:
        ahead_s = (event.event_time_us - now_us) / 1e6
        raise InvalidArgument("event_time", f"is {ahead_s:.0f} s ahead, at most 300: check the clock, give UTC")
    if len(event.context) > MAX_CONTEXT:
        raise InvalidArgument("context", f"holds {len(event.context)} entries, at most {MAX_CONTEXT}")
    for name, value in event.context.items():
        check_text("context", name, MAX_ID_BYTES)
        check_text(f"context[{name!r}]", value, MAX_ID_BYTES)


def check_item(item: ItemWrite) -> None:
    """Raises InvalidArgument for the first field out of bounds."""
    _check_given("item_id", item.item_id)
    _check_id("tenant", item.tenant, MAX_TENANT_BYTES)
    _check_attributes(item.attributes)
    if item.created_us < 0:
        raise InvalidArgument("created_time", "is before 1970: give UTC")


def check_user(user: UserWrite) -> None:
    """Raises InvalidArgument for the first field out of bounds."""
    _check_given("user_id", user.user_id)
    _check_id("tenant", user.tenant, MAX_TENANT_BYTES)
    _check_attributes(user.attributes)


def check_merge(merge: IdentityMerge) -> None:
    """Raises InvalidArgument for the first field out of bounds."""
    _check_id("tenant", merge.tenant, MAX_TENANT_BYTES)
    field = merge.from_field
    if field == "from":
        raise InvalidArgument(field, "is empty: give anonymous_id, device_id or user_id")
    _check_id(field, getattr(merge, field), MAX_ID_BYTES)
    _check_given("into_user_id", merge.into_user_id)
    if merge.from_key == merge.into_key:
        raise InvalidArgument("into_user_id", f"{merge.into_user_id!r} is merged into itself: name two identities")


def check_text(field: str, text: str, limit: int) -> None:
    """Raises InvalidArgument for text beyond `limit` bytes of UTF-8."""
    if len(text) * 4 > limit and len(text.encode()) > limit:
        raise InvalidArgument(field, f"has {len(text.encode())} bytes, at most {limit}: shorten it")


def _check_given(field: str, value: str) -> None:
    if not value:
        raise InvalidArgument(field, "is empty: give an id")
    _check_id(field, value, MAX_ID_BYTES)


def _check_id(field: str, value: str, limit: int) -> None:
    check_text(field, value, limit)
    if "\0" in value:
        raise InvalidArgument(field, "holds a NUL character: ids may not")


def _check_attributes(attributes: Mapping[str, Any]) -> None:
    if len(attributes) > MAX_ATTRIBUTES:
        raise InvalidArgument("attributes", f"holds {len(attributes)}, at most {MAX_ATTRIBUTES}")
    for name, value in attributes.items():
        field = f"attributes[{name[:64]!r}]"
        if not name:
            raise InvalidArgument("attributes", "holds an empty name: name every attribute")
        check_text("attributes", name, MAX_ID_BYTES)
        if value is None:
            raise InvalidArgument(field, "holds no value: give text, number or list, or leave it out")
        if isinstance(value, bytes):
            raise InvalidArgument(field, "is a file: only items have pictures and sounds")
        if isinstance(value, str):
            check_text(field, value, MAX_ATTRIBUTE_BYTES)
        elif isinstance(value, float):
            if not math.isfinite(value):
                raise InvalidArgument(field, f"{value} is not finite: leave it out or give a number")
        else:
            if len(value) > MAX_LIST:
                raise InvalidArgument(field, f"holds {len(value)} values, at most {MAX_LIST}")
            for one in value:
                check_text(field, one, MAX_ID_BYTES)
