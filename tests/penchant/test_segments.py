import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penchant.errors import LogError
from penchant.segments import MAX_RECORD_BYTES, SegmentWriter, read_segments

_IN_TMP = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def written(folder: Path, payloads: list[bytes], **options) -> SegmentWriter:
    writer = SegmentWriter(folder, **options)
    writer.append(payloads)
    return writer


def test_positions_rise_from_one_over_restarts(tmp_path):
    writer = SegmentWriter(tmp_path)
    assert writer.append([b"a", b"b"]) == 1
    assert writer.append([b"c"]) == 3
    writer.close()
    writer = SegmentWriter(tmp_path)
    assert writer.position == 3
    assert writer.append([b"", b"e"]) == 4
    assert list(read_segments(tmp_path)) == [(1, b"a"), (2, b"b"), (3, b"c"), (4, b""), (5, b"e")]
    assert list(read_segments(tmp_path, 4)) == [(4, b""), (5, b"e")]
    assert list(read_segments(tmp_path, 6)) == []
    writer.close()


def test_an_empty_folder_and_an_empty_batch_are_fine(tmp_path):
    assert list(read_segments(tmp_path)) == []
    writer = SegmentWriter(tmp_path)
    assert writer.append([]) == 1
    assert writer.position == 0
    writer.close()
    writer.close()
    assert SegmentWriter(tmp_path).position == 0


def test_a_second_opener_is_refused_until_the_first_closes(tmp_path):
    first = written(tmp_path, [b"a"])
    with pytest.raises(LogError, match="held by another process"):
        SegmentWriter(tmp_path)
    first.close()
    second = SegmentWriter(tmp_path)
    assert second.epoch == first.epoch + 1
    with pytest.raises(LogError, match="closed"):
        first.append([b"b"])
    second.close()


def test_a_writer_whose_lock_was_replaced_stops(tmp_path):
    first = written(tmp_path, [b"a"])
    (tmp_path / "lock").unlink()
    second = SegmentWriter(tmp_path)
    assert second.epoch > first.epoch
    with pytest.raises(LogError, match="replaced"):
        first.append([b"b"])
    assert second.append([b"c"]) == 2
    second.close()


def test_segments_roll_over_and_the_oldest_are_dropped_and_counted(tmp_path):
    writer = SegmentWriter(tmp_path, segment_bytes=1000, fsync=False, max_bytes=4000)
    for i in range(200):
        writer.append([b"%03d" % i + b"x" * 97])
    kept = list(read_segments(tmp_path))
    assert sum(path.stat().st_size for path in tmp_path.glob("*.segment")) <= 4000 + 200
    assert kept[0][0] == writer.dropped_records + 1
    assert kept[-1] == (200, b"199" + b"x" * 97)
    assert writer.dropped_segments > 10
    writer.close()
    assert SegmentWriter(tmp_path).position == 200


@_IN_TMP
@given(payloads=st.lists(st.binary(max_size=40), min_size=1, max_size=12), data=st.data())
def test_a_file_cut_anywhere_keeps_every_record_before_the_cut(tmp_path_factory, payloads, data):
    folder = tmp_path_factory.mktemp("torn")
    written(folder, payloads).close()
    (path,) = folder.glob("*.segment")
    cut = data.draw(st.integers(0, path.stat().st_size))
    garbage = data.draw(st.binary(max_size=30))
    with path.open("r+b") as file:
        file.truncate(cut)
    read = [p for _, p in read_segments(folder)] if cut >= 28 else []
    assert read == payloads[: len(read)]
    if cut >= 28:
        with path.open("ab") as file:
            file.write(garbage)
    writer = SegmentWriter(folder)
    assert writer.position >= len(read)
    at = writer.append([b"next"])
    assert [p for _, p in read_segments(folder, at)] == [b"next"]
    assert [p for _, p in read_segments(folder)][: len(read)] == payloads[: len(read)]
    writer.close()


def test_zeros_after_the_last_record_are_a_torn_tail(tmp_path):
    written(tmp_path, [b"a", b"b"]).close()
    (path,) = tmp_path.glob("*.segment")
    with path.open("ab") as file:
        file.write(bytes(100))
    writer = SegmentWriter(tmp_path)
    assert writer.position == 2
    assert len(list(tmp_path.glob("*.torn"))) == 1
    writer.close()


def test_damage_before_whole_records_is_refused_not_cut(tmp_path):
    written(tmp_path, [b"aaaa", b"bbbb", b"cccc"]).close()
    (path,) = tmp_path.glob("*.segment")
    content = path.read_bytes()
    path.write_bytes(content.replace(b"bbbb", b"bbXb"))
    with pytest.raises(LogError, match="record 2 is damaged"):
        SegmentWriter(tmp_path)
    path.write_bytes(content)
    written(tmp_path, [b"dddd"]).close()
    path.write_bytes(content.replace(b"cccc", b"ccXc"))
    with pytest.raises(LogError, match="from record 1 is damaged or missing"):
        list(read_segments(tmp_path))


def test_an_over_long_record_takes_nothing(tmp_path):
    writer = SegmentWriter(tmp_path)
    with pytest.raises(LogError, match="split it"):
        writer.append([b"a", bytes(MAX_RECORD_BYTES + 1)])
    assert writer.position == 0
    writer.close()


def test_threads_share_their_fsyncs_and_lose_nothing(tmp_path):
    writer = SegmentWriter(tmp_path)
    started = writer.sync_count
    threads = [
        threading.Thread(target=lambda n=n: [writer.append([b"%d-%d" % (n, i)]) for i in range(30)]) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    records = [payload for _, payload in read_segments(tmp_path)]
    assert sorted(records) == sorted(b"%d-%d" % (n, i) for n in range(8) for i in range(30))
    for n in range(8):
        mine = [r for r in records if r.startswith(b"%d-" % n)]
        assert mine == [b"%d-%d" % (n, i) for i in range(30)]
    assert writer.sync_count - started <= 240
    writer.close()


def test_a_killed_writer_loses_nothing_it_answered(tmp_path):
    program = (
        "import sys; from pathlib import Path; from penchant.segments import SegmentWriter\n"
        "w = SegmentWriter(Path(sys.argv[1]), segment_bytes=2000)\n"
        "while True:\n"
        "    at = w.append([b'x' * 50, b'y' * 50]); print(at + 1, flush=True)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    answered = 0
    for line in child.stdout:
        answered = int(line)
        if answered >= 200:
            break
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    writer = SegmentWriter(tmp_path)
    assert writer.position >= answered
    assert [p for p, _ in read_segments(tmp_path)] == list(range(1, writer.position + 1))
    writer.close()
