"""Reading an event log in partition 0 of a Kafka topic; kafka_chain.py says which messages are the log.

The position of a record is in its header: offsets have gaps where writers took over, and where a batch did not make it.
"""

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from penchant.errors import ConfigError, LogError, LogUnavailable
from penchant.event_log.kafka_chain import Chain, Header, Kind
from penchant.event_log.protocol import Record
from penchant.event_log.rules import checked_name, refuse_beyond, refuse_trimmed

_CHUNK = 2000
_POLL_S = 0.02
_log = logging.getLogger("penchant.kafka")
Message = tuple[int, Header, bytes]
"""Offset, header, payload."""


class KafkaLogReader:
    """LogReader over a topic."""

    timeout_s = 10.0
    """Brokers that answer later than this count as out."""

    def __init__(self, url: str, name: str) -> None:
        brokers, topic, options = parse(url)
        try:
            # On demand, and an extra: whoever has files alone needs no client.
            import confluent_kafka
        except ImportError:
            raise ConfigError("a kafka:// log needs confluent-kafka: pip install 'penchant[kafka]'") from None
        self._kafka = confluent_kafka
        self.topic = f"{topic}.{name}"
        self._shown = f"the topic {self.topic} of {brokers}"
        self._options = {**options, "bootstrap.servers": brokers}
        self._place: tuple[Chain, int] | None = None
        """Where the last read stopped, and the offset after it."""
        self._oldest: tuple[int, int, int] | None = None
        """The oldest record's position and offset, as long as the partition begins at the third."""
        self._closed = False
        self._holders: dict[str, Any] = {}
        self._consumer = self._new_consumer(f"{self.topic}.reader")
        try:
            self._ask(lambda: self._consumer.list_topics(self.topic, self.timeout_s))
        except BaseException:
            self._consumer.close()
            raise

    def __str__(self) -> str:
        return self._shown

    def read(self, from_position: int = 1) -> Iterator[Record]:
        """See LogReader.read."""
        low, high = self._bounds()
        if low == high:
            refuse_beyond(self, from_position)
            return
        refuse_trimmed(self, from_position)
        chain, at = self._place or (Chain(), 0)
        if at < low or chain.position is None or chain.position >= from_position:
            chain, at = self._before(max(from_position, 1), low, high)
        chain = chain.copy()
        for offset, header, payload in self._messages(at, high):
            records = chain.take(offset, header, payload)
            if records:
                self._place = (chain.copy(), offset + 1)
                yield from (record for record in records if record[0] >= from_position)
        if chain.position is None or chain.position < from_position - 1:
            refuse_beyond(self, from_position)

    def oldest(self) -> int:
        """See LogReader.oldest."""
        low, high = self._bounds()
        return self._oldest_record(low, high)[0]

    def newest(self) -> int:
        """See LogReader.newest."""
        return self._end(*self._bounds()).position or 0

    def wait(self, position: int, timeout_s: float) -> bool:
        """See LogReader.wait."""
        ends = time.monotonic() + timeout_s
        looked_at = -1
        while True:
            low, high = self._bounds()
            # Only what came since is looked at.
            if high != looked_at and (self._end(low, high).position or 0) > position:
                return True
            looked_at = high
            if time.monotonic() >= ends:
                return False
            time.sleep(_POLL_S)

    def hold(self, name: str, position: int) -> None:
        """See LogReader.hold: the committed offset of a consumer group <topic>.<name> is the position."""
        place = [self._kafka.TopicPartition(self.topic, 0, position)]
        self._ask(lambda: self._holder(name).commit(offsets=place, asynchronous=False))

    def held(self, name: str) -> int:
        """See LogReader.held."""
        place = [self._kafka.TopicPartition(self.topic, 0)]
        return max(0, int(self._ask(lambda: self._holder(name).committed(place, self.timeout_s))[0].offset))

    def close(self) -> None:
        """See LogReader.close."""
        consumers, self._holders = list(self._holders.values()), {}
        if not self._closed:
            consumers.append(self._consumer)
            self._closed = True
        for consumer in consumers:
            consumer.close()

    def _new_consumer(self, group: str) -> Any:
        options = {
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "fetch.wait.max.ms": 5,  # a read that begins elsewhere waits for the one that is under way
            "allow.auto.create.topics": False,
        }
        return self._made(self._kafka.Consumer, options)

    def _made(self, client: Callable[..., Any], options: dict[str, Any]) -> Any:
        try:
            return client({**options, **self._options}, logger=_log)
        except self._kafka.KafkaException as error:
            raise ConfigError(f"log {self._shown}: {error.args[0].str()}: mend its URL's options") from None

    def _holder(self, name: str) -> Any:
        checked_name(name)
        if name not in self._holders:
            self._holders[name] = self._new_consumer(f"{self.topic}.{name}")
        return self._holders[name]

    def _bounds(self) -> tuple[int, int]:
        """The offset of the oldest message, and that after the newest; 0 where there is no topic. Raises LogError."""
        place = self._kafka.TopicPartition(self.topic, 0)
        kinds = self._kafka.KafkaError
        try:
            low, high = self._consumer.get_watermark_offsets(place, self.timeout_s, cached=False)
        except self._kafka.KafkaException as error:
            unknown = (kinds.UNKNOWN_TOPIC_OR_PART, kinds._UNKNOWN_TOPIC, kinds._UNKNOWN_PARTITION)
            if error.args[0].code() in unknown:
                return 0, 0
            raise self._failure(error.args[0]) from None
        return int(low), int(high)

    def _messages(self, at: int, end: int) -> Iterator[Message]:
        """The log's messages, and those of fenced writers, from one offset to before another."""
        if at >= end:
            return
        self._ask(lambda: self._consumer.assign([self._kafka.TopicPartition(self.topic, 0, at)]))
        try:
            while at < end:
                found = self._ask(lambda: self._consumer.consume(min(_CHUNK, end - at), self.timeout_s))  # noqa: B023 - called at once
                if not found:
                    raise LogUnavailable(f"{self} gave nothing within {self.timeout_s:g} s: start its brokers")
                for message in found:
                    if message.error():
                        raise self._failure(message.error())
                    at = message.offset() + 1
                    header = Header.of(message.headers())
                    if header is not None and at <= end:
                        yield at - 1, header, message.value() or b""
        finally:
            self._consumer.unassign()

    def _first(self, low: int, high: int) -> tuple[Chain, int]:
        """A chain from the first element that is known to be valid, and where to go on with it."""
        if not low:
            return Chain(), 0
        seen: dict[int, Header] = {}
        for offset, header, _ in self._messages(low, high):
            if header.kind is Kind.TAKE_OVER:
                return Chain.from_element(offset, header), offset + 1
            if header.kind is Kind.RECORD and header.previous - 1 in seen:
                return Chain.from_element(header.previous - 1, seen[header.previous - 1]), header.previous
            seen[offset] = header
        return Chain(), high

    def _start(self, offset: int, low: int, high: int) -> tuple[Chain, int]:
        """A chain that knows what is valid at an offset, and where to go on with it."""
        while offset >= low:
            found = next(self._messages(offset, offset + 1), None)
            if found is not None and found[1].kind is Kind.TAKE_OVER:
                return Chain.from_element(offset, found[1]), offset + 1
            if found is not None and found[1].kind is Kind.RECORD:
                named = found[1].previous - 1
                for _, header, _ in self._messages(named, named + 1) if named >= low else ():
                    return Chain.from_element(named, header), named + 1
                break
            offset -= 1
        return self._first(low, high)

    def _end(self, low: int, high: int) -> Chain:
        """The chain after everything before an offset."""
        chain, at = self._place or (Chain(), 0)
        if low <= at <= high <= at + _CHUNK and chain.position is not None:
            return self._through(chain, at, high)
        _, first = self._first(low, high)
        at = high + 1
        while at > first:
            chain, at = self._start(at - 2, low, high)
            chain = self._through(chain, at, high)
            if chain.position is not None:
                break
        return chain

    def _through(self, chain: Chain, at: int, end: int) -> Chain:
        """The chain after the messages from one offset to before another."""
        chain = chain.copy()
        for message in self._messages(at, end):
            chain.take(*message)
        return chain

    def _oldest_record(self, low: int, high: int) -> tuple[int, int, int]:
        """Position and offset of the oldest record, or of the one to come; low."""
        if self._oldest is None or self._oldest[2] != low:
            chain, at = self._first(low, high)
            for message in self._messages(at, high):
                if records := chain.take(*message):
                    self._oldest = (records[0][0], message[0] - len(records) + 1, low)
                    break
            else:
                return self.newest() + 1, high, low
        return self._oldest

    def _before(self, position: int, low: int, high: int) -> tuple[Chain, int]:
        """A chain from before a record, and where to go on with it."""
        known, at, _ = self._oldest_record(low, high)
        while at < high and known < position:
            # From record to record offsets rise by one at least: this stops before the record.
            at += position - known
            found = next((m for m in self._messages(at, high) if m[1].kind is Kind.RECORD), None)
            at, known = (high, 0) if found is None else (found[0], found[1].position)
        chain, at = self._start(min(at, high - 1), low, high)
        # Unless a fenced writer's record was found there: then back, element by element.
        _, first = self._first(low, high)
        while at > first and (chain.position is None or chain.position >= position):
            chain, at = self._start(at - 2, low, high)
        return chain, at

    def _ask(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except self._kafka.KafkaException as error:
            raise self._failure(error.args[0]) from None
        except RuntimeError as error:  # "Consumer closed"
            raise LogError(f"{self}: {error}: open it again") from None

    def _failure(self, error: Any) -> LogError:
        """LogUnavailable for what passes."""
        kinds = self._kafka.KafkaError
        passing = (kinds._TRANSPORT, kinds._ALL_BROKERS_DOWN, kinds._TIMED_OUT, kinds._MSG_TIMED_OUT, kinds._RESOLVE)
        if error.code() in passing or error.retriable():
            return LogUnavailable(f"{self} does not answer ({error.str()}): start its brokers, or mend the log's URL")
        return LogError(f"{self}: Kafka refused: {error.name()}: {error.str()}")


def parse(url: str) -> tuple[str, str, dict[str, str]]:
    """Brokers, topic and options of librdkafka. Raises ConfigError."""
    parts = urlsplit(url)
    topic = unquote(parts.path.strip("/"))
    if not parts.netloc or not topic or "/" in topic or "@" in parts.netloc:
        raise ConfigError(
            "log kafka://...: write kafka://host:port[,host:port]/topic; user and password are options: "
            "?security.protocol=SASL_SSL&sasl.mechanism=PLAIN&sasl.username=...&sasl.password=..."
        )
    return parts.netloc, topic, dict(parse_qsl(parts.query))
