"""The bytes of a segment."""

import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from penchant.errors import LogError

MAX_RECORD_BYTES = 16 << 20
SUFFIX = ".segment"
HEADER = struct.Struct("<8sQQI")
RECORD = struct.Struct("<II")
_CHECKED = struct.Struct("<QI")
_MAGIC = b"PNCHSEG1"
_MORE = 1 << 31
"""Bit of a record's length: the next record belongs to the same batch."""


class Found(NamedTuple):
    """A whole record, and where it ends; closes: it is the last of its batch."""

    position: int
    payload: bytes
    end: int
    closes: bool


def encoded(first: int, payloads: Sequence[bytes]) -> bytes:
    """The records of one batch."""
    last = len(payloads) - 1
    parts = []
    for i, payload in enumerate(payloads):
        length = len(payload) | (_MORE if i < last else 0)
        parts += [RECORD.pack(length, _crc(first + i, length, payload)), payload]
    return b"".join(parts)


def header(first: int, epoch: int) -> bytes:
    """The header of a segment."""
    described = struct.pack("<8sQQ", _MAGIC, first, epoch)
    return described + struct.pack("<I", zlib.crc32(described))


def segment_files(folder: Path) -> list[tuple[int, Path]]:
    """First position and path of each segment, ascending."""
    return sorted((int(path.stem), path) for path in folder.glob(f"*{SUFFIX}"))


def whole_records(content: bytes, at: int, position: int) -> Iterator[Found]:
    """Records from a place in the content on, up to the first that is not whole."""
    while at + RECORD.size <= len(content):
        length, crc = RECORD.unpack_from(content, at)
        end = at + RECORD.size + (length & ~_MORE)
        if end > len(content):
            return
        payload = content[at + RECORD.size : end]
        if _crc(position, length, payload) != crc:
            return
        yield Found(position, payload, end, not length & _MORE)
        at, position = end, position + 1


def stated_length(content: bytes, at: int) -> int:
    """What the record at a place says of its payload's length; -1 where not even that is there."""
    return RECORD.unpack_from(content, at)[0] & ~_MORE if at + RECORD.size <= len(content) else -1


def header_is_whole(content: bytes, first: int, path: Path) -> bool:
    """False for a header that a crash cut short. Raises LogError for one that says something else."""
    if len(content) < HEADER.size:
        return False
    magic, stated, _, crc = HEADER.unpack_from(content)
    if magic != _MAGIC or stated != first or zlib.crc32(content[: HEADER.size - 4]) != crc:
        raise LogError(f"{path} is no segment from position {first}: restore it from a copy, or move it away")
    return True


def epoch_of(path: Path) -> int:
    """Of the writer that made the segment; 0 where its header was cut short."""
    with path.open("rb") as file:
        content = file.read(HEADER.size)
    return int(HEADER.unpack(content)[2]) if len(content) == HEADER.size else 0


def _crc(position: int, length: int, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(_CHECKED.pack(position, length)))
