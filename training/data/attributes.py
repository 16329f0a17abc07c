"""Attributes of items and users, row-aligned with the ids of a dataset."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from penchant.errors import DataError
from training.data.columns import numbers, texts, unfit
from training.data.dataset import Attributes
from training.data.files import Source
from training.data.media_files import MEDIUM, warn
from training.data.times import times_us

KINDS = ("categorical", "multi", "numeric", "text", "image", "audio", "created")


@dataclass(frozen=True, slots=True)
class EntityTable:
    """What a file says of items or users: one row an id, the last one where an id comes twice.

    ids of the rows, and each column by name as its kind wants it: text, or numbers for numeric and created.
    """

    ids: list[str]
    kinds: Mapping[str, str]
    columns: Mapping[str, pl.Series | NDArray[np.float64] | NDArray[np.int64]]
    separators: Mapping[str, str]


def entity_table(
    source: Source,
    id_column: str,
    kinds: Mapping[str, str],
    separators: Mapping[str, str],
    section: str,
    counts: dict[str, int],
) -> EntityTable:
    """Clean and check a file of items or users; what is dropped is counted as items_... or users_...."""
    frame = source.frame

    def fault(row: int, reason: str) -> DataError:
        return source.fault(row, id_column, reason)

    ids = texts(frame[id_column], fault)
    listed = ids.fill_null("").to_list()
    bad = unfit(listed)
    empty = ids.is_null().to_numpy()
    last = {id_: row for row, id_ in enumerate(listed) if not bad[row] and not empty[row]}
    kept = np.array(sorted(last.values()), np.int64)
    counts[f"{section}_read"] = len(listed)
    counts[f"{section}_without_id"] = int(empty.sum())
    counts[f"{section}_unfit_id"] = int(bad.sum())
    counts[f"{section}_repeated"] = len(listed) - int(empty.sum()) - int(bad.sum()) - len(kept)
    columns: dict[str, pl.Series | NDArray[np.float64] | NDArray[np.int64]] = {}
    for name, kind in kinds.items():

        def column_fault(row: int, reason: str, name: str = name) -> DataError:
            return source.fault(row, name, reason)

        if kind == "numeric":
            columns[name] = numbers(frame[name], column_fault)[kept]
        elif kind == "created":
            columns[name] = times_us(frame[name], column_fault)[kept]
        elif frame[name].dtype == pl.List:
            columns[name] = frame[name].cast(pl.List(pl.String)).list.join(separators.get(name, "|")).gather(kept)
        else:
            columns[name] = texts(frame[name], column_fault).gather(kept)
    return EntityTable([listed[row] for row in kept.tolist()], dict(kinds), columns, dict(separators))


def align(
    table: EntityTable | None, ids: Sequence[str], folder: Path, counts: dict[str, int]
) -> tuple[Attributes, NDArray[np.int64] | None]:
    """Attributes in the order of `ids`, and creation times (0: not known) where a column is of kind "created".

    A picture or sound that is not there counts as missing, and a warning names the item.
    """
    result = Attributes()
    if table is None:
        return result, None
    place = {id_: row for row, id_ in enumerate(table.ids)}
    rows = np.array([place.get(id_, -1) for id_ in ids], np.int64)
    there = rows >= 0
    created: NDArray[np.int64] | None = None
    for name, kind in table.kinds.items():
        column = table.columns[name]
        if isinstance(column, np.ndarray):
            aligned = np.full(len(ids), 0 if kind == "created" else np.nan)
            aligned[there] = column[rows[there]]
            if kind == "created":
                created = np.maximum(aligned, 0).astype(np.int64)
            else:
                aligned[~np.isfinite(aligned)] = np.nan
                result.numeric[name] = aligned.astype(np.float32)
            continue
        held = [*column.fill_null("").to_list(), ""]
        values = [held[row] for row in rows.tolist()]
        if kind == "multi":
            mark = table.separators.get(name, "|")
            result.multi[name] = [tuple(dict.fromkeys(p.strip() for p in v.split(mark) if p.strip())) for v in values]
        elif kind in ("image", "audio"):
            base = folder.resolve()
            paths = [str(base / v) if v and (base / v).is_file() else "" for v in values]
            missing = [f"{id_}: {v} is not there" for id_, v, p in zip(ids, values, paths, strict=True) if v and not p]
            counts[f"{kind}_files_missing"] = counts.get(f"{kind}_files_missing", 0) + len(missing)
            warn(missing, MEDIUM[kind])
            getattr(result, kind)[name] = paths
        else:
            getattr(result, kind)[name] = values
    return result, created
