import pytest

from penchant.errors import ConfigError, LogError
from penchant.event_log import check_url, open_event_log, open_log_reader
from penchant.event_log.file_log import FileLog
from penchant.segments import SegmentWriter, read_segments


def test_a_second_opener_is_refused_while_the_first_lives(tmp_path):
    first = open_event_log(str(tmp_path))
    with pytest.raises(LogError, match="held by another process"):
        open_event_log(str(tmp_path))
    first.close()
    open_event_log(str(tmp_path)).close()


def test_a_batch_that_a_crash_cut_short_is_no_part_of_the_log(tmp_path):
    log = FileLog(tmp_path)
    log.append([b"a", b"b"])
    log.append([b"c" * 50, b"d" * 50, b"e" * 50])
    log.close()
    (path,) = tmp_path.glob("*.segment")
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 70)
    assert list(open_log_reader(str(tmp_path.parent), tmp_path.name).read()) == [(1, b"a"), (2, b"b")]
    log = FileLog(tmp_path)
    assert log.position == 2
    assert log.append([b"f"]) == 3
    assert list(log.read()) == [(1, b"a"), (2, b"b"), (3, b"f")]
    log.close()


def test_a_reader_goes_on_over_a_crash_and_new_segments(tmp_path):
    writer = SegmentWriter(tmp_path / "events", segment_bytes=200)
    reader = open_log_reader(str(tmp_path))
    seen = []
    for n in range(40):
        writer.append([b"%d" % n * 10, b"x"])
        if n % 7 == 0:
            writer.close()
            writer = SegmentWriter(tmp_path / "events", segment_bytes=200)
        if n % 5 == 0:
            seen += list(reader.read(len(seen) + 1))
    seen += list(reader.read(len(seen) + 1))
    assert seen == list(read_segments(tmp_path / "events"))
    assert len(seen) == 80
    writer.close()


def test_trimming_drops_whole_segments_and_a_reader_is_told(tmp_path):
    writer = SegmentWriter(tmp_path / "events", segment_bytes=200)
    for n in range(40):
        writer.append([b"%d" % n * 10])
    writer.close()
    log = open_event_log(str(tmp_path))
    log.hold("applied", 40)
    oldest = log.trim_before(20, ["applied"])
    assert 10 < oldest <= 20
    reader = open_log_reader(str(tmp_path))
    assert reader.oldest() == oldest
    with pytest.raises(LogError, match=f"begins at position {oldest}"):
        list(reader.read(oldest - 1))
    assert [position for position, _ in reader.read(oldest)] == list(range(oldest, 41))
    log.close()


@pytest.mark.parametrize("url", ["", "ftp://host/x", "file://host/x", "file://"])
def test_what_names_no_log_is_refused_with_a_remedy(url):
    with pytest.raises(ConfigError, match="write a path"):
        check_url(url)
