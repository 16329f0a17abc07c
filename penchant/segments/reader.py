"""Reading segments while a writer goes on writing."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from penchant.errors import LogError
from penchant.segments.format import HEADER, SUFFIX, header_is_whole, segment_files, whole_records

_CHUNK_BYTES = 1 << 20


class _Place(NamedTuple):
    """The segment that begins with record `first`; its batch at byte `at` begins with record `position`."""

    first: int
    at: int
    position: int

    @classmethod
    def start_of(cls, first: int) -> "_Place":
        return cls(first, 0, first)


class SegmentReader:
    """Reads a folder, and goes on from where it stopped without reading anything twice. Not thread-safe."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._place: _Place | None = None

    def oldest(self) -> int:
        """Position of the oldest kept record, or of the first to come; 1 where there is no segment."""
        files = segment_files(self._folder)
        return files[0][0] if files else 1

    def newest(self) -> int:
        """Position of the last record of the newest whole batch. Raises LogError."""
        files = segment_files(self._folder)
        if not files:
            return 0
        # Only where the log ends is asked, so what lies before the last segment is not read.
        if self._place is None or self._place.first < files[-1][0]:
            self._place = _Place.start_of(files[-1][0])
        for _ in self.read(self._place.position):
            pass
        return self._place.position - 1

    def read(self, from_position: int = 1) -> Iterator[tuple[int, bytes]]:
        """Position and payload of every record of a whole batch from a position on, to the end as it is then.

        Starts at the oldest kept record if the position is older. Raises LogError for damage before the newest segment.
        """
        place = self._place
        if place is None or from_position < place.position:
            firsts = [first for first, _ in segment_files(self._folder)]
            if not firsts:
                return
            place = _Place.start_of(max((first for first in firsts if first <= from_position), default=firsts[0]))
        while True:
            # Asked before the rest is read: a segment is finished once there is one after it.
            later = [first for first, _ in segment_files(self._folder) if first > place.first]
            path = self._folder / f"{place.first:020d}{SUFFIX}"
            try:
                for batch, place in _batches(path, place):  # noqa: B020 - goes on from where it stood
                    self._place = place
                    yield from (record for record in batch if record[0] >= from_position)
                if later and place.position != later[0]:
                    raise LogError(
                        f"{path}: the batch from record {place.position} is damaged or missing: restore it from a copy"
                    )
            except FileNotFoundError:
                pass  # Dropped meanwhile, being the oldest.
            if not later:
                return
            place = _Place.start_of(later[0])


def _batches(path: Path, place: _Place) -> Iterator[tuple[list[tuple[int, bytes]], _Place]]:
    """Whole batches of a segment from a place on, each with the place after it."""
    first, at, position = place
    with path.open("rb") as file:
        if not at:
            if not header_is_whole(file.read(HEADER.size), first, path):
                return
            at = HEADER.size
        file.seek(at)
        content = b""
        while chunk := file.read(_CHUNK_BYTES):
            content += chunk
            batch: list[tuple[int, bytes]] = []
            used = 0
            for record in whole_records(content, 0, position):
                batch.append((record.position, record.payload))
                if record.closes:
                    position = record.position + 1
                    yield batch, _Place(first, at + record.end, position)
                    used, batch = record.end, []
            content = content[used:]
            at += used


def read_segments(folder: Path, from_position: int = 1) -> Iterator[tuple[int, bytes]]:
    """See SegmentReader.read."""
    return SegmentReader(folder).read(from_position)
