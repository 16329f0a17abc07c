"""The state of one user, and of all items: how events change it, how it is stored, what models read of it."""

import json
import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penchant.events import BUILT_IN, EVENT_TYPES, Event, EventType, EventTypes
from penchant.features.kinds import Slots, accumulate, united
from penchant.features.schema import FeatureSchema
from penchant.leaves import HISTORY_LENGTH, SEEN_LENGTH, UserState
from penchant.types import Matrix, Times, Vector

LOWERED_LENGTH = 200
TEXTS = 8
TEXT_LENGTH = 200
"""Characters."""


class _Sequence:
    """Things done to items, in columns by (time, arrival); the newest are kept."""

    def __init__(self, length: int, *columns: list[Any]) -> None:
        self.length = length
        self.keys, self.times, self.types, self.values = columns or ([], [], [], [])

    def insert(self, key: int, time: int, type_: int, value: float) -> None:
        times = self.times
        place = len(times) if not times or time >= times[-1] else bisect_right(times, time)
        for column, cell in zip(self._columns, (key, time, type_, value), strict=True):
            column.insert(place, cell)

    def absorb(self, other: "_Sequence") -> None:
        for row in zip(*other._columns, strict=True):
            self.insert(*row)

    def trim(self) -> None:
        surplus = len(self.keys) - self.length
        if surplus > 0:
            for column in self._columns:
                del column[:surplus]

    @property
    def _columns(self) -> tuple[list[Any], ...]:
        return self.keys, self.times, self.types, self.values


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
        self._history = _Sequence(HISTORY_LENGTH)
        self._lowered = _Sequence(LOWERED_LENGTH)
        self._texts: list[tuple[int, str]] = []
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

    def apply_many(self, events: Sequence[Event], kinds: EventTypes = BUILT_IN) -> None:
        """Apply events in log order. Times may be out of order: the state ends as after a sorted replay."""
        if not events:
            return
        self.apply_columns(
            np.array([e.item_key for e in events], np.int64),
            kinds.codes(events),
            np.array([e.value for e in events], np.float64),
            np.array([e.event_time_us for e in events], np.int64),
            kinds,
        )
        for event in events:
            if says_something(event.text, kinds.get(event.event_type)):
                self.add_text(event.text, event.event_time_us)
        self.applied_position = max(self.applied_position, *(e.position for e in events))

    def apply_columns(
        self,
        keys: NDArray[np.int64],
        types: NDArray[np.int64],
        values: NDArray[np.float64],
        times: Times,
        kinds: EventTypes = BUILT_IN,
    ) -> None:
        """Apply E events given as columns [E], in log order; key 0 is an event without item, value NaN is none."""
        apply_to_users([self], np.zeros(len(keys), np.int64), keys, types, values, times, kinds)

    def _enter(self, key: int, time: int, type_: int, value: float, kinds: EventTypes) -> None:
        if type_ in kinds.hides:
            self._hidden.pop(key, None)
            self._hidden[key] = None
        if type_ in kinds.lowers:
            self._lowered.insert(key, time, type_, value)
        if type_ in kinds.in_history:
            self._history.insert(key, time, type_, value)
            self._seen.pop(key, None)
            self._seen[key] = None

    def _trim(self) -> None:
        for keys in (self._seen, self._hidden):
            while len(keys) > SEEN_LENGTH:
                del keys[next(iter(keys))]
        self._history.trim()
        self._lowered.trim()

    def absorb(self, other: "UserFeatures") -> None:
        """Join another identity of the same person: as after a sorted replay of both's events under one key.

        Of what is ordered by arrival (seen, hidden, events of the same microsecond) the other's counts as later.
        """
        self.slots, self.state_time = united(
            self.schema.slots, self.slots, self.state_time, other.slots, other.state_time
        )
        self._history.absorb(other._history)
        self._lowered.absorb(other._lowered)
        for time_us, text in other._texts:
            self.add_text(text, time_us)
        for mine, theirs in ((self._seen, other._seen), (self._hidden, other._hidden)):
            for key in theirs:
                mine.pop(key, None)
                mine[key] = None
        self._trim()
        self.attributes = self.attributes or other.attributes

    def add_text(self, text: str, time_us: int) -> None:
        """What the user searched for or wrote: the newest TEXTS by (time, arrival) are kept, shortened."""
        self._texts.insert(bisect_right(self._texts, time_us, key=lambda one: one[0]), (time_us, text[:TEXT_LENGTH]))
        del self._texts[:-TEXTS]

    def set_attributes(self, attributes: Mapping[str, str]) -> None:
        """Replace the user's attributes."""
        self.attributes = dict(attributes)

    def to_stored(self) -> dict[str, Any]:
        """Every STORED_USER_FEATURES field by name."""
        return {
            "history_keys": np.array(self._history.keys, np.int64),
            "history_times": np.array(self._history.times, np.int64),
            "history_types": np.array(self._history.types, np.int64),
            "history_values": np.array(self._history.values, np.float32),
            "lowered_keys": np.array(self._lowered.keys, np.int64),
            "lowered_times": np.array(self._lowered.times, np.int64),
            "lowered_types": np.array(self._lowered.types, np.int64),
            "seen_keys": np.fromiter(self._seen, np.int64),
            "hidden_keys": np.fromiter(self._hidden, np.int64),
            "counters_state": self.schema.stored_slots(self.slots[0]),
            "state_time_us": int(self.state_time[0]),
            "applied_position": self.applied_position,
            "attributes_json": json.dumps(self.attributes, sort_keys=True),
            "recent_texts_json": json.dumps(self._texts, ensure_ascii=False) if self._texts else "",
            "merged_into": self.merged_into,
        }

    @classmethod
    def from_stored(cls, schema: FeatureSchema, stored: Mapping[str, Any]) -> "UserFeatures":
        """Back from to_stored()'s fields; a missing or None field is empty. Counters of another schema start anew."""

        def column(name: str) -> list[Any]:
            value = stored.get(name)
            return [] if value is None else np.asarray(value).tolist()

        user = cls(schema)
        names = ("history_keys", "history_times", "history_types", "history_values")
        user._history = _Sequence(HISTORY_LENGTH, *map(column, names))
        lowered = [column(name) for name in ("lowered_keys", "lowered_times", "lowered_types")]
        user._lowered = _Sequence(LOWERED_LENGTH, *lowered, [math.nan] * len(lowered[0]))
        user._seen = dict.fromkeys(column("seen_keys"))
        user._hidden = dict.fromkeys(column("hidden_keys"))
        slots = schema.slots_of(stored.get("counters_state"))
        if slots is not None:
            user.slots = np.array(slots)[None, :]
        user.state_time = np.array([stored.get("state_time_us") or 0], np.int64)
        user.applied_position = int(stored.get("applied_position") or 0)
        user.attributes = json.loads(stored.get("attributes_json") or "{}")
        user._texts = list(_texts(stored))
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
            history_keys=np.array(self._history.keys, np.int64),
            history_times=np.array(self._history.times, np.int64),
            history_types=np.array(self._history.types, np.int64),
            history_values=np.array(self._history.values, np.float32),
            lowered_keys=np.array(self._lowered.keys, np.int64),
            lowered_times=np.array(self._lowered.times, np.int64),
            lowered_types=np.array(self._lowered.types, np.int64),
            texts=tuple(self._texts),
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
    kinds: EventTypes = BUILT_IN,
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
            users[row]._enter(key, time, type_, value, kinds)
    for user in users:
        user._trim()


def says_something(text: str, kind: EventType | None) -> bool:
    """Whether an event's text says what its user is after: not one that goes with a negative type."""
    return bool(text) and kind is not None and kind.weight >= 0


def _texts(stored: Mapping[str, Any]) -> tuple[tuple[int, str], ...]:
    return tuple((int(time_us), str(text)) for time_us, text in json.loads(stored.get("recent_texts_json") or "[]"))


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

    counters = schema.slots_of(stored.get("counters_state"))
    slots = schema.empty_slots(1) if counters is None else counters[None, :]
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
        lowered_keys=column("lowered_keys", np.int64),
        lowered_times=column("lowered_times", np.int64),
        lowered_types=column("lowered_types", np.int64),
        texts=_texts(stored),
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
        return {"counters_state": self.schema.stored_slots(self.slots[row]), "state_time_us": int(self.state_time[row])}

    def dense(self, as_of_us: int) -> Matrix:
        """Item features float32 [rows, Fi] in schema order, aged to as_of_us."""
        return self.schema.counters_dense(self.slots, self.state_time, as_of_us)
