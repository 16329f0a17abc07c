"""The one home of item attributes, availability, features and embeddings: columnar, mmapped from the bundle.

Rows 1..N are the bundle's items in ascending key order, row 0 is "unknown"; items written after the bundle was
built (the delta) get rows N+1..M. Models know rows 1..N; the delta is found through its content embedding.
"""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penchant.columns import Column, TagColumn
from penchant.content import content_vectors, item_tokens, tag_values
from penchant.errors import InvalidArgument
from penchant.leaves import Candidates, Condition
from penchant.mapped import mapped
from penchant.types import Keys, Mask, Matrix, Rows, Times, Vector

__all__ = ["Column", "Embed", "ItemChange", "ItemTable", "TagColumn"]


@dataclass(frozen=True, slots=True)
class ItemChange:
    """One change of one item, as WatchItems tells it: the whole item as it is from now on.

    attributes hold str, float or list of str. An attribute that is not given has the bundle's value again, or none.
    """

    position: int
    item_key: int
    item_id: str
    deleted: bool = False
    available: bool = True
    attributes: Mapping[str, Any] = field(default_factory=dict)
    created_us: int = 0


Embed = Callable[[Sequence[ItemChange], Matrix], Matrix]
"""Changed items and their content vectors [n, C] to item embeddings [n, D]."""


class ItemTable:
    """Items by row; see the module's text.

    One thread at a time applies changes. Others read a view(), which stays as it is while changes come in.
    """

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
        texts: Sequence[str] = (),
    ) -> None:
        self.keys = keys
        """Of the bundle's rows, [N+1]; keys_of() knows the delta's too."""
        self.ids = list(ids)
        self.embeddings = Column(embeddings_MD)
        self.features = Column(features_MF)
        self.content = Column(content_MC)
        self.created = Column(created)
        self.tags = dict(tags)
        self.numeric = dict(numeric)
        self.texts = tuple(texts)
        """Names of the attributes whose words are content."""
        self.bundle_rows = len(keys) - 1
        """N: rows known to the models."""
        self.available: Mask = np.ones(len(keys), np.bool_)
        self.available[0] = False
        self.position = 0
        self._every_key = Column(keys)
        self._delta_order: NDArray[np.int64] = np.empty(0, np.int64)
        """The delta's rows by ascending key."""
        self.newest_rows: NDArray[np.int64] = np.empty(0, np.int64)
        """The delta's rows, the last created first; where that ties, by key: alike in every process."""
        self.written: NDArray[np.int64] = np.empty(0, np.int64)
        """Position of the newest change of each of the delta's rows, [M-N]."""
        self.resets = 0
        """How often it began anew: rows of the delta mean the same items only between two."""
        self._bundled_tags = self.tags
        self._bundled_numeric = self.numeric
        self._publishing = threading.Lock()

    @property
    def row_count(self) -> int:
        """M + 1: every row, row 0 and the delta included."""
        return len(self.available)

    @classmethod
    def open(cls, folder: Path) -> "ItemTable":
        """Map the table of a verified bundle folder."""
        items = folder / "items"

        def load(name: str) -> NDArray[Any]:
            return mapped(items / f"{name}.npy")

        described = json.loads((items / "attributes.json").read_text())
        tags = {
            name: TagColumn(tuple(vocabulary), load(f"attr_{i}.indptr"), load(f"attr_{i}.codes"))
            for i, (name, vocabulary) in enumerate(described["multi"].items())
        }
        numeric = {name: load(f"num_{i}") for i, name in enumerate(described["numeric"])}
        ids = json.loads((items / "ids.json").read_text())
        texts = described.get("text", ())
        return cls(
            load("keys"), ids, load("embeddings"), load("features"), load("content"), load("created"), tags, numeric,
            texts,
        )  # fmt: skip

    def write(self, folder: Path) -> None:
        """Write the bundle's rows below folder/items, in the layout open() reads."""
        items = folder / "items"
        items.mkdir(parents=True, exist_ok=True)
        columns: dict[str, NDArray[Any]] = {
            "keys": self.keys,
            "embeddings": self.embeddings.base,
            "features": self.features.base,
            "content": self.content.base,
            "created": self.created.base,
        }
        for i, column in enumerate(self._bundled_tags.values()):
            columns[f"attr_{i}.indptr"] = column.indptr
            columns[f"attr_{i}.codes"] = column.codes
        for i, values in enumerate(self._bundled_numeric.values()):
            columns[f"num_{i}"] = values
        for name, array in columns.items():
            np.save(items / f"{name}.npy", np.ascontiguousarray(array))
        vocabularies = {name: list(column.vocabulary) for name, column in self._bundled_tags.items()}
        described = {"multi": vocabularies, "numeric": list(self.numeric), "text": list(self.texts)}
        (items / "attributes.json").write_text(json.dumps(described))
        (items / "ids.json").write_text(json.dumps(self.ids[: self.bundle_rows + 1]))

    def view(self) -> "ItemTable":
        """The table as it is now, for reading: changes that come later do not show."""
        view = object.__new__(ItemTable)
        with self._publishing:
            view.__dict__.update(self.__dict__)
        return view

    def rows_of(self, keys: Keys) -> Rows:
        """Rows of the keys, in the given order; 0 for an unknown one."""
        rows = _places(self.keys[1:], keys) + 1
        if len(self._delta_order):
            unknown = np.flatnonzero(rows == 0)
            places = _places(self._every_key.extra[self._delta_order - self.bundle_rows - 1], keys[unknown])
            rows[unknown] = np.where(places >= 0, self._delta_order[places], 0)
        return rows.astype(np.uint32)

    def keys_of(self, rows: Rows) -> Keys:
        """Keys of the rows; 0 for row 0."""
        return np.asarray(self._every_key[rows], np.int64)

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
        """Rows that are available and meet all conditions, bool [M+1]; row 0 never. The caller may write to it.

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
        return self.tags[name].rows_with(condition.any_of)

    def content_of(self, changes: Sequence[ItemChange]) -> Matrix:
        """Content vectors float32 [len(changes), C] of items as they were written, as training would make them."""
        return content_vectors(item_tokens(change.attributes, self.tags, self.texts) for change in changes)

    def apply(self, changes: Sequence[ItemChange], content: Matrix | None = None, embed: Embed | None = None) -> None:
        """Apply changes given in position order; those at or below the table's position are skipped.

        content float32 [len(changes), C]: content vectors of the changed items. A bundle's item keeps its embedding
        and content; a new one joins the delta, embedded from its content (zero without embed). All of it shows at
        once. A thousand changes cost little more than one: every column is copied at most once.
        """
        newest = {c.item_key: (i, c) for i, c in enumerate(changes) if c.position > self.position}
        position = max([self.position, *(c.position for _, c in newest.values())])
        rows = dict(zip(newest, self.rows_of(np.array(list(newest), np.int64)).tolist(), strict=True))
        added = [key for key, (_, change) in newest.items() if rows[key] == 0 and not change.deleted]
        rows.update(zip(added, range(self.row_count, self.row_count + len(added)), strict=True))
        changed = [(rows[key], *newest[key]) for key in newest if rows[key]]
        if not changed:
            self.position = position
            return
        row_count = self.row_count + len(added)
        available = _lengthened(self.available, row_count, False)
        written = _lengthened(self.written, row_count - self.bundle_rows - 1, 0)
        for row, _, change in changed:
            available[row] = change.available and not change.deleted
            if row > self.bundle_rows:
                written[row - self.bundle_rows - 1] = change.position
        every_key = self._every_key.extended(np.array(added, np.int64))
        columns = self._delta_columns(changed, len(added), content, embed)
        touched = np.array([row for row, _, _ in changed if row > self.bundle_rows], np.int64)
        published: dict[str, Any] = {
            "available": available,
            "written": written,
            "position": position,
            "numeric": {n: self._numbers(n, changed, row_count) for n in self.numeric},
            "tags": {n: self.tags[n].with_rows(row_count, self._tags_of(n, changed)) for n in self.tags},
            "_every_key": every_key,
            "_delta_order": self._by_key(every_key, touched[touched >= self.row_count]),
            "newest_rows": self._by_age(every_key, columns["created"], touched),
            **columns,
        }
        self.ids.extend(newest[key][1].item_id for key in added)
        with self._publishing:
            self.__dict__.update(published)

    def reset(self) -> None:
        """Back to the bundle as it was built, as if no change had come."""
        count = self.bundle_rows + 1
        available = np.ones(count, np.bool_)
        available[0] = False
        columns = {n: Column(getattr(self, n).base) for n in ("embeddings", "features", "content", "created")}
        with self._publishing:
            self.__dict__.update(
                columns,
                available=available,
                position=0,
                ids=self.ids[:count],
                tags=self._bundled_tags,
                numeric=self._bundled_numeric,
                _every_key=Column(self.keys),
                _delta_order=np.empty(0, np.int64),
                newest_rows=np.empty(0, np.int64),
                resets=self.resets + 1,
                written=np.empty(0, np.int64),
            )

    def _delta_columns(
        self, changed: list["_Changed"], added: int, content: Matrix | None, embed: Embed | None
    ) -> dict[str, Column]:
        """The columns of the delta's rows, grown by `added` rows and written where items changed."""
        late = [(row, i, change) for row, i, change in changed if row > self.bundle_rows]
        # What is deleted keeps its vectors: copying the columns for what cannot be returned would be for nothing.
        mine = [(row, i, change) for row, i, change in late if not change.deleted]
        rows = np.array([row for row, _, _ in mine], np.int64)
        vectors = np.zeros((len(mine), self.content.shape[1]), np.float32)
        if content is not None and len(mine):
            vectors[:] = content[[i for _, i, _ in mine]]
        embeddings = np.zeros((len(mine), self.embeddings.shape[1]), np.float32)
        if embed is not None and len(mine):
            embeddings[:] = embed([change for _, _, change in mine], vectors)
        created = np.array([change.created_us for _, _, change in late], np.int64)
        columns = {
            "content": self._written(self.content, rows, vectors),
            "embeddings": self._written(self.embeddings, rows, embeddings),
            "created": self._written(self.created, np.array([row for row, _, _ in late], np.int64), created),
        }
        # An item without events has the features of row 0: those of nothing.
        columns["features"] = self.features.extended(np.repeat(self.features.base[:1], added, axis=0))
        return columns

    def _written(self, column: Column, rows: NDArray[np.int64], values: NDArray[Any]) -> Column:
        known = rows < self.row_count
        return column.overwritten(rows[known], values[known]).extended(values[~known])

    def _by_key(self, every_key: Column, added: NDArray[np.int64]) -> NDArray[np.int64]:
        """The delta's rows by ascending key: those there were, and the added put between them."""
        added = added[np.argsort(every_key[added])]
        places = np.searchsorted(every_key[self._delta_order], every_key[added])
        return np.insert(self._delta_order, places, added)

    def _by_age(self, every_key: Column, created: Column, touched: NDArray[np.int64]) -> NDArray[np.int64]:
        """The delta's rows, the last created first, by key where that ties: only the touched ones move."""
        base, count = self.bundle_rows + 1, len(created)
        moves = np.zeros(count, np.bool_)
        moves[touched] = True
        kept = self.newest_rows[~moves[self.newest_rows]]
        touched = touched[np.lexsort((every_key[touched], -created[touched]))]
        ages, of_touched = -created[kept], -created[touched]
        places = np.searchsorted(ages, of_touched)
        if (places != np.searchsorted(ages, of_touched, side="right")).any():
            return np.lexsort((every_key.extra, -created.extra)) + base
        return np.insert(kept, places, touched)

    def _tags_of(self, name: str, changed: list["_Changed"]) -> dict[int, Sequence[str]]:
        bundled = self._bundled_tags[name]
        found: dict[int, Sequence[str]] = {}
        for row, _, change in changed:
            if name in change.attributes:
                found[row] = tag_values(change.attributes[name])
            else:
                found[row] = bundled.values_of(row) if row <= self.bundle_rows else ()
        return found

    def _numbers(self, name: str, changed: list["_Changed"], row_count: int) -> Vector:
        values = _lengthened(self.numeric[name], row_count, np.nan)
        for row, _, change in changed:
            if name in change.attributes:
                values[row] = _number(change.attributes[name])
            else:
                values[row] = self._bundled_numeric[name][row] if row <= self.bundle_rows else np.nan
        return values


_Changed = tuple[int, int, ItemChange]
"""(row, place in the batch, change)."""


def _places(ascending: Keys, keys: Keys) -> NDArray[np.int64]:
    """Place of each key, -1 where it is not there."""
    if len(ascending) == 0:
        return np.full(len(keys), -1, np.int64)
    place = np.minimum(np.searchsorted(ascending, keys), len(ascending) - 1)
    return np.where(ascending[place] == keys, place, -1).astype(np.int64)


def _lengthened(array: NDArray[Any], length: int, fill: float) -> NDArray[Any]:
    """A copy of the array with room for more rows."""
    longer = np.full(length, fill, array.dtype)
    longer[: len(array)] = array
    return longer


def _number(value: Any) -> float:
    """A written attribute as a number; NaN where it is none."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")
