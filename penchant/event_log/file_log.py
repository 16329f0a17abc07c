"""An event log in a folder: append-only segments, one process that writes them."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from penchant.errors import LogError
from penchant.event_log.protocol import Record
from penchant.event_log.rules import checked_name, refuse_beyond, refuse_needed, refuse_trimmed
from penchant.segments import SegmentReader, SegmentWriter

_POLL_S = 0.02
_HOLDS = "holds"
"""Folder of files named after who holds; each has a position in it."""


class FileLogReader:
    """LogReader over a folder that another process may write."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._reader = SegmentReader(folder)

    def __str__(self) -> str:
        return str(self.folder)

    def read(self, from_position: int = 1) -> Iterator[Record]:
        """See LogReader.read."""
        refuse_trimmed(self, from_position)
        position = 0
        for position, payload in self._reader.read(from_position):
            yield position, payload
        if not position:
            refuse_beyond(self, from_position)

    def oldest(self) -> int:
        """See LogReader.oldest."""
        return self._reader.oldest()

    def newest(self) -> int:
        """See LogReader.newest."""
        return self._reader.newest()

    def wait(self, position: int, timeout_s: float) -> bool:
        """See LogReader.wait."""
        ends = time.monotonic() + timeout_s
        while self.newest() <= position:
            if time.monotonic() >= ends:
                return False
            time.sleep(min(_POLL_S, max(timeout_s, 0.0)))
        return True

    def hold(self, name: str, position: int) -> None:
        """See LogReader.hold."""
        path = self.folder / _HOLDS / checked_name(name)
        written = path.with_suffix(".new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with written.open("w") as file:
                file.write(f"{position}\n")
                file.flush()
                os.fsync(file.fileno())
            written.replace(path)
        except OSError as error:
            raise LogError(f"{path} cannot be written ({error}): whoever reads the log must be able to") from None

    def held(self, name: str) -> int:
        """See LogReader.held."""
        path = self.folder / _HOLDS / checked_name(name)
        try:
            return int(path.read_text())
        except FileNotFoundError:
            return 0
        except (OSError, ValueError) as error:
            raise LogError(f"{path} holds no position ({error}): write one, or remove it") from None

    def close(self) -> None:
        """See LogReader.close."""


class FileLog(FileLogReader):
    """EventLog over a folder: a second opener is refused while the first lives."""

    def __init__(self, folder: Path, start: int = 0, written: Callable[[], None] = lambda: None) -> None:
        super().__init__(folder)
        self._writer = SegmentWriter(folder, start=start, written=written)

    @property
    def position(self) -> int:
        """See EventLog.position."""
        return self._writer.position

    @property
    def epoch(self) -> int:
        """See EventLog.epoch."""
        return self._writer.epoch

    def newest(self) -> int:
        """See LogReader.newest."""
        return self._writer.position

    def append(self, payloads: Sequence[bytes]) -> int:
        """See EventLog.append."""
        return self._writer.append(payloads)

    def recover(self) -> None:
        """See EventLog.recover: what a file holds is always known."""

    def trim_before(self, position: int, holders: Sequence[str]) -> int:
        """See EventLog.trim_before: whole segments alone are dropped."""
        refuse_needed(self, position, holders)
        return self._writer.drop_before(position)

    def close(self) -> None:
        """See LogReader.close."""
        self._writer.close()
