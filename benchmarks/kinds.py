"""Kinds of items: those that share all tags of one attribute. New items of a kind, and the fans of it."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penchant.errors import ConfigError
from penchant.ids import key
from penchant.item_table import ItemTable
from penchant.leaves import UserState
from penchant.v1.event_pb2 import AttributeValue, Item, StringList

_HISTORY = 10
"""Items of a kind that a fan has liked."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Rows of the bundle that hold the same tags of one attribute."""

    rows: tuple[int, ...]
    tags: tuple[str, ...]


@dataclass(slots=True)
class Kinds:
    """The kinds of a catalogue that have enough items for a fan's history."""

    table: ItemTable
    kinds: list[Kind]
    rng: np.random.Generator

    @classmethod
    def of(cls, table: ItemTable, seed: int) -> "Kinds":
        """Raises ConfigError for a catalogue without such kinds."""
        rows: dict[tuple[str, tuple[str, ...]], list[int]] = defaultdict(list)
        for name, column in table.tags.items():
            for row in range(1, table.bundle_rows + 1):
                rows[name, tuple(sorted(column.values_of(row)))].append(row)
        kinds = [Kind(tuple(found), tags) for (_, tags), found in rows.items() if tags and len(found) >= _HISTORY]
        if not kinds:
            raise ConfigError(f"no {_HISTORY} items of the bundle share their tags: give a catalogue with attributes")
        return cls(table, kinds, np.random.default_rng(seed))

    def draw(self) -> Kind:
        """A kind, by how many items it has."""
        sizes = np.array([len(kind.rows) for kind in self.kinds], np.float64)
        return self.kinds[int(self.rng.choice(len(self.kinds), p=sizes / sizes.sum()))]

    def item(self, item_id: str, kind: Kind) -> Item:
        """A new item of a kind: tags and numbers of one of its items, and words of the kind for its texts."""
        like = int(self.rng.choice(kind.rows))
        attributes = {
            name: AttributeValue(list=StringList(values=tags))
            for name, column in self.table.tags.items()
            if (tags := column.values_of(like))
        }
        for name, values in self.table.numeric.items():
            if not np.isnan(values[like]):
                attributes[name] = AttributeValue(number=float(values[like]))
        for name in self.table.texts:
            attributes[name] = AttributeValue(text=f"{' '.join(kind.tags)} number {self.rng.integers(100)}")
        return Item(item_id=item_id, attributes=attributes)

    def fan(self, kind: Kind) -> UserState:
        """Someone who has liked items of a kind and nothing else."""
        rows = self.rng.choice(kind.rows, _HISTORY, replace=False)
        return user_of(self.table, rows)


def user_of(table: ItemTable, rows: NDArray[np.int64]) -> UserState:
    """A user whose history is the rows, in that order."""
    keys = table.keys_of(rows.astype(np.uint32))
    count = len(keys)
    return UserState(
        1,
        True,
        keys,
        np.arange(1, count + 1, dtype=np.int64),
        np.full(count, 2, np.int64),
        np.full(count, np.nan, np.float32),
        np.sort(keys),
    )


def item_key(item_id: str) -> int:
    """Of an item of the default tenant."""
    return key("", item_id)
