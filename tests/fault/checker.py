"""Holds the history against the log, and the store against a sequential replay of the log."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from fault.deployment import Deployment
from fault.history import Attempt, History, SentEvent
from fault.model import SequentialModel

from penchant.event_log import EVENTS, ITEMS, LogReader, open_log_reader
from penchant.events import Event
from penchant.features import STORED_ITEM_FEATURES, STORED_USER_FEATURES
from penchant.ids import identity_key
from services.feature_store.redis_store import RedisOnlineStore
from services.feature_store.wire import entry_of
from services.feature_store.writes import IdentityMerge, ItemWrite

USER_FEATURES = tuple(f"{stored.view}:{stored.name}" for stored in STORED_USER_FEATURES)
ITEM_COUNTERS = tuple(f"{s.view}:{s.name}" for s in STORED_ITEM_FEATURES if s.view == "item_counters")
ITEM_ATTRIBUTES = tuple(f"{s.view}:{s.name}" for s in STORED_ITEM_FEATURES if s.view == "item_attributes")
_SHOWN = 5
"""Of differences of one kind."""


class Checker:
    """Keeps what it read of the log from one check to the next."""

    def __init__(self, deployment: Deployment, history: History) -> None:
        self._deployment = deployment
        self._history = history
        self._model = SequentialModel(deployment.schema)
        self._positions: dict[str, int] = {}
        """Log position by mark."""
        self._items: dict[str, tuple[int, ItemWrite]] = {}
        """Position and write by mark, of the item log."""
        self._merges: set[tuple[str, str]] = set()
        """Pairs that are in the log."""
        self._readers: dict[str, LogReader] = {}

    def _reader(self, name: str) -> LogReader:
        if name not in self._readers:
            self._readers[name] = open_log_reader(self._deployment.layout.log_url, name)
        return self._readers[name]

    def close(self) -> None:
        """Give the logs back."""
        for reader in self._readers.values():
            reader.close()

    @property
    def records(self) -> int:
        """Of the event log, so far."""
        return self._model.position

    def check(self) -> None:
        """See check_all()."""
        asyncio.run(self.check_all())

    def written_items(self) -> tuple[int, set[str]]:
        """Position of the newest written item, and the ids of those that are not available."""
        self._read_item_log()
        newest = {write.item_id: write for _, write in sorted(self._items.values(), key=lambda one: one[0])}
        position = max((position for position, _ in self._items.values()), default=0)
        return position, {item_id for item_id, write in newest.items() if not write.available}

    async def check_all(self) -> None:
        """While nobody writes and all is applied. What is wrong goes to the history as violations."""
        began = time.monotonic()
        if (oldest := self._reader(EVENTS).oldest()) > 1:
            self._history.violation(
                f"the log begins at {oldest}, and a store that came back empty lacks what was before: Kafka's mock "
                "brokers keep 5 MB, so play fewer kills a round"
            )
        self._read_log()
        self._read_item_log()
        self._check_attempts()
        self._check_order()
        await self._check_store()
        self._history.note("checked", records=self.records, seconds=round(time.monotonic() - began, 2))

    def _read_log(self) -> None:
        """New records enter the model; each must be what somebody sent, and be there once."""
        for position, payload in self._reader(EVENTS).read(self._model.position + 1):
            if position != self._model.position + 1:
                self._history.violation(f"the log goes from {self._model.position} to {position}")
            entry = entry_of(position, payload)
            assert not isinstance(entry, ItemWrite)
            self._model.apply(position, entry)
            if isinstance(entry, IdentityMerge):
                self._merges.add((entry.anonymous_id or entry.user_id, entry.into_user_id))
                continue
            mark = entry.session_id if isinstance(entry, Event) else str(entry.attributes.get("mark"))
            if mark in self._positions:
                self._history.violation(f"{mark} is in the log at {self._positions[mark]} and again at {position}")
            self._positions[mark] = position
            if isinstance(entry, Event):
                sent = self._history.events.get(mark)
                if sent is None or not _is(entry, sent):
                    self._history.violation(f"record {position} is not what anybody sent: {entry}")

    def _read_item_log(self) -> None:
        last = 0
        for position, payload in self._reader(ITEMS).read():
            entry = entry_of(position, payload)
            assert isinstance(entry, ItemWrite)
            mark = str(entry.attributes["mark"])
            known = self._items.get(mark)
            if (known is not None and known[0] != position) or position != last + 1:
                self._history.violation(f"item log: {mark} is at {position} after {last}, was at {known}")
            last = position
            self._items[mark] = (position, entry)

    def _check_attempts(self) -> None:
        """What was acknowledged is there, and the token is where the last of it lies."""
        sent = set()
        for attempt in self._history.attempts:
            if attempt.kind == "merges":
                self._check_merge(attempt)
                continue
            sent.update(attempt.marks)
            if not attempt.token:
                continue
            positions = [self._position(attempt, mark) for mark in attempt.marks]
            lost = [mark for mark, position in zip(attempt.marks, positions, strict=True) if not position]
            if lost:
                self._history.violation(f"acknowledged to {attempt.client} and not in the log: {lost[:_SHOWN]}")
            elif attempt.kind != "users" and max(positions) != attempt.token:
                self._history.violation(
                    f"{attempt.client} was given token {attempt.token} for what ends at {max(positions)}"
                )
        stray = [mark for mark in (*self._positions, *self._items) if mark not in sent]
        if stray:
            self._history.violation(f"in a log and sent by nobody: {stray[:_SHOWN]}")

        pairs = {attempt.marks for attempt in self._history.attempts if attempt.kind == "merges"}
        if strays := self._merges - pairs:
            self._history.violation(f"merges in the log that nobody asked for: {list(strays)[:_SHOWN]}")

    def _check_merge(self, attempt: Attempt) -> None:
        roots = {self._model.root(_key(who)) for who in attempt.marks}
        if attempt.token and len(roots) > 1:
            self._history.violation(f"{attempt.marks} were said to be one and are not, by the log")

    def _position(self, attempt: Attempt, mark: str) -> int:
        if attempt.kind == "items":
            return self._items[mark][0] if mark in self._items else 0
        return self._positions.get(mark, 0)

    def _check_order(self) -> None:
        """What began after an acknowledgement lies behind it in the log."""
        events = [a for a in self._history.attempts if a.kind == "events"]
        ended = sorted((a.ended, a.token) for a in events if a.token)
        first: dict[str, float] = {}
        for attempt in events:
            for mark in attempt.marks:
                first.setdefault(mark, attempt.began)
        token, i = 0, 0
        for mark, began in sorted(first.items(), key=lambda one: one[1]):
            while i < len(ended) and ended[i][0] < began:
                token = max(token, ended[i][1])
                i += 1
            position = self._positions.get(mark, 0)
            if 0 < position <= token:
                self._history.violation(f"{mark} was first sent after token {token} was given and lies at {position}")

    async def _check_store(self) -> None:
        store = self._deployment.open_store()
        try:
            users, items = list(self._model.users), list(self._model.items)
            found = await _rows(store, USER_FEATURES, users)
            self._differ("user", {key: self._model.user_differences(key, row) for key, row in found.items()})
            found = await _rows(store, ITEM_COUNTERS, items)
            self._differ("item", {key: self._model.item_differences(key, row) for key, row in found.items()})
            newest = {write.item_key: write for _, write in sorted(self._items.values(), key=lambda one: one[0])}
            found = await _rows(store, ITEM_ATTRIBUTES, list(newest))
            self._differ("written item", {key: _item(newest[key], row) for key, row in found.items()})
            await self._check_strays(store, {"user": {0, *users}, "item": {0, *items, *newest}})
        finally:
            await store.close()

    def _differ(self, what: str, differences: dict[int, list[str]]) -> None:
        wrong = {key: found for key, found in differences.items() if found}
        if wrong:
            key, fields = next(iter(wrong.items()))
            self._history.violation(
                f"{len(wrong)} of {len(differences)} {what}s differ from the replay, such as {key}: {fields[0]}",
                fields={str(key): found for key, found in list(wrong.items())[:_SHOWN]},
            )

    async def _check_strays(self, store: RedisOnlineStore, known: dict[str, set[int]]) -> None:
        """Nobody is in the store of whom the log knows nothing."""
        prefixes = {entity: view.key_prefix for view in store.plan.views.values() for entity in [view.entity]}
        (keys,) = await store.pool.execute(b"*2\r\n$4\r\nKEYS\r\n$1\r\n*\r\n", 1)
        for raw in keys:
            for entity, prefix in prefixes.items():
                if raw.startswith(prefix):
                    key = int.from_bytes(raw[len(prefix) : len(prefix) + 8], "little", signed=True)
                    if key not in known[entity]:
                        self._history.violation(f"{entity} {key} is in the store and not in the log")

    def counted(self) -> dict[str, int]:
        """What was checked."""
        acknowledged = {mark for a in self._history.attempts if a.kind == "events" and a.token for mark in a.marks}
        times = Counter(mark for a in self._history.attempts if a.kind == "events" for mark in set(a.marks))
        return {
            "events_sent": len(times),
            "events_sent_again": sum(1 for count in times.values() if count > 1),
            "acknowledged": len(acknowledged),
            "unacknowledged_in_log": sum(1 for mark in times if mark in self._positions and mark not in acknowledged),
            "log_records": self.records,
            "users": len(self._model.users),
            "items": len(self._model.items),
        }


def _is(event: Event, sent: SentEvent) -> bool:
    return (
        event.event_id == sent.event_id
        and event.user_id == sent.user_id
        and event.anonymous_id == sent.anonymous_id
        and event.item_id == sent.item_id
        and event.event_type == sent.event_type
        and event.event_time_us == sent.event_time_us
        and event.text == sent.text
        and event.consent == sent.consent
        and ("evaluation" in event.context) == sent.evaluation
        and (event.value == sent.value or (sent.value is None and event.value != event.value))
    )


def _key(who: str) -> int:
    return identity_key("", who) if who.startswith("u") else identity_key("", "", who)


def _item(write: ItemWrite, stored: dict[str, Any]) -> list[str]:
    found = json.loads(stored["attributes_json"] or "{}")
    available = int(write.available and not write.deleted)
    if found.get("mark") == write.attributes["mark"] and stored["available"] == available:
        return []
    return [f"stored {found}, available {stored['available']}; written {write.attributes}, {available}"]


async def _rows(store: RedisOnlineStore, features: Sequence[str], keys: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Stored fields by name, of each entity."""
    names = [feature.split(":")[1] for feature in features]
    rows: dict[int, dict[str, Any]] = {}
    for start in range(0, len(keys), 256):
        some = keys[start : start + 256]
        columns = await store.read(features, np.array(some, np.int64), 0)
        for key, *cells in zip(some, *(column.cells() for column in columns), strict=True):
            rows[key] = dict(zip(names, cells, strict=True))
    return rows
