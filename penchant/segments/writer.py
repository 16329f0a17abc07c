"""The one writer of a folder of segments."""

import fcntl
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from penchant.errors import LogError, LogFenced
from penchant.segments.format import (
    HEADER,
    MAX_RECORD_BYTES,
    RECORD,
    SUFFIX,
    encoded,
    epoch_of,
    header,
    header_is_whole,
    segment_files,
    stated_length,
    whole_records,
)

SEGMENT_BYTES = 64 << 20


class SegmentWriter:
    """The one writer of a folder. Safe to call from several threads, which then share their fsyncs.

    fsync: append returns only once its records are on the disk. max_bytes: above it the oldest whole segments are
    dropped and counted; 0 keeps all. start: a folder without records begins after this position. written is called
    when a batch was written and not yet synced. Raises LogError if another process holds the folder, or a file is
    damaged.
    """

    def __init__(
        self,
        folder: Path,
        segment_bytes: int = SEGMENT_BYTES,
        fsync: bool = True,
        max_bytes: int = 0,
        start: int = 0,
        written: Callable[[], None] = lambda: None,
    ) -> None:
        self.folder = folder
        self.segment_bytes = segment_bytes
        self.fsync = fsync
        self.max_bytes = max_bytes
        self.dropped_segments = 0
        self.dropped_records = 0
        self.sync_count = 0
        self._written = written
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
            self._sizes = {first: path.stat().st_size for first, path in segment_files(folder)}
            self._open_segment()
        except BaseException:
            os.close(self._lock)
            raise

    def append(self, payloads: Sequence[bytes]) -> int:
        """Write records one after another; the position of the first.

        All of them are taken or none, also where the process is killed meanwhile.
        """
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
            self._write(encoded(first, payloads))
            self.position += len(payloads)
            last = self.position
        self._written()
        if self.fsync:
            self._sync(last)
        return first

    def sync(self) -> None:
        """Put everything written so far on the disk."""
        self._sync(self.position)

    def drop_before(self, position: int) -> int:
        """Delete the segments that hold nothing from a position on; the position of the oldest record that is left."""
        with self._writing:
            firsts = sorted(self._sizes)
            while len(firsts) > 1 and firsts[1] <= position:
                self._drop(firsts.pop(0), firsts[0])
            _sync_folder(self.folder)
            return firsts[0]

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
        epoch = max(epoch, 1 + max((epoch_of(path) for _, path in segment_files(self.folder)), default=0))
        os.pwrite(self._lock, f"{epoch}\n".encode(), 0)
        os.fsync(self._lock)
        return epoch

    def _open_segment(self) -> None:
        self._first = self.position + 1
        path = self.folder / f"{self._first:020d}{SUFFIX}"
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._sizes[self._first] = 0
        self._write(header(self._first, self.epoch))
        _sync_folder(self.folder)
        self._drop_oldest()

    def _drop_oldest(self) -> None:
        if not self.max_bytes:
            return
        firsts = sorted(self._sizes)
        # The open segment may grow to segment_bytes, so that much is set aside for it.
        while len(firsts) > 1 and sum(self._sizes.values()) + self.segment_bytes > self.max_bytes:
            self._drop(firsts.pop(0), firsts[0])

    def _drop(self, first: int, next_first: int) -> None:
        (self.folder / f"{first:020d}{SUFFIX}").unlink(missing_ok=True)
        del self._sizes[first]
        self.dropped_segments += 1
        self.dropped_records += next_first - first

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
            raise LogFenced(f"{self.folder}: the lock file was replaced under this writer: start it again")

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


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _mend(folder: Path) -> int:
    """Cut the torn tail of the newest segment; the position of the last record of the last whole batch.

    Raises LogError where a damaged record has whole ones after it: that is no torn tail but a damaged file.
    """
    while files := segment_files(folder):
        first, path = files[-1]
        content = path.read_bytes()
        whole = header_is_whole(content, first, path)
        end = read_to = HEADER.size if whole else 0
        last = position = first - 1
        for record in whole_records(content, HEADER.size, first) if whole else ():
            read_to, position = record.end, record.position
            if record.closes:
                end, last = read_to, position
        if whole:
            _refuse_damage(path, content, read_to, position + 1)
        if whole and end < len(content):
            path.with_suffix(".torn").write_bytes(content[end:])
        if last < first:
            path.unlink()
            if len(files) == 1:
                return last
            continue
        if end < len(content):
            with path.open("r+b") as file:
                file.truncate(end)
                os.fsync(file.fileno())
        return last
    return 0


def _refuse_damage(path: Path, content: bytes, at: int, position: int) -> None:
    length = stated_length(content, at)
    if length < 0:
        return
    after = at + RECORD.size + length
    if next(whole_records(content, after, position + 1), None) is not None:
        raise LogError(f"{path}: record {position} is damaged, later ones are whole: restore the file from a copy")
