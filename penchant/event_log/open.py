"""From a URL to a log.

A setting names where logs are; a log in it has a name ("events", "items"):

path, file:///path                       the folder <path>/<name>
redis://[user:password@]host[:port][/db][?stream=penchant]    the stream <stream>:<name>; rediss:// for TLS, or
                                         unix:///path/to/socket?db=0&stream=penchant
kafka://broker:port[,broker:port]/topic  the topic <topic>.<name>
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from penchant.errors import ConfigError
from penchant.event_log import kafka_reader, redis_log
from penchant.event_log.file_log import FileLog, FileLogReader
from penchant.event_log.kafka_log import KafkaLog
from penchant.event_log.kafka_reader import KafkaLogReader
from penchant.event_log.protocol import EventLog, LogReader, Record
from penchant.event_log.redis_log import RedisLog, RedisLogReader

EVENTS = "events"
"""The log of events and users' attributes."""
ITEMS = "items"


def open_event_log(
    url: str, name: str = EVENTS, start: int = 0, written: Callable[[], None] = lambda: None
) -> EventLog:
    """Open a log as its one writer; where it does not exist it begins after position `start`.

    written is called between writing a batch and knowing that it is durable. Raises ConfigError for a URL of another
    form, LogError where another process writes the log, or it cannot be reached, or does not keep what it is given.
    """
    match _scheme(url):
        case "redis":
            return RedisLog(url, name, start, written)
        case "kafka":
            return KafkaLog(url, name, start, written)
    return FileLog(_folder(url) / name, start, written)


def open_log_reader(url: str, name: str = EVENTS) -> LogReader:
    """Open a log to read it, while another process writes it or none does. Raises ConfigError, LogError."""
    match _scheme(url):
        case "redis":
            return RedisLogReader(url, name)
        case "kafka":
            return KafkaLogReader(url, name)
    return FileLogReader(_folder(url) / name)


def check_url(url: str) -> None:
    """Raise ConfigError for a URL that names no log."""
    match _scheme(url):
        case "redis":
            redis_log.parse(url)
        case "kafka":
            kafka_reader.parse(url)
        case _:
            _folder(url)


def follow(reader: LogReader, from_position: int, stopped: Callable[[], bool], poll_s: float = 0.5) -> Iterator[Record]:
    """Records from a position on, for ever; `stopped` is asked between batches and at least every poll_s."""
    while not stopped():
        for position, payload in reader.read(from_position):
            yield position, payload
            from_position = position + 1
        reader.wait(from_position - 1, poll_s)


def _scheme(url: str) -> str:
    scheme = url.partition("://")[0] if "://" in url else ""
    return "redis" if scheme in ("rediss", "unix") else scheme


def _folder(url: str) -> Path:
    remedy = "write a path, file:///path, redis://host:port/db?stream=name or kafka://host:port/topic"
    if not url:
        raise ConfigError(f"log is empty: {remedy}")
    if "://" not in url:
        return Path(url)
    parts = urlsplit(url)
    if parts.scheme != "file" or parts.netloc or not parts.path or parts.query:
        raise ConfigError(f"log {url!r} names no log: {remedy}")
    return Path(unquote(parts.path))
