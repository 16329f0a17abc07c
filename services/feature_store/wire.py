"""The feature store's messages as values and back: events, items, users, log records, feature columns."""

import math
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp

from penchant.errors import InvalidArgument, LogError
from penchant.events import Event
from penchant.ids import identity_key, key
from penchant.log_record import RECORD_VERSION, read_record
from penchant.v1 import event_pb2, feature_store_service_pb2, log_pb2
from services.feature_store.column import NUMPY, Column
from services.feature_store.writes import IdentityMerge, ItemWrite, Rejected, UserWrite
from services.runtime.wire import pack


def time_us(stamp: Timestamp) -> int:
    """UTC microseconds."""
    return int(stamp.seconds) * 1_000_000 + stamp.nanos // 1000


def event_from_proto(message: event_pb2.Event, now_us: int) -> Event:
    """An event of a client, taken in now. Raises InvalidArgument for a value that is written as NaN."""
    value = message.value if message.HasField("value") else math.nan
    if message.HasField("value") and math.isnan(value):
        raise InvalidArgument("value", "is NaN: leave it out or give a number")
    event_time_us = time_us(message.event_time) if message.HasField("event_time") else now_us
    return _event(message, value, event_time_us, now_us, 0)


def _event(message: event_pb2.Event, value: float, event_time_us: int, ingest_us: int, position: int) -> Event:
    tenant, item_id = message.tenant, message.item_id
    return Event(
        user_key=identity_key(tenant, message.user_id, message.anonymous_id, message.device_id),
        item_key=key(tenant, item_id) if item_id else 0,
        event_type=message.event_type,
        event_time_us=event_time_us,
        value=value,
        text=message.text,
        position=position,
        event_id=message.event_id,
        tenant=tenant,
        user_id=message.user_id,
        item_id=item_id,
        anonymous_id=message.anonymous_id,
        device_id=message.device_id,
        session_id=message.session_id,
        ingest_time_us=ingest_us,
        recommendation_id=message.recommendation_id,
        slate_position=message.position if message.HasField("position") else -1,
        placement=message.placement,
        consent=message.consent,
        context=dict(message.context),
    )


def _stamp(at_us: int) -> Timestamp:
    return Timestamp(seconds=at_us // 1_000_000, nanos=at_us % 1_000_000 * 1000)


def _event_to_proto(event: Event) -> event_pb2.Event:
    return event_pb2.Event(
        event_id=event.event_id,
        tenant=event.tenant,
        user_id=event.user_id,
        anonymous_id=event.anonymous_id,
        device_id=event.device_id,
        session_id=event.session_id,
        item_id=event.item_id,
        event_type=event.event_type,
        value=None if math.isnan(event.value) else event.value,
        text=event.text,
        event_time=_stamp(event.event_time_us),
        ingest_time=_stamp(event.ingest_time_us),
        recommendation_id=event.recommendation_id,
        position=event.slate_position if event.slate_position >= 0 else None,
        placement=event.placement,
        consent=cast(event_pb2.Consent, event.consent),
        context=event.context,
    )


def item_from_proto(message: event_pb2.Item) -> ItemWrite:
    """An item of a client."""
    return ItemWrite(
        item_key=key(message.tenant, message.item_id),
        item_id=message.item_id,
        tenant=message.tenant,
        attributes=_attributes(message.attributes),
        available=message.available if message.HasField("available") else True,
        deleted=message.deleted,
        created_us=time_us(message.created_time) if message.HasField("created_time") else 0,
    )


def user_from_proto(message: event_pb2.User, now_us: int) -> UserWrite:
    """A user of a client."""
    return UserWrite(
        user_key=key(message.tenant, message.user_id),
        user_id=message.user_id,
        tenant=message.tenant,
        attributes=_attributes(message.attributes),
        ingest_time_us=now_us,
    )


def merge_from_proto(message: event_pb2.IdentityMerge, now_us: int) -> IdentityMerge:
    """A merge of a client."""
    tenant, given = message.tenant, message.WhichOneof("from") or "user_id"
    ids = {name: getattr(message, name) if name == given else "" for name in ("user_id", "anonymous_id", "device_id")}
    return IdentityMerge(
        from_key=identity_key(tenant, **ids),
        into_key=key(tenant, message.into_user_id),
        into_user_id=message.into_user_id,
        tenant=tenant,
        ingest_time_us=now_us,
        **ids,
    )


def _attributes(values: Mapping[str, event_pb2.AttributeValue]) -> dict[str, Any]:
    return {name: _value(value) for name, value in sorted(values.items())}


def _value(value: event_pb2.AttributeValue) -> str | float | list[str] | bytes | None:
    match value.WhichOneof("kind"):
        case "text":
            return value.text
        case "number":
            return value.number
        case "list":
            return list(value.list.values)
        case "file":
            return value.file
    return None


def _attribute_to_proto(value: Any) -> event_pb2.AttributeValue:
    if isinstance(value, str):
        return event_pb2.AttributeValue(text=value)
    if isinstance(value, float):
        return event_pb2.AttributeValue(number=value)
    return event_pb2.AttributeValue(list=event_pb2.StringList(values=value))


def record_of(entry: Event | ItemWrite | UserWrite | IdentityMerge, ingest_time_us: int) -> bytes:
    """The log record of an entry."""
    record = log_pb2.LogRecord(schema_version=RECORD_VERSION, ingest_time=_stamp(ingest_time_us))
    if isinstance(entry, Event):
        record.event.CopyFrom(_event_to_proto(entry))
        return record.SerializeToString()
    if isinstance(entry, IdentityMerge):
        given = {entry.from_field: getattr(entry, entry.from_field)}
        record.merge.CopyFrom(event_pb2.IdentityMerge(tenant=entry.tenant, into_user_id=entry.into_user_id, **given))
        return record.SerializeToString()
    attributes = {name: _attribute_to_proto(value) for name, value in entry.attributes.items()}
    if isinstance(entry, ItemWrite):
        record.item.CopyFrom(
            event_pb2.Item(
                item_id=entry.item_id,
                tenant=entry.tenant,
                attributes=attributes,
                available=entry.available,
                deleted=entry.deleted,
                created_time=_stamp(entry.created_us or ingest_time_us),
            )
        )
    else:
        record.user.CopyFrom(event_pb2.User(user_id=entry.user_id, tenant=entry.tenant, attributes=attributes))
    return record.SerializeToString()


def logged_us(payload: bytes) -> int:
    """When the entry of a record was taken."""
    return time_us(log_pb2.LogRecord.FromString(payload).ingest_time)


def entry_of(position: int, payload: bytes) -> Event | ItemWrite | UserWrite | IdentityMerge:
    """Back from record_of. Raises LogError for a record of a newer version."""
    record = read_record(position, payload)
    match record.WhichOneof("payload"):
        case "event":
            event = record.event
            value = event.value if event.HasField("value") else math.nan
            return _event(event, value, time_us(event.event_time), time_us(event.ingest_time), position)
        case "item":
            return item_from_proto(record.item)
        case "user":
            return user_from_proto(record.user, time_us(record.ingest_time))
        case "merge":
            return merge_from_proto(record.merge, time_us(record.ingest_time))
    raise LogError(f"record {position} holds nothing: restore the log from a copy")


def rejection_to_proto(rejected: Rejected) -> event_pb2.Rejection:
    """Why one entry was not taken."""
    return event_pb2.Rejection(index=rejected.index, field=rejected.field, reason=rejected.reason)


def column_to_proto(name: str, column: Column) -> feature_store_service_pb2.FeatureColumn:
    """One feature over all entities, packed."""
    kind = NUMPY.get(column.dtype.removesuffix("[]"), np.uint8)
    return feature_store_service_pb2.FeatureColumn(
        name=name,
        dtype=column.dtype,
        values=pack(column.values, kind),
        offsets=pack(column.offsets, np.uint32),
        statuses=column.statuses.tobytes(),
    )
