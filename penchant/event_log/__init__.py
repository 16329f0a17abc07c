"""The event log: what was written, in order and durable, one writer and any number of readers.

Three implementations of one Protocol, chosen by URL: files (the default), a Redis stream, a Kafka topic.
"""

from penchant.event_log.open import EVENTS, ITEMS, check_url, follow, open_event_log, open_log_reader
from penchant.event_log.protocol import EventLog, LogReader, Record

__all__ = [
    "EVENTS",
    "ITEMS",
    "EventLog",
    "LogReader",
    "Record",
    "check_url",
    "follow",
    "open_event_log",
    "open_log_reader",
]
