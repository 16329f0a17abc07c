"""A data set's events run through the feature definitions at once, instead of one by one: the same states.

What live ingestion keeps of a user after the same events, as columns over all users (services hold it as rows).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penchant.events import EVENT_TYPES
from penchant.features import FeatureSchema
from penchant.features.entity import LOWERED_LENGTH
from penchant.features.kinds import Slots, accumulate
from penchant.ids import keys
from penchant.leaves import HISTORY_LENGTH, SEEN_LENGTH
from penchant.types import Keys, Times
from training.data.dataset import Dataset
from training.evaluation.protocol import TENANT, EventColumns, event_columns

_IN_HISTORY = np.zeros(256, np.bool_)
_HIDES = np.zeros(256, np.bool_)
_LOWERS = np.zeros(256, np.bool_)
for _type in EVENT_TYPES.values():
    _IN_HISTORY[_type.code] = _type.in_history
    _HIDES[_type.code] = _type.hides
    _LOWERS[_type.code] = _type.lowers


@dataclass(frozen=True, slots=True)
class Lists:
    """One list a row: row r is values[offsets[r]:offsets[r + 1]]."""

    offsets: NDArray[np.int64]
    values: NDArray[Any]

    def row(self, r: int) -> NDArray[Any]:
        """Row r."""
        return self.values[self.offsets[r] : self.offsets[r + 1]]


@dataclass(frozen=True, slots=True)
class ReplayedUsers:
    """Every user with an event, ascending by place in the data set; fields as in STORED_USER_FEATURES."""

    users: NDArray[np.int64]
    keys: Keys
    history_keys: Lists
    history_times: Lists
    history_types: Lists
    history_values: Lists
    seen_keys: Lists
    hidden_keys: Lists
    lowered_keys: Lists
    lowered_times: Lists
    lowered_types: Lists
    counters_state: Slots
    state_time_us: Times


@dataclass(frozen=True, slots=True)
class ReplayedItems:
    """Every item with an event that counts, ascending by key."""

    keys: Keys
    counters_state: Slots
    state_time_us: Times


def replay_users(dataset: Dataset, index: NDArray[np.int64], schema: FeatureSchema) -> ReplayedUsers:
    """User states after the events of `index`, which is in time order."""
    columns = event_columns(dataset)
    users, rows = np.unique(dataset.events.users[index].astype(np.int64), return_inverse=True)
    count = len(users)
    slots, state_time = _accumulated(schema, count, rows, columns, index)
    types, items = columns.types[index], columns.item_keys[index]
    history = np.flatnonzero(_IN_HISTORY[types] & (items != 0))
    newest = _newest_of_each(rows[history], HISTORY_LENGTH)
    at = index[history[newest]]
    offsets = _offsets(rows[history[newest]], count)
    hidden = np.flatnonzero(_HIDES[types] & (items != 0))
    lowers = np.flatnonzero(_LOWERS[types] & (items != 0))
    lowers = lowers[_newest_of_each(rows[lowers], LOWERED_LENGTH)]
    lowered = _offsets(rows[lowers], count)
    return ReplayedUsers(
        users,
        keys(TENANT, [dataset.user_ids[user] for user in users.tolist()]),
        Lists(offsets, columns.item_keys[at]),
        Lists(offsets, columns.times[at]),
        Lists(offsets, columns.types[at]),
        Lists(offsets, schema.usable_values(columns.types[at], columns.values[at]).astype(np.float32)),
        _distinct(rows[history], items[history], count),
        _distinct(rows[hidden], items[hidden], count),
        Lists(lowered, items[lowers]),
        Lists(lowered, columns.times[index[lowers]]),
        Lists(lowered, types[lowers]),
        slots,
        state_time,
    )


def replay_items(dataset: Dataset, index: NDArray[np.int64], schema: FeatureSchema) -> ReplayedItems:
    """Item counters after the events of `index`."""
    columns = event_columns(dataset)
    index = index[columns.item_keys[index] != 0]
    item_keys, rows = np.unique(columns.item_keys[index], return_inverse=True)
    return ReplayedItems(item_keys, *_accumulated(schema, len(item_keys), rows, columns, index))


def _accumulated(
    schema: FeatureSchema, count: int, rows: NDArray[np.int64], columns: EventColumns, index: NDArray[np.int64]
) -> tuple[Slots, Times]:
    return accumulate(
        schema.slots,
        schema.empty_slots(count),
        np.zeros(count, np.int64),
        rows,
        columns.types[index],
        schema.usable_values(columns.types[index], columns.values[index]),
        columns.times[index],
    )


def _newest_of_each(rows: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Places of the newest `length` entries of each row, by row, oldest first; entries are in time order."""
    order = np.argsort(rows, kind="stable")
    sorted_rows = rows[order]
    from_end = np.searchsorted(sorted_rows, sorted_rows, side="right") - 1 - np.arange(len(order))
    return order[from_end < length]


def _distinct(rows: NDArray[np.int64], items: Keys, count: int) -> Lists:
    """Each row's distinct keys by when they came last, the newest SEEN_LENGTH of them."""
    pairs = np.lexsort((np.arange(len(rows)), items, rows))
    last = np.ones(len(pairs), np.bool_)
    last[:-1] = (rows[pairs][1:] != rows[pairs][:-1]) | (items[pairs][1:] != items[pairs][:-1])
    kept = np.sort(pairs[last])
    kept = kept[_newest_of_each(rows[kept], SEEN_LENGTH)]
    return Lists(_offsets(rows[kept], count), items[kept])


def _offsets(sorted_rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    return np.searchsorted(sorted_rows, np.arange(count + 1)).astype(np.int64)
