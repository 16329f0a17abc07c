"""Which messages of a Kafka partition are the log: those of whole batches that follow one another.

Several producers can write to a partition: a writer that was paused may wake up, and what a killed one had sent may
arrive late. So every batch names the element before it, by offset, as its writer knows it. A batch that names another
element than the last one is no part of the log, nor is one that is not whole. A writer begins with a take-over, an
element that is always valid; from then on nothing of an older writer can be, as it names something older. Offsets of a
partition are ordered for everyone, so all readers and writers agree, and whoever appended sees by the offset that it
got whether anything came between.

Every element that a batch names was seen to be valid by the writer that names it. So reading can begin anywhere: at
the element that the message found there names.
"""

import struct
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

from penchant.event_log.protocol import Record

HEADER_NAME = "penchant"
_HEADER = struct.Struct("<BQQQI")


class Kind(IntEnum):
    """What a message is."""

    RECORD = 0
    TAKE_OVER = 1
    """The writer named here writes from now on."""
    RENEWAL = 2
    """The same, where it still does: what it sent before and is not here will not count."""


_KINDS = {kind.value for kind in Kind}


class Header(NamedTuple):
    """What a message says beside its payload."""

    kind: Kind
    writer: int
    """A random number."""
    previous: int = 0
    """Offset of the element before the batch, plus 1; 0: there is none."""
    position: int = 0
    remaining: int = 0
    """Records of the same batch that come after."""

    def packed(self) -> list[tuple[str, bytes]]:
        """As headers of a message."""
        return [(HEADER_NAME, _HEADER.pack(*self))]

    @classmethod
    def of(cls, headers: list[tuple[str, bytes]] | None) -> "Header | None":
        """None for a message that is not of a log."""
        for name, value in headers or ():
            if name == HEADER_NAME and len(value) == _HEADER.size and value[0] in _KINDS:
                kind, *numbers = _HEADER.unpack(value)
                return cls(Kind(kind), *numbers)
        return None


@dataclass(slots=True)
class Chain:
    """Told the messages in offset order, says which records they complete."""

    writer: int = 0
    last: int = 0
    """Offset of the last element, plus 1; 0: there is none."""
    position: int | None = None
    """Of the newest record; None: not seen yet."""
    _batch: list[Record] = field(default_factory=list)

    @classmethod
    def from_element(cls, offset: int, header: Header) -> "Chain":
        """From a message that is the end of an element, on."""
        return cls(header.writer, offset + 1, header.position if header.kind is Kind.RECORD else None)

    def copy(self) -> "Chain":
        """The same after the last element, without what came of a batch since."""
        return Chain(self.writer, self.last, self.position)

    def take(self, offset: int, header: Header, payload: bytes) -> list[Record]:
        """The records that are part of the log with this message: a batch, or none."""
        if header.kind is Kind.TAKE_OVER or (header.kind is Kind.RENEWAL and header.writer == self.writer):
            self.writer, self.last, self._batch = header.writer, offset + 1, []
            return []
        if header.kind is not Kind.RECORD or (header.writer, header.previous) != (self.writer, self.last):
            return []
        before = self._batch[-1][0] if self._batch else self.position
        if before is not None and header.position != before + 1:
            return []
        self._batch.append((header.position, payload))
        if header.remaining:
            return []
        batch, self._batch = self._batch, []
        self.last, self.position = offset + 1, header.position
        return batch
