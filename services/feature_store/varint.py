"""Protobuf's variable-length integers for whole arrays at once."""

import numpy as np
from numpy.typing import NDArray

_STEPS = (np.uint64(1) << np.arange(7, 64, 7, dtype=np.uint64)).astype(np.uint64)
_SEVEN = np.uint64(7)
_LOW = np.uint64(0x7F)


def decode(buffer: bytes) -> NDArray[np.int64]:
    """The integers of a buffer, two's complement; it must end on a whole one."""
    raw = np.frombuffer(buffer, np.uint8)
    if len(raw) == 0:
        return np.empty(0, np.int64)
    ends = np.flatnonzero(raw < 0x80)
    if len(ends) == len(raw):
        return raw.astype(np.int64)
    starts = np.empty_like(ends)
    starts[0] = 0
    starts[1:] = ends[:-1] + 1
    place = np.arange(len(raw)) - np.repeat(starts, ends - starts + 1)
    shifted = (raw & 0x7F).astype(np.uint64) << (place.astype(np.uint64) * _SEVEN)
    return np.bitwise_or.reduceat(shifted, starts).view(np.int64)


def encode(values: NDArray[np.int64]) -> tuple[bytes, NDArray[np.int64]]:
    """The bytes of N integers, and the N+1 offsets where each begins."""
    unsigned = np.ascontiguousarray(values, np.int64).view(np.uint64)
    lengths = np.searchsorted(_STEPS, unsigned, side="right") + 1
    offsets = np.zeros(len(values) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    place = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
    groups = (np.repeat(unsigned, lengths) >> (place.astype(np.uint64) * _SEVEN)) & _LOW
    out = groups.astype(np.uint8) | np.uint8(0x80)
    out[offsets[1:] - 1] &= 0x7F
    return out.tobytes(), offsets


def one(value: int) -> bytes:
    """The bytes of one integer that is not negative."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_one(buffer: bytes, at: int) -> tuple[int, int]:
    """One integer at a place, and the place after it."""
    value = shift = 0
    while True:
        byte = buffer[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
