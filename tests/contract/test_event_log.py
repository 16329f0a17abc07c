"""One suite for every event log: what penchant.event_log.protocol says."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penchant.errors import LogError, LogFenced
from penchant.event_log import EventLog, follow, open_event_log, open_log_reader
from penchant.segments import MAX_RECORD_BYTES

Url = str


@pytest.fixture(params=["file", "redis", "kafka"])
def kind(request) -> str:
    return request.param


@pytest.fixture
def new_url(new_log_url, kind) -> Callable[[], Url]:
    return lambda: new_log_url(kind)


@pytest.fixture
def url(new_url) -> Url:
    return new_url()


@pytest.fixture
def log(url) -> Iterator[EventLog]:
    opened = open_event_log(url)
    yield opened
    opened.close()


def read(url: Url, from_position: int = 1) -> list[tuple[int, bytes]]:
    reader = open_log_reader(url)
    try:
        return list(reader.read(from_position))
    finally:
        reader.close()


def test_positions_rise_by_one_from_one_in_the_order_of_appending(url, log):
    assert log.position == log.newest() == 0
    assert log.append([b"a", b"b"]) == 1
    assert log.append([b""]) == 3
    assert log.append([b"d", b"e"]) == 4
    assert log.position == log.newest() == 5
    assert log.oldest() == 1
    assert list(log.read()) == read(url) == [(1, b"a"), (2, b"b"), (3, b""), (4, b"d"), (5, b"e")]
    assert list(log.read(4)) == read(url, 4) == [(4, b"d"), (5, b"e")]
    assert list(log.read(6)) == read(url, 6) == []


def test_a_position_beyond_the_end_is_of_another_log(url, log):
    reader = open_log_reader(url)
    with pytest.raises(LogError, match=r"ends at position 0, and 3 was asked for: it is another log"):
        list(reader.read(3))
    log.append([b"a", b"b"])
    assert list(reader.read(3)) == []
    with pytest.raises(LogError, match="ends at position 2"):
        list(reader.read(4))
    log.append([b"c"])
    assert list(reader.read(3)) == [(3, b"c")]
    reader.close()


def test_an_empty_batch_takes_nothing(log):
    assert log.append([]) == 1
    assert log.position == 0
    assert list(log.read()) == []


def test_a_log_goes_on_where_it_was_closed(url, log):
    log.append([b"a", b"b"])
    epoch = log.epoch
    log.close()
    log.close()
    again = open_event_log(url, start=100)
    assert again.position == 2
    assert again.epoch > epoch
    assert again.append([b"c"]) == 3
    assert read(url) == [(1, b"a"), (2, b"b"), (3, b"c")]
    again.close()


def test_an_empty_log_begins_where_it_is_told(url):
    log = open_event_log(url, start=1_000_000)
    assert log.position == 1_000_000
    assert log.append([b"a"]) == 1_000_001
    log.close()
    assert read(url, 1_000_001) == [(1_000_001, b"a")]
    with pytest.raises(LogError, match="begins at position 1000001"):
        read(url, 5)


def test_logs_of_other_names_are_apart(url, log):
    log.append([b"event"])
    items = open_event_log(url, "items")
    assert items.append([b"item"]) == 1
    items.close()
    assert read(url) == [(1, b"event")]


def test_a_reader_sees_what_is_appended_after_it_was_opened(url, log):
    reader = open_log_reader(url)
    assert list(reader.read()) == []
    seen = []
    for n in range(20):
        log.append([b"%d-%d" % (n, i) for i in range(n)])
        if n % 3 == 0:
            seen += list(reader.read(len(seen) + 1))
            assert reader.newest() == log.position
    assert seen == list(log.read(1))[: len(seen)]
    assert list(reader.read(7)) == list(log.read(7))
    reader.close()


def test_a_reader_may_come_before_the_log(url):
    reader = open_log_reader(url)
    assert (list(reader.read()), reader.newest(), reader.oldest()) == ([], 0, 1)
    assert not reader.wait(0, 0.05)
    log = open_event_log(url)
    log.append([b"a"])
    assert reader.wait(0, 5.0)
    assert list(reader.read()) == [(1, b"a")]
    reader.close()
    log.close()


def test_whoever_follows_gets_everything_once_while_the_writer_goes_on(url, log):
    got: list[tuple[int, bytes]] = []
    done = threading.Event()

    def following() -> None:
        reader = open_log_reader(url)
        for record in follow(reader, 1, done.is_set, 0.05):
            got.append(record)
            if record[1] == b"last":
                done.set()
        reader.close()

    thread = threading.Thread(target=following)
    thread.start()
    for n in range(60):
        log.append([b"%d" % n] * (n % 4))
    log.append([b"last"])
    thread.join(20)
    assert not thread.is_alive()
    assert got == list(log.read())


def test_an_oversize_record_takes_nothing(log):
    log.append([b"a"])
    with pytest.raises(LogError, match="split it"):
        log.append([b"b", bytes(MAX_RECORD_BYTES + 1)])
    assert log.position == 1
    assert log.append([b"c"]) == 2


def test_holds_are_kept_with_the_log(url, log):
    reader = open_log_reader(url)
    assert reader.held("learner") == 0
    reader.hold("learner", 7)
    reader.hold("learner", 9)
    assert reader.held("learner") == log.held("learner") == 9
    assert log.held("applied") == 0
    with pytest.raises(LogError, match="cannot hold a log"):
        reader.hold("../learner", 1)
    reader.close()


def test_trimming_stops_before_what_a_holder_still_needs(log, kind):
    for n in range(30):
        log.append([b"%d" % n])
    log.hold("applied", 20)
    with pytest.raises(LogError, match="'applied' is done up to position 20"):
        log.trim_before(22, ["applied"])
    with pytest.raises(LogError, match="'learner' is done up to position 0"):
        log.trim_before(15, ["applied", "learner"])
    assert len(list(log.read(1))) == 30
    if kind == "kafka":
        # The mock cluster cannot delete records.
        with pytest.raises(LogError, match="not supported"):
            log.trim_before(15, ["applied"])
        return
    oldest = log.trim_before(15, ["applied"])
    assert oldest == log.oldest() <= 15
    assert list(log.read(15)) == [(n + 1, b"%d" % n) for n in range(14, 30)]
    assert log.append([b"next"]) == 31


def test_a_second_writer_is_refused_or_takes_over(url, log, kind):
    log.append([b"a"])
    if kind == "file":
        with pytest.raises(LogError, match="held by another process"):
            open_event_log(url)
        assert log.append([b"b"]) == 2
        return
    second = open_event_log(url)
    assert second.epoch > log.epoch
    for _ in range(2):
        with pytest.raises(LogFenced, match=r"took .* over.*: stop one of the two"):
            log.append([b"lost", b"too"])
    assert second.append([b"b"]) == 2
    third = open_event_log(url)
    with pytest.raises(LogFenced):
        second.append([b"lost"])
    assert third.append([b"c", b"d"]) == 3
    assert read(url) == list(third.read()) == [(1, b"a"), (2, b"b"), (3, b"c"), (4, b"d")]
    third.close()
    second.close()


def test_a_closed_log_takes_nothing(log):
    log.close()
    with pytest.raises(LogError, match="closed"):
        log.append([b"a"])


def test_a_reader_sees_batches_whole_or_not_at_all(url, log):
    begun, done = threading.Event(), threading.Event()
    torn: list[int] = []
    reads: list[int] = []

    def reading() -> None:
        reader = open_log_reader(url)
        while not done.is_set():
            count = sum(1 for _ in reader.read())
            reads.append(count)
            begun.set()
            if count % 300:
                torn.append(count)
        reader.close()

    thread = threading.Thread(target=reading)
    thread.start()
    assert begun.wait(30)
    for n in range(12):
        log.append([b"%d" % n * 50] * 300)
    done.set()
    thread.join(30)
    assert not torn
    assert reads
    assert log.newest() == 3600


def test_what_a_killed_writer_was_answered_stays_and_no_batch_is_torn(url):
    program = (
        "import sys\n"
        "from penchant.event_log import open_event_log\n"
        "log = open_event_log(sys.argv[1])\n"
        "for n in range(100000):\n"
        "    log.append([b'%d-%d' % (n, i) for i in range(40)])\n"
        "    print(n, flush=True)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", program, url], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    answered = -1
    for line in child.stdout:
        answered = int(line)
        if answered >= 50:
            child.kill()
    child.wait()
    log = open_event_log(url)
    assert log.append([b"next"]) == log.position
    records = list(log.read())
    assert [position for position, _ in records] == list(range(1, log.position + 1))
    batches = (len(records) - 1) // 40
    assert batches > answered
    expected = [b"%d-%d" % (n, i) for n in range(batches) for i in range(40)]
    assert [payload for _, payload in records] == [*expected, b"next"]
    log.close()


Step = tuple[str, list[bytes]]
_STEPS: st.SearchStrategy[list[Step]] = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.lists(st.binary(max_size=20), max_size=5)),
        st.tuples(st.sampled_from(["reopen", "read", "reader"]), st.just([])),
    ),
    max_size=12,
)


def test_a_log_behaves_as_a_list(new_url, kind):
    @settings(max_examples=8 if kind == "kafka" else 30, deadline=None, suppress_health_check=list(HealthCheck))
    @given(steps=_STEPS)
    def behaves(steps: list[Step]) -> None:
        check_against_a_list(new_url(), steps)

    behaves()


def check_against_a_list(url: Url, steps: list[Step]) -> None:
    log, reader = open_event_log(url), open_log_reader(url)
    model: list[bytes] = []
    try:
        for step, batch in steps:
            if step == "append":
                assert log.append(batch) == len(model) + 1
                model += batch
            elif step == "reopen":
                log.close()
                log = open_event_log(url)
            read_from = 1 + len(model) // 2
            expected = list(enumerate(model, 1))
            assert list((log if step == "read" else reader).read(read_from)) == expected[read_from - 1 :]
            assert log.position == reader.newest() == len(model)
        assert list(log.read()) == list(reader.read()) == list(enumerate(model, 1))
    finally:
        log.close()
        reader.close()
