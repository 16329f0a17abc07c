"""The state of one user, and of all items: how events change it, how it is stored, what models read of it."""

import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penchant.events import EVENT_TYPES, Event
from penchant.features.kinds import Slots, accumulate, united
from penchant.features.schema import FeatureSchema
from penchant.leaves import HISTORY_LENGTH, SEEN_LENGTH, UserState
from penchant.types import Matrix, Times, Vector

_IN_HISTORY = {t.code for t in EVENT_TYPES.values() if t.in_history}
_HIDES = {t.code for t in EVENT_TYPES.values() if t.hides}


class UserFeatures:
    """The mutable state of one user: sequences by (time, arrival), the seen and hidden sets, counters, attributes."""

    def __init__(self, schema: FeatureSchema) -> None:
        self.schema = schema
        self.slots: Slots = schema.empty_slots(1)
        self.state_time: Times = np.zeros(1, np.int64)
        self.applied_position = 0
        self.attributes: dict[str, str] = {}
        self.merged_into = 0
        """Whom this user turned out to be: everything is there, and nothing here; 0 for a user of their own."""
        self._keys: list[int] = []
        self._times: list[int] = []
        self._types: list[int] = []
        self._values: list[float] = []
        self._seen: dict[int, None] = {}
        self._hidden: dict[int, None] = {}

    @classmethod
    def empty(cls, schema: FeatureSchema) -> "UserFeatures":
        """A user nothing is known of."""
        return cls(schema)

    @property
    def known(self) -> bool:
        """Whether anything was ever written."""
        return bool(self.state_time[0] or self.attributes or self.applied_position)

    def apply(self, event: Event) -> None:
        """Apply one event; see apply_many."""
        self.apply_many([event])

    def apply_many(self, events: Sequence[Event]) -> None:
        """Apply events in log order. Times may be out of order: the state ends as after a sorted replay."""
        if not events:
            return
        self.apply_columns(
            np.array([e.item_key for e in events], np.int64),
            np.array([EVENT_TYPES[e.event_type].code for e in events], np.int64),
            np.array([e.value for e in events], np.float64),
            np.array([e.event_time_us for e in events], np.int64),
        )
        self.applied_position = max(self.applied_position, *(e.position for e in events))

    def apply_columns(
        self, keys: NDArray[np.int64], types: NDArray[np.int64], values: NDArray[np.float64], times: Times
    ) -> None:
        """Apply E events given as columns [E], in log order; key 0 is an event without item, value NaN is none."""
        apply_to_users([self], np.zeros(len(keys), np.int64), keys, types, values, times)

    def _enter(self, key: int, time: int, type_: int, value: float) -> None:
        if type_ in _HIDES:
            self._hidden.pop(key, None)
            self._hidden[key] = None
        if type_ in _IN_HISTORY:
            self._insert(key, time, type_, value)
            self._seen.pop(key, None)
            self._seen[key] = None

    def _trim(self) -> None:
        for keys in (self._seen, self._hidden):
            while len(keys) > SEEN_LENGTH:
                del keys[next(iter(keys))]
        surplus = len(self._keys) - HISTORY_LENGTH
        if surplus > 0:
            for column in (self._keys, self._times, self._types, self._values):
                del column[:surplus]

    def _insert(self, key: int, time: int, type_: int, value: float) -> None:
        place = len(self._times) if not self._times or time >= self._times[-1] else bisect_right(self._times, time)
        self._keys.insert(place, key)
        self._times.insert(place, time)
        self._types.insert(place, type_)
        self._values.insert(place, value)

    def absorb(self, other: "UserFeatures") -> None:
        """Join another identity of the same person: as after a sorted replay of both's events under one key.

        Of what is ordered by arrival (seen, hidden, events of the same microsecond) the other's counts as later.
        """
        self.slots, self.state_time = united(
            self.schema.slots, self.slots, self.state_time, other.slots, other.state_time
        )
        for key, time, type_, value in zip(other._keys, other._times, other._types, other._values, strict=True):
            self._insert(key, time, type_, value)
        for mine, theirs in ((self._seen, other._seen), (self._hidden, other._hidden)):
            for key in theirs:
                mine.pop(key, None)
                mine[key] = None
        self._trim()
        self.attributes = self.attributes or other.attributes

    def set_attributes(self, attributes: Mapping[str, str]) -> None:
        """Replace the user's attributes."""
        self.attributes = dict(attributes)

    def to_stored(self) -> dict[str, Any]:
        """Every STORED_USER_FEATURES field by name."""
        return {
            "history_keys": np.array(self._keys, np.int64),
            "history_times": np.array(self._times, np.int64),
            "history_types": np.array(self._types, np.int64),
            "history_values": np.array(self._values, np.float32),
            "seen_keys": np.fromiter(self._seen, np.int64),
            "hidden_keys": np.fromiter(self._hidden, np.int64),
            "counters_state": self.slots[0],
            "state_time_us": int(self.state_time[0]),
            "applied_position": self.applied_position,
            "attributes_json": json.dumps(self.attributes, sort_keys=True),
            "merged_into": self.merged_into,
        }

    @classmethod
    def from_stored(cls, schema: FeatureSchema, stored: Mapping[str, Any]) -> "UserFeatures":
        """Back from to_stored()'s fields; a missing or None field is empty. Counters of another schema start anew."""

        def column(name: str) -> list[Any]:
            value = stored.get(name)
            return [] if value is None else np.asarray(value).tolist()

        user = cls(schema)
        user._keys, user._times = column("history_keys"), column("history_times")
        user._types, user._values = column("history_types"), column("history_values")
        user._seen = dict.fromkeys(column("seen_keys"))
        user._hidden = dict.fromkeys(column("hidden_keys"))
        counters = stored.get("counters_state")
        if counters is not None and len(counters) == len(schema.slots):
            user.slots = np.array(counters, np.float64)[None, :]
        user.state_time = np.array([stored.get("state_time_us") or 0], np.int64)
        user.applied_position = int(stored.get("applied_position") or 0)
        user.attributes = json.loads(stored.get("attributes_json") or "{}")
        user.merged_into = int(stored.get("merged_into") or 0)
        return user

    def dense(self, as_of_us: int) -> Vector:
        """User features float32 [Fu] in schema order, aged to as_of_us."""
        counters = self.schema.counters_dense(self.slots, self.state_time, as_of_us)[0]
        return np.concatenate([counters, one_hot(self.schema, self.attributes)])

    def state(self, user_key: int, as_of_us: int) -> UserState:
        """What the request path reads, as of a time."""
        return UserState(
            user_key=user_key,
            found=self.known,
            history_keys=np.array(self._keys, np.int64),
            history_times=np.array(self._times, np.int64),
            history_types=np.array(self._types, np.int64),
            history_values=np.array(self._values, np.float32),
            seen_keys=np.sort(np.fromiter(self._seen, np.int64)),
            hidden_keys=np.sort(np.fromiter(self._hidden, np.int64)),
            dense=self.dense(as_of_us),
            applied_position=self.applied_position,
        )


def apply_to_users(
    users: Sequence[UserFeatures],
    rows: NDArray[np.int64],
    keys: NDArray[np.int64],
    types: NDArray[np.int64],
    values: NDArray[np.float64],
    times: Times,
) -> None:
    """Apply E events given as columns [E], in log order, to users of one schema; rows [E] says to which."""
    schema = users[0].schema
    values = schema.usable_values(types, values)
    slots, state_time = accumulate(
        schema.slots,
        np.concatenate([user.slots for user in users]),
        np.concatenate([user.state_time for user in users]),
        rows,
        types,
        values,
        times,
    )
    for row, user in enumerate(users):
        user.slots, user.state_time = slots[row : row + 1], state_time[row : row + 1]
    columns = (rows.tolist(), keys.tolist(), times.tolist(), types.tolist(), values.tolist())
    for row, key, time, type_, value in zip(*columns, strict=True):
        if key:
            users[row]._enter(key, time, type_, value)
    for user in users:
        user._trim()


def one_hot(schema: FeatureSchema, attributes: Mapping[str, str]) -> Vector:
    """The user's attributes as the schema's one-hot columns."""
    hot = [attributes.get(name) == value for name, values in schema.user_attributes.items() for value in values]
    return np.array(hot, np.float32)


def state_of(
    schema: FeatureSchema, user_key: int, stored: Mapping[str, Any], as_of_us: int, merged_from: int = 0
) -> UserState:
    """UserFeatures.from_stored(schema, stored).state(user_key, as_of_us), without the mutable state in between."""

    def column(name: str, kind: Any) -> NDArray[Any]:
        value = stored.get(name)
        return np.empty(0, kind) if value is None else np.asarray(value, kind)

    counters = stored.get("counters_state")
    if counters is None or len(counters) != len(schema.slots):
        slots = schema.empty_slots(1)
    else:
        slots = np.asarray(counters, np.float64)[None, :]
    time_us = stored.get("state_time_us") or 0
    position = stored.get("applied_position") or 0
    attributes = json.loads(stored.get("attributes_json") or "{}")
    dense = schema.counters_dense(slots, np.array([time_us], np.int64), as_of_us)[0]
    return UserState(
        user_key=user_key,
        found=bool(time_us or attributes or position),
        history_keys=column("history_keys", np.int64),
        history_times=column("history_times", np.int64),
        history_types=column("history_types", np.int64),
        history_values=column("history_values", np.float32),
        seen_keys=np.sort(column("seen_keys", np.int64)),
        hidden_keys=np.sort(column("hidden_keys", np.int64)),
        dense=np.concatenate([dense, one_hot(schema, attributes)]) if schema.user_attributes else dense,
        applied_position=position,
        merged_from=merged_from,
    )


class ItemFeatures:
    """Counters of items in columns: row r of the slots is row r of the item table (row 0 unused)."""

    def __init__(self, schema: FeatureSchema, rows: int) -> None:
        self.schema = schema
        self.slots: Slots = schema.empty_slots(rows)
        self.state_time: Times = np.zeros(rows, np.int64)

    @classmethod
    def empty(cls, schema: FeatureSchema, rows: int) -> "ItemFeatures":
        """Items without events."""
        return cls(schema, rows)

    def apply(self, row: int, event: Event) -> None:
        """Apply one event of one item."""
        self.apply_many(
            np.array([row], np.int64),
            np.array([EVENT_TYPES[event.event_type].code], np.int64),
            np.array([event.value], np.float64),
            np.array([event.event_time_us], np.int64),
        )

    def apply_many(
        self, rows: NDArray[np.int64], types: NDArray[np.int64], values: NDArray[np.float64], times: Times
    ) -> None:
        """Apply E events given as columns [E], in any order."""
        self.slots, self.state_time = accumulate(
            self.schema.slots, self.slots, self.state_time, rows, types, self.schema.usable_values(types, values), times
        )

    def to_stored(self, row: int) -> dict[str, Any]:
        """The item_counters fields of one row."""
        return {"counters_state": self.slots[row], "state_time_us": int(self.state_time[row])}

    def dense(self, as_of_us: int) -> Matrix:
        """Item features float32 [rows, Fi] in schema order, aged to as_of_us."""
        return self.schema.counters_dense(self.slots, self.state_time, as_of_us)
