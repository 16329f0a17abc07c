"""Applies log entries to the online store: exactly once in effect, by each entity's applied position.

Every entity holds, in the same HSET as its features, the position of the newest entry applied to it. Applying
entries again, after a crash or an outage, skips what is already in.
"""

import asyncio
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from penchant.errors import LogError
from penchant.events import BUILT_IN, Event, EventTypes
from penchant.features import STORED_USER_FEATURES, FeatureSchema, UserFeatures, apply_to_users
from penchant.features.entity import says_something
from penchant.features.kinds import accumulate
from penchant.trend import Trend
from penchant.types import Keys
from services.feature_store.column import arrays, blobs, scalars
from services.feature_store.identities import roots_of
from services.feature_store.store import OnlineStore
from services.feature_store.writes import CONSENT_PERSONALISATION, IdentityMerge, UserWrite

USER_FEATURES = tuple(f"{stored.view}:{stored.name}" for stored in STORED_USER_FEATURES)
USER_NAMES = tuple(stored.name for stored in STORED_USER_FEATURES)
_VIEWS = {
    view: tuple(f"{view}:{stored.name}" for stored in STORED_USER_FEATURES if stored.view == view)
    for view in dict.fromkeys(stored.view for stored in STORED_USER_FEATURES)
}
_DESCRIBED = ("user_attributes", "user_identity")
"""Views whose values are as of when they were written, not as of the newest event."""
_DTYPES = {f"{stored.view}:{stored.name}": stored.dtype for stored in STORED_USER_FEATURES}
_ITEM_FEATURES = ("item_counters:counters_state", "item_counters:state_time_us", "item_counters:applied_position")
_CHECKPOINT = ("user_counters:applied_position", "user_counters:state_time_us")
"""Of key 0, who is nobody: how far the log is applied, and the writer that applied it."""
_CHUNK = 128
_TELL_APART_BITS = 10
"""Of a writer's number: by chance, should two start within one microsecond."""
_NOBODY = np.zeros(1, np.int64)

Entry = Event | UserWrite | IdentityMerge


class Projector:
    """Writes users and item counters. schema gives the feature schema in force, kinds the event types."""

    def __init__(
        self,
        store: OnlineStore,
        schema: Callable[[], FeatureSchema],
        kinds: Callable[[], EventTypes] = lambda: BUILT_IN,
    ) -> None:
        self._store = store
        self._schema = schema
        self._kinds = kinds
        self.trend = Trend()
        """What is trending, out of the events that count for items."""
        self._writer = 0
        """A number that no other process has, and that rises from start to start: the newest owns the store."""

    @property
    def losses(self) -> int:
        """See OnlineStore.losses."""
        return self._store.losses

    async def applied(self) -> int:
        """Everything up to this position is in the store; 0 for an empty store."""
        position, _ = await self._store.read(_CHECKPOINT, _NOBODY, 0)
        return int(position.cell(0) or 0)

    async def become_newest(self, now_us: int) -> None:
        """Take a writer's number above every one that this store has seen; mark_applied() then makes it known.

        From the time, so that it also rises over a store that was emptied; from what the store holds, so that it rises
        over a clock that was set back.
        """
        _, writer = await self._store.read(_CHECKPOINT, _NOBODY, 0)
        newest = max(int(writer.cell(0) or 0) + 1, now_us << _TELL_APART_BITS)
        self._writer = newest + secrets.randbits(_TELL_APART_BITS)

    async def mark_applied(self, position: int) -> None:
        """Note, in the store itself, that this writer has applied everything up to this position."""
        values = (scalars("int64", np.array([value])) for value in (position, self._writer))
        await self._store.write(
            _NOBODY, dict(zip(_CHECKPOINT, values, strict=True)), {"user_counters": np.array([position + 1])}
        )

    async def owned(self) -> bool:
        """Whether this writer owns the store. Raises LogError where a newer one does.

        False where the store is empty or an older writer's: it came back as it was before this one marked it.
        """
        _, writer = await self._store.read(_CHECKPOINT, _NOBODY, 0)
        owner = int(writer.cell(0) or 0)
        if owner > self._writer:
            raise LogError(
                "another feature store writes to this online store: stop one of the two, or give each a Redis "
                "database of its own"
            )
        return owner == self._writer

    async def apply(self, entries: Sequence[tuple[int, Entry]]) -> None:
        """Apply entries in log order. Raises StoreUnavailable; applying the same again is then safe."""
        schema = self._schema()
        between: list[tuple[int, Event | UserWrite]] = []
        for position, entry in entries:
            if not isinstance(entry, IdentityMerge):
                between.append((position, entry))
                continue
            await self._apply_run(schema, between)
            between = []
            await self._merge(schema, position, entry)
        await self._apply_run(schema, between)
        self.count(entries)

    def count(self, entries: Sequence[tuple[int, Entry]]) -> None:
        """Let entries of the log count for the trend; those that counted before do not count again."""
        kinds, trend = self._kinds(), self.trend
        for position, entry in entries:
            if position <= trend.position:
                continue
            trend.position = position
            kind = kinds.get(entry.event_type) if isinstance(entry, Event) else None
            if kind is not None and isinstance(entry, Event) and counts_for_items(entry):
                trend.add(entry.user_key, entry.item_key, kind.code, kind.weight, entry.event_time_us)

    async def _merge(self, schema: FeatureSchema, position: int, merge: IdentityMerge) -> None:
        """The user takes over what the other identity was, and then the other points to the user.

        In that order: after a crash in between, the user's position says that the first half is done.
        """
        root, into_root = (await roots_of(self._store, np.array([merge.from_key, merge.into_key], np.int64))).tolist()
        if root != merge.from_key or into_root == merge.from_key:
            return  # Merged before, or a circle: nothing changes, in every replay alike.
        keys = np.array([into_root, root], np.int64)
        user, other = await self._read_users(schema, keys)
        described_us = max(merge.ingest_time_us, 1)
        if user.applied_position < position:
            user.absorb(other)
            user.applied_position = position
            await self._write(keys, [user, other], {0: set(_VIEWS) - {"user_identity"}}, {0: described_us})
        gone = UserFeatures.empty(schema)
        gone.merged_into, gone.applied_position, gone.state_time = into_root, position, other.state_time
        await self._write(keys, [user, gone], {1: set(_VIEWS)}, {1: described_us})

    async def _apply_run(self, schema: FeatureSchema, entries: Sequence[tuple[int, Event | UserWrite]]) -> None:
        if not entries:
            return
        acting = np.unique(np.array([entry.user_key for _, entry in entries], np.int64))
        now = dict(zip(acting.tolist(), (await roots_of(self._store, acting)).tolist(), strict=True))
        by_user: dict[int, list[tuple[int, Event | UserWrite]]] = {}
        for position, entry in entries:
            by_user.setdefault(now[entry.user_key], []).append((position, entry))
        counted = [(p, e) for p, e in entries if isinstance(e, Event) and counts_for_items(e)]
        # Both to their end, also where one fails: nothing may still be writing when the same entries come again.
        failures = await asyncio.gather(
            self._apply_all_users(schema, by_user), self._apply_items(schema, counted), return_exceptions=True
        )
        for failure in failures:
            if failure is not None:
                raise failure

    async def _apply_all_users(
        self, schema: FeatureSchema, by_user: Mapping[int, Sequence[tuple[int, Event | UserWrite]]]
    ) -> None:
        keys = list(by_user)
        for start in range(0, len(keys), _CHUNK):
            chunk = keys[start : start + _CHUNK]
            await self._apply_users(schema, np.array(chunk, np.int64), [by_user[key] for key in chunk])

    async def _apply_users(
        self, schema: FeatureSchema, keys: Keys, entries: Sequence[Sequence[tuple[int, Event | UserWrite]]]
    ) -> None:
        users = await self._read_users(schema, keys)
        kinds = self._kinds()
        changed: dict[int, set[str]] = {}
        """Views to write, by place; the position goes with all of them."""
        described: dict[int, int] = {}
        rows, events = [], []
        for i, (user, mine) in enumerate(zip(users, entries, strict=True)):
            for position, entry in mine:
                if position <= user.applied_position:
                    continue
                if isinstance(entry, Event):
                    rows.append(i)
                    events.append(entry)
                    changed.setdefault(i, {"user_counters"}).update(_views_of(entry, kinds))
                else:
                    changed.setdefault(i, {"user_counters"}).add("user_attributes")
                    user.set_attributes(entry.texts())
                    described[i] = entry.ingest_time_us
            user.applied_position = max(user.applied_position, mine[-1][0])
        if events:
            apply_to_users(users, np.array(rows, np.int64), *_event_columns(events, kinds), kinds)
            for i, event in zip(rows, events, strict=True):
                if says_something(event.text, kinds.get(event.event_type)):
                    users[i].add_text(event.text, event.event_time_us)
        await self._write(keys, users, changed, described)

    async def _read_users(self, schema: FeatureSchema, keys: Keys) -> list[UserFeatures]:
        rows = await self._store.read_rows(USER_FEATURES, keys, 0)
        return [UserFeatures.from_stored(schema, dict(zip(USER_NAMES, row, strict=True))) for row in rows]

    async def _write(
        self,
        keys: Keys,
        users: Sequence[UserFeatures],
        changed: Mapping[int, set[str]],
        described: Mapping[int, int],
    ) -> None:
        """Write views of users by place; all of one user in one command."""
        alike: dict[frozenset[str], list[int]] = {}
        for place, views in changed.items():
            alike.setdefault(frozenset(views), []).append(place)
        for together, places in alike.items():
            stored = [users[i].to_stored() for i in places]
            features = [name for view in _VIEWS if view in together for name in _VIEWS[view]]
            columns = {name: _column(_DTYPES[name], [row[name.split(":")[1]] for row in stored]) for name in features}
            state_times = np.array([row["state_time_us"] for row in stored], np.int64)
            written = np.array([described.get(i, 0) for i in places], np.int64)
            times = {view: written if view in _DESCRIBED else state_times for view in together}
            await self._store.write(keys[places], columns, times)

    async def _apply_items(self, schema: FeatureSchema, entries: Sequence[tuple[int, Event]]) -> None:
        if not entries:
            return
        keys, rows = np.unique(np.array([event.item_key for _, event in entries], np.int64), return_inverse=True)
        positions = np.array([position for position, _ in entries], np.int64)
        counters, times, applied = await self._store.read(_ITEM_FEATURES, keys, 0)
        slots = schema.empty_slots(len(keys))
        for i, cell in enumerate(counters.cells()):
            known = schema.slots_of(cell)
            if known is not None:
                slots[i] = known
        fresh = positions > applied.values[rows]
        if not fresh.any():
            return
        chosen = np.flatnonzero(fresh)
        _, types, values, event_times = _event_columns([entries[i][1] for i in chosen.tolist()], self._kinds())
        values = schema.usable_values(types, values)
        slots, state = accumulate(
            schema.slots, slots, times.values.astype(np.int64), rows[chosen], types, values, event_times
        )
        newest = applied.values.astype(np.int64)
        np.maximum.at(newest, rows[chosen], positions[chosen])
        touched = np.unique(rows[chosen])
        await self._store.write(
            keys[touched],
            {
                _ITEM_FEATURES[0]: arrays("float64[]", [schema.stored_slots(slots[i]) for i in touched.tolist()]),
                _ITEM_FEATURES[1]: scalars("int64", state[touched]),
                _ITEM_FEATURES[2]: scalars("int64", newest[touched]),
            },
            {"item_counters": state[touched]},
        )


def counts_for_items(event: Event) -> bool:
    """Whether an event changes its item's counters: not one of an evaluation, nor one meant for its user alone."""
    return bool(event.item_key) and "evaluation" not in event.context and event.consent != CONSENT_PERSONALISATION


def _views_of(event: Event, kinds: EventTypes) -> tuple[str, ...]:
    """Views of its user that an event changes."""
    kind = kinds.get(event.event_type)
    text = ("user_text",) if says_something(event.text, kind) else ()
    if kind is not None and event.item_key and kind.lowers:
        return ("user_lowered", *text)
    if kind is not None and event.item_key and (kind.in_history or kind.hides):
        return ("user_sequences", *text)
    return text


def _event_columns(events: Sequence[Event], kinds: EventTypes) -> tuple[Any, Any, Any, Any]:
    """Item keys, type codes, values and times of events, each [E]."""
    return (
        np.array([event.item_key for event in events], np.int64),
        kinds.codes(events),
        np.array([event.value for event in events], np.float64),
        np.array([event.event_time_us for event in events], np.int64),
    )


def _column(dtype: str, cells: Iterable[Any]) -> Any:
    if dtype.endswith("[]"):
        return arrays(dtype, list(cells))
    if dtype == "string":
        return blobs(dtype, [cell.encode() for cell in cells])
    return scalars(dtype, np.array(list(cells)))
