"""Writing an event log in a Kafka topic.

Transactions are not used: a batch is whole by what its messages say, and an older writer is fenced by the chain.
"""

import secrets
import threading
from collections.abc import Callable, Sequence
from typing import Any

from penchant.errors import LogError, LogFenced, LogUnavailable
from penchant.event_log.kafka_chain import Chain, Header, Kind
from penchant.event_log.kafka_reader import KafkaLogReader
from penchant.event_log.rules import refuse_needed, refuse_oversize

MAX_RECORD_BYTES = 900_000
"""A broker takes messages of up to 1 MB unless told otherwise."""
_NEEDED = {
    "cleanup.policy": ("delete", "records vanish"),
    "retention.ms": ("-1", "records vanish unasked"),
    "retention.bytes": ("-1", "records vanish unasked"),
    "unclean.leader.election.enable": ("false", "acknowledged records can vanish"),
}


class KafkaLog(KafkaLogReader):
    """EventLog over a topic. Opening it takes over from the writer before."""

    def __init__(self, url: str, name: str, start: int = 0, written: Callable[[], None] = lambda: None) -> None:
        super().__init__(url, name)
        self._written = written
        self._writer = secrets.randbits(63)
        self._unknown = False
        """Whether it is not known what the last append did."""
        self._lost = False
        """Whether another writer took over."""
        self._writing = threading.Lock()
        self._producer = self._new_producer()
        try:
            self._make_topic()
            at = self._send([(Header(Kind.TAKE_OVER, self._writer), b"")])[0]
            low, _ = self._bounds()
            chain = self._end(low, at + 1)
            if chain.last != at + 1 or (low and chain.position is None):
                raise LogError(f"{self} begins at offset {low} and has no record: restore the topic from a copy")
            self._chain = Chain(chain.writer, chain.last, start if chain.position is None else chain.position)
        except BaseException:
            self.close()
            raise

    @property
    def position(self) -> int:
        """See EventLog.position."""
        return self._chain.position or 0

    @property
    def epoch(self) -> int:
        """See EventLog.epoch: the offset of the newest element is higher with every writer."""
        return self._chain.last

    def newest(self) -> int:
        """See LogReader.newest."""
        return self.position

    def append(self, payloads: Sequence[bytes]) -> int:
        """See EventLog.append."""
        refuse_oversize(payloads, MAX_RECORD_BYTES)
        with self._writing:
            if self._closed:
                raise LogError(f"{self} takes no more records, because it was closed: open it again")
            if self._lost:
                raise self._fenced()
            if self._unknown:
                raise LogUnavailable(f"{self}: it is not known yet what the last append did")
            first, last = self.position + 1, len(payloads) - 1
            if not payloads:
                return first
            before = self._chain.last
            headers = [Header(Kind.RECORD, self._writer, before, first + i, last - i) for i in range(len(payloads))]
            try:
                offsets = self._send(list(zip(headers, payloads, strict=True)), self._written)
                if offsets[-1] != before + last:
                    # Something came between; was it a take-over?
                    self._follow(offsets[-1] + 1)
            except LogUnavailable:
                self._unknown = True
                raise
            self._chain = Chain(self._writer, offsets[-1] + 1, first + last)
            return first

    def recover(self) -> None:
        """See EventLog.recover: what comes after the renewal and was sent before it will not count."""
        with self._writing:
            if self._lost:
                raise self._fenced()
            if not self._unknown:
                return
            self._producer.purge()
            self._producer = self._new_producer()
            at = self._send([(Header(Kind.RENEWAL, self._writer), b"")])[0]
            self._follow(at + 1)
            self._unknown = False

    def trim_before(self, position: int, holders: Sequence[str]) -> int:
        """See EventLog.trim_before: whole batches alone are dropped."""
        refuse_needed(self, position, holders)
        if position <= self.oldest():
            return self.oldest()
        low, high = self._bounds()
        _, at = self._before(min(position, self.position + 1), low, high)
        from confluent_kafka import admin

        # The element before the oldest record stays: by it the chain is known.
        place = self._kafka.TopicPartition(self.topic, 0, at - 1)
        client = self._made(admin.AdminClient, {})
        self._ask(
            lambda: client.delete_records([place], request_timeout=self.timeout_s)[place].result(self.timeout_s + 1.0)
        )
        return self.oldest()

    def close(self) -> None:
        """See LogReader.close."""
        with self._writing:
            self._producer.purge()
            super().close()

    def _follow(self, end: int) -> None:
        """Bring the chain up to before an offset, where what was sent last ends. Raises LogError unless it counts."""
        self._chain = chain = self._through(self._chain, self._chain.last, end)
        if chain.last != end:
            self._lost = True
            raise self._fenced()

    def _send(self, messages: Sequence[tuple[Header, bytes]], written: Callable[[], None] = lambda: None) -> list[int]:
        """Offsets of messages, once all of them are replicated. Raises LogUnavailable where that is not known."""
        offsets: list[int] = []
        failures: list[Any] = []

        def delivered(error: Any, message: Any) -> None:
            if error is not None:
                failures.append(error)
            else:
                offsets.append(message.offset())

        try:
            for header, payload in messages:
                self._producer.produce(self.topic, payload, partition=0, headers=header.packed(), on_delivery=delivered)
            written()
            self._producer.flush(self.timeout_s + 1.0)
        except (self._kafka.KafkaException, BufferError) as error:
            failures.append(error.args[0])
        if failures or len(offsets) < len(messages):
            why = failures[0].str() if failures and hasattr(failures[0], "str") else "no answer in time"
            raise LogUnavailable(f"{self} did not take {len(messages)} messages ({why}): look after its brokers")
        return offsets

    def _new_producer(self) -> Any:
        options = {
            "acks": "all",
            "enable.idempotence": True,
            "message.timeout.ms": int(self.timeout_s * 1000),
            "queue.buffering.max.messages": 1_000_000,
        }
        return self._made(self._kafka.Producer, options)

    def _make_topic(self) -> None:
        """Make the topic where there is none; refuse one that does not keep records. Raises LogError."""
        from confluent_kafka import admin

        client = self._made(admin.AdminClient, {})
        kinds = self._kafka.KafkaError
        cluster = self._ask(lambda: client.list_topics(timeout=self.timeout_s))
        if cluster.controller_id not in cluster.brokers:
            # Nobody to ask: the mock cluster, which makes a topic when it is first written to.
            return
        if self.topic not in cluster.topics:
            settings = {name: value for name, (value, _) in _NEEDED.items()}
            made = client.create_topics(
                [admin.NewTopic(self.topic, 1, config=settings)], request_timeout=self.timeout_s
            )
            try:
                made[self.topic].result(self.timeout_s + 1.0)
            except self._kafka.KafkaException as error:
                if error.args[0].code() != kinds.TOPIC_ALREADY_EXISTS:
                    raise self._failure(error.args[0]) from None
        resource = admin.ConfigResource(admin.ConfigResource.Type.TOPIC, self.topic)
        try:
            found = client.describe_configs([resource], request_timeout=self.timeout_s)[resource].result(
                self.timeout_s + 1.0
            )
        except self._kafka.KafkaException as error:
            raise self._failure(error.args[0]) from None
        refuse_forgetful(str(self), {name: entry.value for name, entry in found.items()})

    def _fenced(self) -> LogFenced:
        return LogFenced(f"another process took {self} over: stop one of the two, or give this one a topic of its own")


def refuse_forgetful(log: str, settings: dict[str, str]) -> None:
    """Raise LogError where a topic's settings let records vanish."""
    for name, (needed, otherwise) in _NEEDED.items():
        given = settings.get(name, needed)
        if given != needed:
            raise LogError(
                f"{log} would not last: {name} is {given!r}, so {otherwise}; set it to {needed} with kafka-configs"
            )
