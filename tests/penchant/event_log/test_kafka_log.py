import os
import signal
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from log_servers import free_port, kafka_process

from penchant.errors import ConfigError, LogError, LogUnavailable
from penchant.event_log import check_url, open_event_log, open_log_reader
from penchant.event_log.kafka_chain import Chain, Header, Kind
from penchant.event_log.kafka_log import MAX_RECORD_BYTES, refuse_forgetful
from penchant.event_log.kafka_reader import KafkaLogReader


@pytest.fixture
def url(new_log_url) -> str:
    return new_log_url("kafka")


def records(messages: list[tuple[Header, bytes]], chain: Chain | None = None, at: int = 0) -> list[tuple[int, bytes]]:
    chain = chain or Chain()
    return [record for i in range(at, len(messages)) for record in chain.take(i, *messages[i])]


def batch(writer: int, previous: int, position: int, payloads: list[bytes]) -> list[tuple[Header, bytes]]:
    last = len(payloads) - 1
    return [
        (Header(Kind.RECORD, writer, previous, position + i, last - i), payload) for i, payload in enumerate(payloads)
    ]


TAKE_OVER_1, TAKE_OVER_2 = (Header(Kind.TAKE_OVER, 1), b""), (Header(Kind.TAKE_OVER, 2), b"")
RENEWAL_1 = (Header(Kind.RENEWAL, 1), b"")


def test_batches_that_name_one_another_are_the_log():
    messages = [TAKE_OVER_1, *batch(1, 1, 1, [b"a", b"b"]), *batch(1, 3, 3, [b"c"])]
    assert records(messages) == [(1, b"a"), (2, b"b"), (3, b"c")]


def test_what_an_older_writer_sends_after_a_take_over_is_no_part_of_the_log():
    late = batch(1, 2, 2, [b"late"])
    messages = [TAKE_OVER_1, *batch(1, 1, 1, [b"a"]), TAKE_OVER_2, *late, *batch(2, 3, 2, [b"b"]), *late]
    assert records(messages) == [(1, b"a"), (2, b"b")]


def test_a_batch_that_a_take_over_or_renewal_cuts_in_two_is_no_part_of_the_log():
    first, second = batch(1, 1, 1, [b"a", b"b"])
    for cut in (TAKE_OVER_2, RENEWAL_1):
        assert records([TAKE_OVER_1, first, cut, second]) == []
    assert records([TAKE_OVER_1, first, RENEWAL_1, second, *batch(1, 3, 1, [b"c"])]) == [(1, b"c")]


def test_a_renewal_by_a_writer_that_was_taken_over_changes_nothing():
    messages = [TAKE_OVER_1, TAKE_OVER_2, RENEWAL_1, *batch(1, 3, 1, [b"x"]), *batch(2, 2, 1, [b"a"])]
    assert records(messages) == [(1, b"a")]


class Writer:
    """What KafkaLog does, over a list of messages; what it sent may arrive later than it thinks."""

    def __init__(self, number: int, messages: list[tuple[Header, bytes]]) -> None:
        self.number = number
        self.messages = messages
        self.on_its_way: list[tuple[Header, bytes]] = []
        self.unknown = self.lost = False
        messages.append((Header(Kind.TAKE_OVER, number), b""))
        self.look()

    def look(self) -> list[bytes]:
        """Everything up to what it sent last."""
        chain = Chain()
        found = [payload for _, payload in records(self.messages, chain)]
        self.lost = chain.last != len(self.messages)
        self.last, self.position = chain.last, chain.position or 0
        return found

    def append(self, payloads: list[bytes], arriving: int) -> bool:
        """Whether all of it is acknowledged; the messages after the first `arriving` are on their way."""
        between = self.last != len(self.messages)
        sent = batch(self.number, self.last, self.position + 1, payloads)
        self.messages += sent[:arriving]
        self.on_its_way = sent[arriving:]
        self.unknown = bool(self.on_its_way)
        if between or not self.unknown:
            self.look()
        return not (self.unknown or self.lost)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 2), st.sampled_from(["append", "torn", "arrive", "open", "recover"]), st.integers(1, 4)
        ),
        max_size=30,
    )
)
def test_nothing_is_lost_double_or_torn_whatever_arrives_late_and_wherever_reading_begins(steps):
    messages: list[tuple[Header, bytes]] = []
    writers: dict[int, Writer] = {}
    model: list[bytes] = []
    numbers = iter(range(1, 1000))

    def grown(found: list[bytes], by: list[list[bytes]]) -> list[bytes]:
        """What is in the log now: as before, and one of the batches that were not acknowledged at most."""
        assert found[: len(model)] == model
        assert found[len(model) :] in [[], *by]
        return found

    unsure: dict[int, list[bytes]] = {}
    for n, (place, step, size) in enumerate(steps):
        payloads = [b"%d-%d" % (n, i) for i in range(size)]
        writer = writers.get(place)
        if step == "open":
            writers[place] = Writer(next(numbers), messages)
            model = grown(writers[place].look(), list(unsure.values()))
        elif writer is None:
            continue
        elif step == "arrive":
            messages += writer.on_its_way
            writer.on_its_way = []
        elif step == "recover" and writer.unknown and not writer.lost:
            messages.append((Header(Kind.RENEWAL, writer.number), b""))
            found = writer.look()
            writer.unknown = False
            if not writer.lost:
                model = grown(found, [unsure.get(writer.number, [])])
        elif step in ("append", "torn") and not (writer.unknown or writer.lost):
            if writer.append(payloads, size if step == "append" else size // 2):
                model += payloads
            elif writer.unknown:
                unsure[writer.number] = payloads
    whole = records(messages)
    model = grown([payload for _, payload in whole], list(unsure.values()))
    assert whole == list(enumerate(model, 1))
    counted = {position for position, _ in whole}
    for header, _ in messages:
        if header.kind is Kind.RECORD and header.position in counted:
            start = header.previous - 1
            found = records(messages, Chain.from_element(start, messages[start][0]), start + 1)
            assert found == whole[len(whole) - len(found) :]


def test_brokers_that_are_not_there_are_told_within_a_bound(monkeypatch):
    monkeypatch.setattr(KafkaLogReader, "timeout_s", 1.0)
    started = time.monotonic()
    with pytest.raises(LogUnavailable, match=r"does not answer.*start its brokers"):
        open_event_log(f"kafka://127.0.0.1:{free_port()}/topic")
    with pytest.raises(LogUnavailable, match="does not answer"):
        open_log_reader(f"kafka://127.0.0.1:{free_port()}/topic")
    assert time.monotonic() - started < 60


def test_what_an_append_without_answer_did_is_found_out_and_nothing_of_it_comes_late(monkeypatch):
    monkeypatch.setattr(KafkaLogReader, "timeout_s", 1.0)
    with kafka_process() as (child, brokers):
        log = open_event_log(f"kafka://{brokers}/topic")
        model = []
        for n in range(3):
            batch = [b"%d-%d" % (n, i) for i in range(3)]
            os.kill(child.pid, signal.SIGSTOP)
            os.waitid(os.P_PID, child.pid, os.WSTOPPED)  # A busy machine lets it answer for a moment more.
            with pytest.raises(LogUnavailable, match="did not take"):
                log.append(batch)
            with pytest.raises(LogUnavailable, match="not known yet"):
                log.append(batch)
            os.kill(child.pid, signal.SIGCONT)
            recovered(log)
            if log.position > len(model):
                model += batch
            assert log.position == len(model)
            assert log.append([b"after %d" % n]) == len(model) + 1
            model.append(b"after %d" % n)
        time.sleep(0.2)
        reader = open_log_reader(f"kafka://{brokers}/topic")
        assert [payload for _, payload in reader.read()] == [payload for _, payload in log.read()] == model
        reader.close()
        log.close()


def recovered(log) -> None:
    for _ in range(60):
        try:
            log.recover()
        except LogUnavailable:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("the brokers did not come back")


def test_a_topic_whose_oldest_messages_are_gone_is_read_from_where_it_is_whole(url):
    # The mock cluster keeps the newest 5 MB.
    log = open_event_log(url)
    for n in range(40):
        log.append([b"%d" % n * 400] * 300)
    oldest = log.oldest()
    assert 1 < oldest < 12_000
    with pytest.raises(LogError, match=f"begins at position {oldest}"):
        list(log.read(oldest - 1))
    assert [position for position, _ in log.read(oldest)] == list(range(oldest, 12_001))
    reader = open_log_reader(url)
    for position in (oldest, oldest + 1, (oldest + 12_000) // 2, 12_000):
        assert next(iter(reader.read(position)))[0] == position
    assert (reader.newest(), reader.oldest()) == (12_000, oldest)
    reader.close()
    log.close()
    log = open_event_log(url)
    assert log.append([b"next"]) == 12_001
    log.close()


def test_a_record_that_a_broker_would_not_take_takes_nothing(url):
    log = open_event_log(url)
    with pytest.raises(LogError, match="split it"):
        log.append([b"a", bytes(MAX_RECORD_BYTES + 1)])
    assert log.append([b"b", bytes(MAX_RECORD_BYTES)]) == 1
    log.close()


@pytest.mark.parametrize(
    ("name", "value"), [("retention.ms", "604800000"), ("cleanup.policy", "compact"), ("retention.bytes", "1000")]
)
def test_a_topic_that_forgets_is_refused_with_the_setting_and_the_remedy(name, value):
    with pytest.raises(LogError, match=f"{name} is '{value}'.*set it to"):
        refuse_forgetful("the topic", {"retention.ms": "-1", "cleanup.policy": "delete", name: value})


@pytest.mark.parametrize("url", ["kafka://", "kafka://host:1", "kafka:///topic", "kafka://u:p@host:1/topic"])
def test_a_url_of_another_form_is_refused_with_the_form(url):
    with pytest.raises(ConfigError, match="write kafka://host:port"):
        check_url(url)


def test_an_option_that_does_not_exist_is_refused(kafka):
    with pytest.raises(ConfigError, match=r"no\.such\.option.*mend its URL's options"):
        open_event_log(f"kafka://{kafka}/topic?no.such.option=1")
