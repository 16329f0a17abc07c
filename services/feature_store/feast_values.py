"""Feast's Value messages as bytes, read and written a column at a time, without protobuf.

A value is feast.types.Value serialised: b"" is null (None, or NaN in a scalar), nil is a field that was never written.
The contract tests hold this against the real SDK for every type.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penchant.errors import ConfigError
from services.feature_store import varint
from services.feature_store.column import NUMPY, Column, Status, blobs, pack_parts, scalars, unpack_parts

_TAGS: dict[str, bytes] = {
    "bytes": b"\x0a",
    "string": b"\x12",
    "int32": b"\x18",
    "int64": b"\x20",
    "float64": b"\x29",
    "float32": b"\x35",
    "bool": b"\x38",
    "unix_timestamp": b"\x40",
    "bytes[]": b"\x5a",
    "string[]": b"\x62",
    "int32[]": b"\x6a",
    "int64[]": b"\x72",
    "float64[]": b"\x7a",
    "float32[]": b"\x82\x01",
    "bool[]": b"\x8a\x01",
    "unix_timestamp[]": b"\x92\x01",
}
"""Field number and wire type of each dtype in feast.types.Value."""
_NULL_TAG = b"\x98\x01"
_ELEMENT_TAG = 0x0A
_VARINTS = frozenset({"int32", "int64", "unix_timestamp", "bool"})


def decode_columns(
    dtypes: Sequence[str], names: Sequence[str], cells: Sequence[Sequence[bytes | None]], missing: int
) -> list[Column]:
    """Columns of the raw cells; a nil cell gets the status `missing`. Raises ConfigError where a type differs.

    All variable-length integers of all columns are decoded in one go: a user's state is mostly those.
    """
    payloads = [_payloads(dtype, name, raw) for dtype, name, raw in zip(dtypes, names, cells, strict=True)]
    is_varint = [dtype.removesuffix("[]") in _VARINTS for dtype in dtypes]
    joined = [b"".join(payload) for payload, yes in zip(payloads, is_varint, strict=True) if yes]
    decoded = varint.decode(b"".join(joined))
    ends = np.array([len(block) for block in joined], np.int64).cumsum()
    # How many integers each column holds: the bytes without continuation bit up to each column's end.
    terminators = (np.frombuffer(b"".join(joined), np.uint8) < 0x80).cumsum()
    cuts = [0, *(int(terminators[end - 1]) if end else 0 for end in ends)]
    columns, seen = [], 0
    for dtype, raw, payload, yes in zip(dtypes, cells, payloads, is_varint, strict=True):
        statuses = _statuses(dtype, raw, missing)
        if yes:
            columns.append(_integers(dtype, decoded[cuts[seen] : cuts[seen + 1]], payload, statuses))
            seen += 1
        else:
            columns.append(_fixed_or_blobs(dtype, payload, statuses))
    return columns


def decode_row(dtypes: Sequence[str], names: Sequence[str], raw: Sequence[bytes | None]) -> list[Any]:
    """One entity's cells as Column.cells() gives them; None where there is none. Raises ConfigError as decode_columns.

    Without columns in between: of a single user they cost several times the values.
    """
    return [_value(dtype, name, cell) for dtype, name, cell in zip(dtypes, names, raw, strict=True)]


def _value(dtype: str, name: str, cell: bytes | None) -> Any:
    if not cell or cell.startswith(_NULL_TAG):
        return None
    read = _READ.get(dtype)
    if read is None:
        return decode_columns([dtype], [name], [[cell]], Status.NULL)[0].cell(0)
    return read(_payload(dtype, name, cell))


_READ: dict[str, Callable[[bytes], Any]] = {
    "int64": lambda payload: int(varint.decode(payload)[0]),
    "int64[]": varint.decode,
    "float32[]": lambda payload: np.frombuffer(payload, np.float32),
    "float64[]": lambda payload: np.frombuffer(payload, np.float64),
    "string": bytes.decode,
}
"""Of the types that users' features have."""


def encode_columns(columns: Sequence[Column]) -> list[list[bytes]]:
    """Of each column, one value a cell, as Feast writes it; b"" where the cell is not present.

    All variable-length integers of all columns are encoded in one go, as they are decoded.
    """
    is_varint = [column.dtype.removesuffix("[]") in _VARINTS for column in columns]
    integers = [
        column.values.astype(np.int64, copy=False) for column, yes in zip(columns, is_varint, strict=True) if yes
    ]
    block, offsets = varint.encode(np.concatenate([np.empty(0, np.int64), *integers]))
    encoded, start = [], 0
    for column, yes in zip(columns, is_varint, strict=True):
        end = start + (len(column.values) if yes else 0)
        encoded.append(_encoded(column, *((block, offsets[start : end + 1]) if yes else _fixed_bytes(column))))
        start = end
    return encoded


def encode_column(column: Column) -> list[bytes]:
    """encode_columns of one."""
    return encode_columns([column])[0]


def _encoded(column: Column, block: bytes, offsets: NDArray[np.int64]) -> list[bytes]:
    """A column's cells, of its elements' bytes: element i is block[offsets[i]:offsets[i+1]]."""
    element = column.dtype.removesuffix("[]")
    is_array = column.dtype.endswith("[]")
    tag = _TAGS[column.dtype]
    present = (column.statuses == Status.PRESENT).tolist()
    if element in NUMPY:
        if not is_array:
            cuts = offsets.tolist()
            return [tag + block[a:b] if p else b"" for a, b, p in zip(cuts[:-1], cuts[1:], present, strict=True)]
        cuts = offsets[column.offsets].tolist()
        return [_array(tag, block[a:b]) if p else b"" for a, b, p in zip(cuts[:-1], cuts[1:], present, strict=True)]
    cuts = column.offsets.tolist()
    found = [block[a:b] for a, b in pairwise(cuts)]
    if is_array:
        found = [b"".join(b"\x0a" + varint.one(len(part)) + part for part in unpack_parts(cell)) for cell in found]
    return [tag + varint.one(len(cell)) + cell if p else b"" for cell, p in zip(found, present, strict=True)]


def encode_timestamps(times_us: Sequence[int]) -> list[bytes]:
    """google.protobuf.Timestamp bytes of times in UTC microseconds."""
    encoded = []
    for time_us in times_us:
        seconds, micros = divmod(time_us, 1_000_000)
        text = b"\x08" + varint.one(seconds & 0xFFFFFFFFFFFFFFFF) if seconds else b""
        encoded.append(text + b"\x10" + varint.one(micros * 1000) if micros else text)
    return encoded


def decode_timestamp(raw: bytes) -> int:
    """UTC microseconds of a google.protobuf.Timestamp's bytes."""
    at, seconds, nanos = 0, 0, 0
    while at < len(raw):
        tag = raw[at]
        value, at = varint.read_one(raw, at + 1)
        if tag == 0x08:
            seconds = value - (1 << 64) if value >= 1 << 63 else value
        elif tag == 0x10:
            nanos = value
    return seconds * 1_000_000 + nanos // 1000


def _statuses(dtype: str, raw: Sequence[bytes | None], missing: int) -> NDArray[np.uint8]:
    if _all_present(dtype, raw):
        return np.full(len(raw), Status.PRESENT, np.uint8)
    return np.array(
        [missing if c is None else Status.PRESENT if c and not c.startswith(_NULL_TAG) else Status.NULL for c in raw],
        np.uint8,
    )


def _all_present(dtype: str, raw: Sequence[bytes | None]) -> bool:
    """Whether every cell begins with the dtype's tag."""
    size = len(_TAGS[dtype])
    return all(raw) and {cell[:size] for cell in raw if cell} <= {_TAGS[dtype]}


def _payloads(dtype: str, name: str, raw: Sequence[bytes | None]) -> list[bytes]:
    """What follows the tag and the lengths of each cell; b"" where there is nothing."""
    in_place = not dtype.endswith("[]") and dtype not in ("string", "bytes")
    if raw and _all_present(dtype, raw):
        cells = [cell for cell in raw if cell]
        if in_place:
            size = len(_TAGS[dtype])
            return [cell[size:] for cell in cells]
        if dtype.endswith("[]") and len(set(map(len, cells))) == 1:
            # Arrays of one length have one header: the dense case, read without looking at each.
            at = len(cells[0]) - len(_payload(dtype, name, cells[0]))
            if dtype not in ("string[]", "bytes[]") and len({cell[:at] for cell in cells}) == 1:
                return [cell[at:] for cell in cells]
    return [b"" if not cell or cell.startswith(_NULL_TAG) else _payload(dtype, name, cell) for cell in raw]


def _payload(dtype: str, name: str, cell: bytes) -> bytes:
    tag = _TAGS[dtype]
    if not cell.startswith(tag):
        raise ConfigError(
            f"{name} is stored with another type than {dtype} (bytes {cell[:8].hex()}): run "
            "`python -m feature_repo apply` again, or materialise the view again"
        )
    packed = dtype.endswith("[]")
    if not packed and dtype not in ("string", "bytes"):
        return cell[len(tag) :]
    length, at = varint.read_one(cell, len(tag))
    if not packed:
        return cell[at:]
    if dtype in ("string[]", "bytes[]"):
        return _parts(cell, at)
    if length == 0:
        return b""
    if cell[at] != _ELEMENT_TAG:
        raise ConfigError(f"{name} holds an unpacked array (bytes {cell[:8].hex()}): write it with a proto3 client")
    inner, at = varint.read_one(cell, at + 1)
    return cell[at : at + inner]


def _parts(cell: bytes, at: int) -> bytes:
    found = []
    while at < len(cell):
        length, at = varint.read_one(cell, at + 1)
        found.append(cell[at : at + length])
        at += length
    return pack_parts(found)


def _integers(dtype: str, values: NDArray[np.int64], payloads: list[bytes], statuses: NDArray[np.uint8]) -> Column:
    element = dtype.removesuffix("[]")
    if dtype.endswith("[]"):
        if len(payloads) == 1:
            offsets = np.array([0, len(values)], np.int64)
        else:
            raw = np.frombuffer(b"".join(payloads), np.uint8) < 0x80
            ends = np.array([len(payload) for payload in payloads], np.int64).cumsum()
            offsets = np.concatenate([[0], np.concatenate([[0], raw.cumsum()])[ends]]).astype(np.int64)
        return Column(dtype, values.astype(NUMPY[element], copy=False), offsets, statuses)
    full = np.zeros(len(payloads), np.int64)
    full[statuses == Status.PRESENT] = values
    return scalars(dtype, full.astype(NUMPY[dtype]), statuses)


def _fixed_or_blobs(dtype: str, payloads: list[bytes], statuses: NDArray[np.uint8]) -> Column:
    element = dtype.removesuffix("[]")
    if element not in NUMPY:
        return blobs(dtype, payloads, statuses)
    kind = np.dtype(NUMPY[element])
    values = np.frombuffer(b"".join(payloads), kind)
    if dtype.endswith("[]"):
        offsets = np.zeros(len(payloads) + 1, np.int64)
        np.cumsum([len(payload) // kind.itemsize for payload in payloads], out=offsets[1:])
        return Column(dtype, values, offsets, statuses)
    full = np.zeros(len(payloads), kind)
    full[statuses == Status.PRESENT] = values
    return scalars(dtype, full, statuses)


def _fixed_bytes(column: Column) -> tuple[bytes, NDArray[np.int64]]:
    """The bytes of elements of one size each, and the offsets where each begins; strings and bytes as they are."""
    element = column.dtype.removesuffix("[]")
    if element not in NUMPY:
        return column.values.tobytes(), column.offsets
    kind = np.dtype(NUMPY[element])
    offsets = np.arange(len(column.values) + 1, dtype=np.int64) * kind.itemsize
    return column.values.astype(kind, copy=False).tobytes(), offsets


def _array(tag: bytes, payload: bytes) -> bytes:
    if not payload:
        return tag + b"\x00"
    inner = b"\x0a" + varint.one(len(payload)) + payload
    return tag + varint.one(len(inner)) + inner
