"""Append-only segment files: records with a rising position and a checksum, one writer, any number of readers.

<folder>/lock                     held by the writer while it lives; its text is the writer's epoch
<folder>/<position>.segment       records from that position on; the name is 20 digits
<folder>/<position>.torn          what a crash left after the last whole record, kept for a person to look at

A segment is a header (magic, first position, the epoch of the writer that made it, checksum) and records:
uint32 length, uint32 CRC-32 of (position, length, payload), payload; all little endian.
"""

import fcntl
import os
import struct
import threading
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from penchant.errors import LogError

SEGMENT_BYTES = 64 << 20
MAX_RECORD_BYTES = 16 << 20
_HEADER = struct.Struct("<8sQQI")
_RECORD = struct.Struct("<II")
_CHECKED = struct.Struct("<QI")
_MAGIC = b"PNCHSEG1"
_SUFFIX = ".segment"


def _crc(position: int, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(_CHECKED.pack(position, len(payload))))


def _encoded(position: int, payload: bytes) -> bytes:
    return _RECORD.pack(len(payload), _crc(position, payload)) + payload


def _segment_files(folder: Path) -> list[tuple[int, Path]]:
    """First position and path of each segment, ascending."""
    return sorted((int(path.stem), path) for path in folder.glob(f"*{_SUFFIX}"))


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class SegmentWriter:
    """The one writer of a folder. Safe to call from several threads, which then share their fsyncs.

    fsync: append returns only once its records are on the disk. max_bytes: above it the oldest whole segments are
    dropped and counted; 0 keeps all. start: a folder without records begins after this position. Raises LogError if
    another process holds the folder, or a file is damaged.
    """

    def __init__(
        self, folder: Path, segment_bytes: int = SEGMENT_BYTES, fsync: bool = True, max_bytes: int = 0, start: int = 0
    ) -> None:
        self.folder = folder
        self.segment_bytes = segment_bytes
        self.fsync = fsync
        self.max_bytes = max_bytes
        self.dropped_segments = 0
        self.dropped_records = 0
        self.sync_count = 0
        self._broken = ""
        self._writing = threading.Lock()
        self._syncing = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = self._take_lock()
        try:
            self.epoch = self._next_epoch()
            self.position = _mend(folder) or start
            """Of the newest record; 0 before the first."""
            self._synced = self.position
            self._sizes = {first: path.stat().st_size for first, path in _segment_files(folder)}
            self._open_segment()
        except BaseException:
            os.close(self._lock)
            raise

    def append(self, payloads: Sequence[bytes]) -> int:
        """Write records one after another; the position of the first. All of them are taken, or none."""
        for payload in payloads:
            if len(payload) > MAX_RECORD_BYTES:
                raise LogError(f"a record of {len(payload)} bytes is above {MAX_RECORD_BYTES}: split it")
        with self._writing:
            self._check_usable()
            first = self.position + 1
            if not payloads:
                return first
            if self._sizes[self._first] >= self.segment_bytes:
                self._sync(self.position)
                os.close(self._file)
                self._open_segment()
            self._write(b"".join(_encoded(first + i, payload) for i, payload in enumerate(payloads)))
            self.position += len(payloads)
            last = self.position
        if self.fsync:
            self._sync(last)
        return first

    def sync(self) -> None:
        """Put everything written so far on the disk."""
        self._sync(self.position)

    def close(self) -> None:
        """Sync and give the folder back; closing twice is harmless."""
        with self._writing:
            if self._lock < 0:
                return
            try:
                if not self._broken:
                    self._sync(self.position)
            finally:
                os.close(self._file)
                os.close(self._lock)
                self._lock = -1
                self._broken = "it was closed"

    def _take_lock(self) -> int:
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise LogError(
                f"{self.folder} is held by another process: stop it, or give this one a folder of its own"
            ) from None
        return descriptor

    def _next_epoch(self) -> int:
        text = os.pread(self._lock, 32, 0).strip()
        epoch = int(text) + 1 if text.isdigit() else 1
        epoch = max(epoch, 1 + max((_epoch_of(path) for _, path in _segment_files(self.folder)), default=0))
        os.pwrite(self._lock, f"{epoch}\n".encode(), 0)
        os.fsync(self._lock)
        return epoch

    def _open_segment(self) -> None:
        self._first = self.position + 1
        path = self.folder / f"{self._first:020d}{_SUFFIX}"
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._sizes[self._first] = 0
        described = struct.pack("<8sQQ", _MAGIC, self._first, self.epoch)
        self._write(described + struct.pack("<I", zlib.crc32(described)))
        _sync_folder(self.folder)
        self._drop_oldest()

    def _drop_oldest(self) -> None:
        if not self.max_bytes:
            return
        firsts = sorted(self._sizes)
        # The open segment may grow to segment_bytes, so that much is set aside for it.
        while len(firsts) > 1 and sum(self._sizes.values()) + self.segment_bytes > self.max_bytes:
            first = firsts.pop(0)
            (self.folder / f"{first:020d}{_SUFFIX}").unlink(missing_ok=True)
            del self._sizes[first]
            self.dropped_segments += 1
            self.dropped_records += firsts[0] - first

    def _check_usable(self) -> None:
        if self._broken:
            raise LogError(f"{self.folder} takes no more records, because {self._broken}: open it again")
        # Whoever removed the lock file may have let a second writer in: the one with the old file stops.
        try:
            held = os.stat(self.folder / "lock").st_ino == os.fstat(self._lock).st_ino
        except FileNotFoundError:
            held = False
        if not held:
            self._broken = "its lock file was replaced"
            raise LogError(f"{self.folder}: the lock file was replaced under this writer: start it again")

    def _write(self, block: bytes) -> None:
        size = self._sizes[self._first]
        try:
            written = 0
            while written < len(block):
                written += os.write(self._file, memoryview(block)[written:])
        except OSError as error:
            try:
                os.ftruncate(self._file, size)
            except OSError:
                self._broken = "a failed write could not be undone"
            raise LogError(f"{self.folder}: cannot write ({error}): free disk space or mend the disk") from None
        self._sizes[self._first] = size + len(block)

    def _sync(self, position: int) -> None:
        """One fsync serves every thread whose records were written before it began."""
        with self._syncing:
            if self._synced >= position:
                return
            newest = self.position
            try:
                os.fsync(self._file)
            except OSError as error:
                # What the disk holds is not known any more, and a second fsync would claim success.
                self._broken = f"an fsync failed ({error})"
                raise LogError(f"{self.folder}: fsync failed ({error}): check the disk and start again") from None
            self.sync_count += 1
            self._synced = newest


def _epoch_of(path: Path) -> int:
    with path.open("rb") as file:
        header = file.read(_HEADER.size)
    return int(_HEADER.unpack(header)[2]) if len(header) == _HEADER.size else 0


def _whole_records(content: bytes, first: int) -> Iterator[tuple[int, bytes, int]]:
    """Position, payload and end offset of records up to the first that is not whole."""
    at, position = _HEADER.size, first
    while at + _RECORD.size <= len(content):
        length, crc = _RECORD.unpack_from(content, at)
        end = at + _RECORD.size + length
        if end > len(content):
            return
        payload = content[at + _RECORD.size : end]
        if _crc(position, payload) != crc:
            return
        yield position, payload, end
        at, position = end, position + 1


def _header_is_whole(content: bytes, first: int, path: Path) -> bool:
    """False for a header that a crash cut short. Raises LogError for one that says something else."""
    if len(content) < _HEADER.size:
        return False
    magic, stated, _, crc = _HEADER.unpack_from(content)
    if magic != _MAGIC or stated != first or zlib.crc32(content[: _HEADER.size - 4]) != crc:
        raise LogError(f"{path} is no segment from position {first}: restore it from a copy, or move it away")
    return True


def _mend(folder: Path) -> int:
    """Cut the torn tail of the newest segment; the position of the last whole record.

    Raises LogError where a damaged record has whole ones after it: that is no torn tail but a damaged file.
    """
    while files := _segment_files(folder):
        first, path = files[-1]
        content = path.read_bytes()
        whole = _header_is_whole(content, first, path)
        last, end = first - 1, _HEADER.size if whole else 0
        # Only where the last whole record ends is wanted, so the body is empty.
        for last, _, end in _whole_records(content, first) if whole else ():  # noqa: B007
            pass
        tail = content[end:]
        if tail and whole:
            _refuse_damage(path, content, end, last + 1)
            path.with_suffix(".torn").write_bytes(tail)
        if last < first:
            path.unlink()
            if len(files) == 1:
                return last
            continue
        if tail:
            with path.open("r+b") as file:
                file.truncate(end)
                os.fsync(file.fileno())
        return last
    return 0


def _refuse_damage(path: Path, content: bytes, at: int, position: int) -> None:
    if at + _RECORD.size > len(content):
        return
    length, _ = _RECORD.unpack_from(content, at)
    after = at + _RECORD.size + length
    if after + _RECORD.size > len(content):
        return
    length, crc = _RECORD.unpack_from(content, after)
    payload = content[after + _RECORD.size : after + _RECORD.size + length]
    if len(payload) == length and _crc(position + 1, payload) == crc:
        raise LogError(f"{path}: record {position} is damaged, later ones are whole: restore the file from a copy")


def read_segments(folder: Path, from_position: int = 1) -> Iterator[tuple[int, bytes]]:
    """Position and payload of every whole record from a position on, while a writer may go on writing.

    Starts at the oldest kept record if the position is older. Raises LogError for damage before the newest segment.
    """
    files = _segment_files(folder)
    for i, (first, path) in enumerate(files):
        newest = i == len(files) - 1
        if not newest and files[i + 1][0] <= from_position:
            continue
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            continue  # Dropped meanwhile, being the oldest.
        last = first - 1
        if _header_is_whole(content, first, path):
            for last, payload, _ in _whole_records(content, first):
                if last >= from_position:
                    yield last, payload
        if not newest and last + 1 != files[i + 1][0]:
            raise LogError(f"{path}: record {last + 1} is damaged or missing: restore the file from a copy")
