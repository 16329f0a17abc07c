"""Ids and numbers out of raw columns."""

from collections.abc import Callable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from penchant.errors import DataError
from penchant.ids import MAX_ID_BYTES

Codes = NDArray[np.int32]


def texts(column: pl.Series, fault: Callable[[int, str], DataError]) -> pl.Series:
    """As text without spaces around it; null where there is none.

    Whole floats lose their point: a column of whole numbers with a gap in it is read as floats by many programs.
    """
    if column.dtype.is_float() and bool((column.drop_nulls().drop_nans() % 1 == 0).all()):
        column = column.fill_nan(None).cast(pl.Int64)
    try:
        return column.cast(pl.String).str.strip_chars().replace("", None)
    except pl.exceptions.PolarsError:
        raise fault(0, f"a {column.dtype} is no text: write it as text or numbers") from None


def numbers(column: pl.Series, fault: Callable[[int, str], DataError]) -> NDArray[np.float64]:
    """float64 [E], NaN where there is none. Raises fault(row, reason) for the first value that is no number."""
    if column.dtype.is_numeric() or column.dtype in (pl.Boolean, pl.Null):
        return column.cast(pl.Float64).fill_null(np.nan).to_numpy()
    written = texts(column, fault)
    read = written.cast(pl.Float64, strict=False)
    bad = (read.is_null() & written.is_not_null()).arg_true()
    if len(bad):
        row = int(bad[0])
        raise fault(row, f"{column[row]!r} is no number: mend the row; decimals take a point")
    return read.fill_null(np.nan).to_numpy()


def coded(column: pl.Series) -> tuple[Codes, list[str]]:
    """Code of each text, int32 [E], -1 for none, and the texts by code, in order of first appearance."""
    known = column.drop_nulls().unique(maintain_order=True)
    codes = column.cast(pl.Enum(known)).to_physical().cast(pl.Int32).fill_null(-1)
    return codes.to_numpy(), known.to_list()


def unfit(ids: list[str]) -> NDArray[np.bool_]:
    """Which ids cannot be used: longer than MAX_ID_BYTES, or with a NUL, which separates tenant and id in a key."""
    return np.array([len(i.encode()) > MAX_ID_BYTES or "\0" in i for i in ids], np.bool_)
