"""What every event log does. tests/contract/test_event_log.py holds the implementations to it."""

from collections.abc import Iterator, Sequence
from typing import Protocol

Record = tuple[int, bytes]
"""Position and payload."""


class LogReader(Protocol):
    """Reads a log, also while its writer lives. Calls block; one thread uses a reader.

    Positions rise by one from record to record. What is read is durable and stays: a batch appears whole or not at all.
    """

    def read(self, from_position: int = 1) -> Iterator[Record]:
        """Records from a position on, to the end of the log as it is then; going on where it stopped is cheap.

        Raises LogError where records from that position on were trimmed, are missing, or cannot be read, or the log
        ends before it: it is not the one that was read before.
        """
        ...

    def oldest(self) -> int:
        """Position of the oldest record that is kept, or of the next one where none is."""
        ...

    def newest(self) -> int:
        """Position of the newest record, whether it is kept or was trimmed; 0 before the first."""
        ...

    def wait(self, position: int, timeout_s: float) -> bool:
        """Wait until there is a record after a position; False if there was none in time."""
        ...

    def hold(self, name: str, position: int) -> None:
        """Note, in the log and durably, that `name` is done with everything up to a position."""
        ...

    def held(self, name: str) -> int:
        """What `name` noted last; 0 if it never did."""
        ...

    def close(self) -> None:
        """Give connections and files back; closing twice is harmless."""
        ...


class EventLog(LogReader, Protocol):
    """The one writer. Another opener is refused, or takes over: then this one's next append fails and takes nothing.

    One thread at a time uses it.
    """

    @property
    def position(self) -> int:
        """Of the newest record, without asking: where `start` said before the first."""
        ...

    @property
    def epoch(self) -> int:
        """Rises from writer to writer."""
        ...

    def append(self, payloads: Sequence[bytes]) -> int:
        """Append a batch durably; the position of its first record. All of it is taken, or none.

        Raises LogError: nothing was taken; LogFenced: nor will anything be, for another writer took over. Raises
        LogUnavailable where it is not known what was taken; then nothing more is taken before recover().
        """
        ...

    def recover(self) -> None:
        """After LogUnavailable: find out what was taken, which moves `position`; else do nothing.

        What is found stays, and nothing of before can still arrive. Raises LogUnavailable while the log is out, and
        LogError.
        """
        ...

    def trim_before(self, position: int, holders: Sequence[str]) -> int:
        """Drop records before a position, or fewer; the position of the oldest that is left.

        Raises LogError where one of the holders is not done with what would be dropped, and drops nothing then.
        """
        ...
