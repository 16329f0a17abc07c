"""The one home of item attributes, availability, features and embeddings: columnar, mmapped from the bundle.

Rows 1..N are the bundle's items in ascending key order, row 0 is "unknown"; items written after the bundle was
built (the delta) get rows N+1..M. Models know rows 1..N; the delta is found through its content embedding.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penchant.errors import InvalidArgument
from penchant.leaves import Candidates, Condition
from penchant.types import Keys, Mask, Matrix, Rows, Times, Vector

Codes = NDArray[np.uint32]
Indptr = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TagColumn:
    """A categorical or multi-valued attribute of M+1 rows in CSR form: row r holds codes[indptr[r]:indptr[r+1]]."""

    vocabulary: tuple[str, ...]
    indptr: Indptr
    codes: Codes


@dataclass(frozen=True, slots=True)
class ItemChange:
    """One change of one item, as WatchItems tells it. attributes hold str, float or list of str."""

    position: int
    item_key: int
    item_id: str
    deleted: bool = False
    available: bool = True
    attributes: Mapping[str, Any] = field(default_factory=dict)
    created_us: int = 0


class ItemTable:
    """Items by row; see the module's text. Not thread-safe for writers: one thread applies changes."""

    def __init__(
        self,
        keys: Keys,
        ids: Sequence[str],
        embeddings_MD: Matrix,
        features_MF: Matrix,
        content_MC: Matrix,
        created: Times,
        tags: Mapping[str, TagColumn],
        numeric: Mapping[str, Vector],
    ) -> None:
        self.keys = keys
        self.ids = list(ids)
        self.embeddings = embeddings_MD
        self.features = features_MF
        self.content = content_MC
        self.created = created
        self.tags = dict(tags)
        self.numeric = dict(numeric)
        self.bundle_rows = len(keys) - 1
        """N: rows known to the models."""
        self.available: Mask = np.ones(len(keys), np.bool_)
        self.available[0] = False
        self.position = 0
        self._delta_rows: dict[int, int] = {}
        self._delta_keys: list[int] = []

    @property
    def row_count(self) -> int:
        """M + 1: every row, row 0 and the delta included."""
        return len(self.ids)

    @classmethod
    def open(cls, folder: Path) -> "ItemTable":
        """Map the table of a verified bundle folder."""
        items = folder / "items"

        def load(name: str) -> NDArray[Any]:
            loaded: NDArray[Any] = np.load(items / f"{name}.npy", mmap_mode="r")
            return loaded

        described = json.loads((items / "attributes.json").read_text())
        tags = {
            name: TagColumn(tuple(vocabulary), load(f"attr_{i}.indptr"), load(f"attr_{i}.codes"))
            for i, (name, vocabulary) in enumerate(described["multi"].items())
        }
        numeric = {name: load(f"num_{i}") for i, name in enumerate(described["numeric"])}
        ids = json.loads((items / "ids.json").read_text())
        return cls(
            load("keys"), ids, load("embeddings"), load("features"), load("content"), load("created"), tags, numeric
        )

    def write(self, folder: Path) -> None:
        """Write the bundle's rows below folder/items, in the layout open() reads."""
        items = folder / "items"
        items.mkdir(parents=True, exist_ok=True)
        columns: dict[str, NDArray[Any]] = {
            "keys": self.keys,
            "embeddings": self.embeddings,
            "features": self.features,
            "content": self.content,
            "created": self.created,
        }
        for i, column in enumerate(self.tags.values()):
            columns[f"attr_{i}.indptr"] = column.indptr
            columns[f"attr_{i}.codes"] = column.codes
        for i, values in enumerate(self.numeric.values()):
            columns[f"num_{i}"] = values
        for name, array in columns.items():
            np.save(items / f"{name}.npy", np.ascontiguousarray(array))
        described = {"multi": {n: list(c.vocabulary) for n, c in self.tags.items()}, "numeric": list(self.numeric)}
        (items / "attributes.json").write_text(json.dumps(described))
        (items / "ids.json").write_text(json.dumps(self.ids))

    def rows_of(self, keys: Keys) -> Rows:
        """Rows of the keys, in the given order; 0 for an unknown one."""
        known = self.keys[1:]
        if len(known) == 0:
            rows = np.zeros(len(keys), np.uint32)
        else:
            place = np.minimum(np.searchsorted(known, keys), len(known) - 1)
            rows = np.where(known[place] == keys, place + 1, 0).astype(np.uint32)
        if self._delta_rows:
            for i in np.flatnonzero(rows == 0):
                rows[i] = self._delta_rows.get(int(keys[i]), 0)
        return rows

    def keys_of(self, rows: Rows) -> Keys:
        """Keys of the rows; 0 for row 0."""
        keys: Keys = np.array(self.keys[np.minimum(rows, self.bundle_rows)], np.int64)
        for i in np.flatnonzero(rows > self.bundle_rows):
            keys[i] = self._delta_keys[int(rows[i]) - self.bundle_rows - 1]
        return keys

    def with_keys(self, candidates: Candidates) -> Candidates:
        """The candidates as another process can read them: with keys, if any row is of the delta."""
        if not (candidates.rows > self.bundle_rows).any():
            return candidates
        return replace(candidates, keys=self.keys_of(candidates.rows))

    def own_rows(self, candidates: Candidates) -> Rows:
        """Rows of another process's candidates in this table, 0 for an item that has not arrived here.

        The bundle's rows are the same everywhere. Delta rows are not: a process that started later learnt the items
        from a snapshot, in another order.
        """
        return self.rows_of(candidates.keys) if len(candidates.keys) else candidates.rows

    def allowed(self, conditions: Sequence[Condition] = ()) -> Mask:
        """Rows that are available and meet all conditions, bool [M+1]; row 0 never.

        Raises InvalidArgument for an attribute the table does not have.
        """
        mask = self.available.copy()
        for i, condition in enumerate(conditions):
            matches = self._matches(condition, f"filter.conditions[{i}]")
            mask &= ~matches if condition.negate else matches
        mask[0] = False
        return mask

    def _matches(self, condition: Condition, field_path: str) -> Mask:
        name = condition.attribute
        if name in self.numeric:
            if condition.minimum is None and condition.maximum is None:
                raise InvalidArgument(field_path, f"{name!r} is numeric: give minimum or maximum")
            values = self.numeric[name]
            matches = ~np.isnan(values)
            if condition.minimum is not None:
                matches &= values >= condition.minimum
            if condition.maximum is not None:
                matches &= values <= condition.maximum
            return matches
        if name not in self.tags:
            known = ", ".join(sorted([*self.tags, *self.numeric])) or "none"
            raise InvalidArgument(f"{field_path}.attribute", f"unknown attribute {name!r}; known are: {known}")
        if not condition.any_of:
            raise InvalidArgument(f"{field_path}.any_of", f"{name!r} is no number: give at least one value")
        column = self.tags[name]
        wanted = np.array([value in condition.any_of for value in column.vocabulary], np.bool_)
        matches = np.zeros(self.row_count, np.bool_)
        if wanted.any():
            owner = np.repeat(np.arange(self.row_count), np.diff(column.indptr))
            matches[owner[wanted[column.codes]]] = True
        return matches

    def apply(self, changes: Sequence[ItemChange], content: Matrix | None = None) -> None:
        """Apply changes in position order; those at or below the table's position are skipped.

        content float32 [len(changes), C]: content vectors of the changed items. A known item keeps its
        embedding; a new one joins the delta with a zero embedding until set_embedding.
        """
        for i, change in enumerate(changes):
            if change.position <= self.position:
                continue
            row = int(self.rows_of(np.array([change.item_key], np.int64))[0])
            if row == 0:
                if change.deleted:
                    self.position = change.position
                    continue
                row = self._append(change)
            self.available[row] = change.available and not change.deleted
            if change.attributes:
                self._set_attributes(row, change.attributes)
            if content is not None and row > self.bundle_rows:
                self.content[row] = content[i]
            self.position = change.position

    def set_embedding(self, row: int, vector: Vector) -> None:
        """Set a delta row's embedding; bundle rows are immutable."""
        if row <= self.bundle_rows:
            raise ValueError(f"row {row} belongs to the bundle")
        self.embeddings[row] = vector

    def _append(self, change: ItemChange) -> int:
        row = self.row_count

        def grown(array: NDArray[Any]) -> NDArray[Any]:
            return np.concatenate([array, np.zeros((1, *array.shape[1:]), array.dtype)])

        self.embeddings, self.features, self.content = map(grown, (self.embeddings, self.features, self.content))
        self.created = grown(self.created)
        self.created[row] = change.created_us
        self.available = grown(self.available)
        self.numeric = {n: np.append(v, np.float32(np.nan)) for n, v in self.numeric.items()}
        self.tags = {
            n: TagColumn(c.vocabulary, np.append(c.indptr, c.indptr[-1]), c.codes) for n, c in self.tags.items()
        }
        self.ids.append(change.item_id)
        self._delta_rows[change.item_key] = row
        self._delta_keys.append(change.item_key)
        return row

    def _set_attributes(self, row: int, attributes: Mapping[str, Any]) -> None:
        for name, value in attributes.items():
            if name in self.numeric and isinstance(value, int | float):
                values = np.array(self.numeric[name])
                values[row] = value
                self.numeric[name] = values
            elif name in self.tags:
                self.tags[name] = _with_tags(self.tags[name], row, [value] if isinstance(value, str) else list(value))


def _with_tags(column: TagColumn, row: int, values: Sequence[str]) -> TagColumn:
    """The column with one row's tags replaced; unseen tags extend the vocabulary."""
    vocabulary = list(column.vocabulary)
    codes = []
    for value in dict.fromkeys(str(v) for v in values):
        if value not in vocabulary:
            vocabulary.append(value)
        codes.append(vocabulary.index(value))
    start, end = int(column.indptr[row]), int(column.indptr[row + 1])
    indptr = np.array(column.indptr)
    indptr[row + 1 :] += len(codes) - (end - start)
    merged = np.concatenate([column.codes[:start], np.array(codes, np.uint32), column.codes[end:]])
    return TagColumn(tuple(vocabulary), indptr, merged.astype(np.uint32))
