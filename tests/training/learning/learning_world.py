"""Events as log records, written to a real file log, for tests of the learner."""

from collections.abc import Sequence
from pathlib import Path

from penchant.event_log import open_event_log
from penchant.v1 import event_pb2, log_pb2

START_US = 1_770_000_000_000_000


def act(user: str, item: str, kind: str = "click", at_s: float = 0.0, **fields: object) -> bytes:
    """The record of one event, at_s after START_US."""
    event = event_pb2.Event(user_id=user, item_id=item, event_type=kind, **fields)  # type: ignore[arg-type]
    event.event_time.FromMicroseconds(START_US + int(at_s * 1e6))
    record = log_pb2.LogRecord(schema_version=1, event=event)
    record.ingest_time.FromMicroseconds(START_US + int(at_s * 1e6))
    return record.SerializeToString()


def merge(into: str, **source: str) -> bytes:
    """The record of a merge."""
    merged = event_pb2.IdentityMerge(into_user_id=into, **source)
    return log_pb2.LogRecord(schema_version=1, merge=merged).SerializeToString()


def item(id_: str, **attributes: str | float | list[str]) -> bytes:
    """The record of an item."""
    message = event_pb2.Item(item_id=id_)
    for name, value in attributes.items():
        if isinstance(value, str):
            message.attributes[name].text = value
        elif isinstance(value, list):
            message.attributes[name].list.values.extend(value)
        else:
            message.attributes[name].number = value
    return log_pb2.LogRecord(schema_version=1, item=message).SerializeToString()


def append(folder: Path, records: Sequence[bytes], name: str = "events") -> None:
    """Append records to the log in a folder, as its one writer, and close it."""
    log = open_event_log(str(folder), name)
    try:
        log.append(list(records))
    finally:
        log.close()
