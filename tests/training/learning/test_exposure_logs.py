"""Many front doors, each with an exposure log of its own, and what becomes of the logs of those that are gone."""

import os
import time
from pathlib import Path

import numpy as np

from penchant.segments import SegmentWriter
from penchant.v1 import log_pb2
from training.learning.exposures import EXPOSURE_VERSION, ExposureJournal

LONG_AGO_S = 40 * 86_400.0


def slate(number: int, as_of_us: int) -> bytes:
    record = log_pb2.ExposureRecord(
        schema_version=EXPOSURE_VERSION, recommendation_id=f"slate-{number}", user_key=7, as_of_us=as_of_us,
        item_keys=np.array([1, 2], "<i8").tobytes(), scores=np.array([0.5, 0.1], "<f4").tobytes(),
    )  # fmt: skip
    return record.SerializeToString()


def front_door(folder: Path, slates: list[bytes], silent_s: float = 0.0) -> None:
    folder.mkdir(parents=True)
    writer = SegmentWriter(folder, 1 << 20, fsync=False)
    writer.append(slates)
    writer.close()
    for path in folder.iterdir():
        os.utime(path, (time.time() - silent_s,) * 2)


def test_every_front_doors_log_is_read(tmp_path: Path) -> None:
    front_door(tmp_path / "pod-a", [slate(1, 10), slate(2, 30)])
    front_door(tmp_path / "pod-b", [slate(3, 20)])
    journal = ExposureJournal(tmp_path)
    assert journal.read() == 3
    assert [shown.as_of_us for shown in journal.held] == [10, 20, 30]


def test_a_log_goes_when_its_front_door_is_long_gone_and_all_of_it_is_read_and_joined(tmp_path: Path) -> None:
    front_door(tmp_path / "gone", [slate(1, 10)], silent_s=LONG_AGO_S)
    front_door(tmp_path / "waiting", [slate(2, 99)], silent_s=LONG_AGO_S)
    front_door(tmp_path / "at work", [slate(3, 11)])
    month_ago = time.time() - 30 * 86_400.0
    journal = ExposureJournal(tmp_path)
    assert journal.remove_old(month_ago) == []  # Nothing of it was read.
    journal.read()
    journal.forget(50)
    assert journal.remove_old(month_ago) == ["gone"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["at work", "waiting"]
    assert "gone" not in journal.positions
    journal.forget(100)
    assert journal.remove_old(month_ago) == ["waiting"]


def test_the_log_of_a_single_process_stays(tmp_path: Path) -> None:
    front_door(tmp_path / "exposures", [slate(1, 10)], silent_s=LONG_AGO_S)
    journal = ExposureJournal(tmp_path / "exposures")
    journal.read()
    journal.forget(50)
    assert journal.remove_old(time.time()) == []
    assert journal.read() == 0
