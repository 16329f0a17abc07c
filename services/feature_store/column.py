"""One feature over many entities, as a column that numpy and the wire read in place."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

NUMPY: dict[str, Any] = {
    "int32": np.int32,
    "int64": np.int64,
    "float32": np.float32,
    "float64": np.float64,
    "bool": np.bool_,
    "unix_timestamp": np.int64,
}
"""Fixed-size element types; the others are string and bytes."""
_NO_OFFSETS = np.empty(0, np.int64)


class Status:
    """Why a value is or is not there; the numbers are those of penchant.v1.FeatureStatus.

    Plain numbers: they are compared for every cell, and an enum's members are slow to reach.
    """

    PRESENT = 1
    NULL = 2
    NOT_FOUND = 3
    OUTSIDE_MAX_AGE = 4


@dataclass(frozen=True, slots=True)
class Column:
    """n cells of one dtype.

    Fixed-size scalars: values [n], 0 where not present. Their arrays: values [total], cut by offsets [n+1]. string
    and bytes: values uint8 [total], cut by offsets. Their arrays: the same, each element as uint32 LE length + bytes.
    statuses uint8 [n]: a Status each.
    """

    dtype: str
    values: NDArray[Any]
    offsets: NDArray[np.int64]
    statuses: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.statuses)

    def cell(self, i: int) -> Any:
        """Cell i as Python or numpy value; None where not present."""
        return self.cells(i, i + 1)[0]

    def cells(self, start: int = 0, end: int | None = None) -> list[Any]:
        """Cells as Python or numpy values; None where not present."""
        present = (self.statuses[start:end] == Status.PRESENT).tolist()
        if self.dtype in NUMPY:
            found = self.values[start:end].tolist()
        else:
            cuts = self.offsets[start : None if end is None else end + 1].tolist()
            values = self.values
            found = [values[a:b] for a, b in pairwise(cuts)]
            read = _READ.get(self.dtype)
            if read is not None:
                found = [read(cut.tobytes()) for cut in found]
        return found if all(present) else [cell if p else None for cell, p in zip(found, present, strict=True)]

    @classmethod
    def of(cls, dtype: str, cells: Sequence[Any]) -> "Column":
        """From one value a cell; None is null, and so is NaN in a scalar, as Feast has it."""
        statuses = np.full(len(cells), Status.PRESENT, np.uint8)
        statuses[[i for i, cell in enumerate(cells) if cell is None]] = Status.NULL
        element = dtype.removesuffix("[]")
        if dtype in NUMPY:
            values = np.array([0 if cell is None else cell for cell in cells], NUMPY[dtype])
            return scalars(dtype, values, statuses)
        if element in NUMPY:
            kind = NUMPY[element]
            return arrays(dtype, [np.asarray(() if cell is None else cell, kind) for cell in cells], statuses)
        if dtype in ("string", "bytes"):
            return blobs(dtype, [_encoded(cell) for cell in cells], statuses)
        parts = [b"" if cell is None else pack_parts([_encoded(part) for part in cell]) for cell in cells]
        return blobs(dtype, parts, statuses)


def scalars(dtype: str, values: NDArray[Any], statuses: NDArray[np.uint8] | None = None) -> Column:
    """A column of fixed-size scalars; NaN becomes null."""
    statuses = np.full(len(values), Status.PRESENT, np.uint8) if statuses is None else statuses
    if dtype in ("float32", "float64"):
        missing = np.isnan(values)
        if missing.any():
            statuses = np.where(missing & (statuses == Status.PRESENT), Status.NULL, statuses).astype(np.uint8)
            values = np.where(missing, 0.0, values)
    return Column(dtype, values.astype(NUMPY[dtype], copy=False), _NO_OFFSETS, statuses)


def arrays(dtype: str, cells: Sequence[NDArray[Any]], statuses: NDArray[np.uint8] | None = None) -> Column:
    """A column of arrays of a fixed-size type."""
    offsets = np.zeros(len(cells) + 1, np.int64)
    np.cumsum([len(cell) for cell in cells], out=offsets[1:])
    element = NUMPY[dtype.removesuffix("[]")]
    values = np.concatenate([np.empty(0, element), *cells], dtype=element, casting="same_kind")
    return Column(dtype, values, offsets, _present(cells, statuses))


def blobs(dtype: str, cells: Sequence[bytes], statuses: NDArray[np.uint8] | None = None) -> Column:
    """A column of strings, bytes or packed arrays of them."""
    offsets = np.zeros(len(cells) + 1, np.int64)
    np.cumsum([len(cell) for cell in cells], out=offsets[1:])
    return Column(dtype, np.frombuffer(b"".join(cells), np.uint8), offsets, _present(cells, statuses))


def pack_parts(parts: Sequence[bytes]) -> bytes:
    """Strings as uint32 LE length + bytes, one after another."""
    return b"".join(len(part).to_bytes(4, "little") + part for part in parts)


def unpack_parts(packed: bytes) -> list[bytes]:
    """Back from pack_parts."""
    parts, at = [], 0
    while at < len(packed):
        end = at + 4 + int.from_bytes(packed[at : at + 4], "little")
        parts.append(packed[at + 4 : end])
        at = end
    return parts


def _present(cells: Sequence[Any], statuses: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    return np.full(len(cells), Status.PRESENT, np.uint8) if statuses is None else statuses


def _encoded(cell: str | bytes | None) -> bytes:
    if cell is None:
        return b""
    return cell.encode() if isinstance(cell, str) else cell


_READ: dict[str, Callable[[bytes], Any]] = {
    "string": bytes.decode,
    "bytes": bytes,
    "string[]": lambda packed: [part.decode() for part in unpack_parts(packed)],
    "bytes[]": unpack_parts,
}
