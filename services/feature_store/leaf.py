"""The feature store: what the request path reads of users, and everything that is written.

Reads and writes go through one OnlineStore; writes are in a log before they are anywhere else. No clock is read
here: whoever calls says what time it is.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from penchant.errors import InvalidArgument, StoreUnavailable
from penchant.event_log import ITEMS, open_event_log
from penchant.events import BUILT_IN, Event, EventTypes
from penchant.features import FeatureSchema, state_of
from penchant.leaves import FetchedUsers
from penchant.trend import TrendSnapshot
from penchant.types import Keys
from services.feature_store.column import Column
from services.feature_store.identities import check_roots, read_users, roots_of
from services.feature_store.ingestion import Ingestion
from services.feature_store.items import ItemChanges, ItemJournal
from services.feature_store.media import has_files, with_read_files
from services.feature_store.projector import USER_FEATURES, USER_NAMES, Projector
from services.feature_store.retention import Retention
from services.feature_store.store import OnlineStore
from services.feature_store.validate import check_batch, check_event, check_item, check_merge, check_user
from services.feature_store.writes import (
    CONSENT_NONE,
    Begun,
    IdentityMerge,
    ItemWrite,
    Merged,
    Rejected,
    UserWrite,
    Written,
)

T = TypeVar("T")
MAX_USERS = 1000
MAX_ENTITIES = 10_000
TRENDING = 500
"""Items that the trend tells of."""
TREND_INTERVAL_S = 1.0
_MERGE_DEADLINE_S = 5.0
_READING_SHARE = 0.5
"""Of a deadline: what is kept for the read when it waits for a position first."""


class FeatureStore:
    """FeatureLeaf, and the write side. start() before the first call, stop() after the last."""

    def __init__(
        self,
        store: OnlineStore,
        schema: Callable[[], FeatureSchema],
        log: str,
        max_backlog: int = 20_000,
        deduplication_events: int = 200_000,
        report: Callable[[str], None] = lambda message: None,
        others: Sequence[OnlineStore] = (),
        reached: Callable[[str], None] = lambda point: None,
        event_types: Callable[[], EventTypes] = lambda: BUILT_IN,
        keep_days: float = 0.0,
        needed_by: Sequence[str] = (),
    ) -> None:
        """log: where logs are, see penchant.event_log.open. event_types: those of the policy in force.

        others: stores of Feast repositories that are read by name and never written. reached: see crash_points.py.
        keep_days, needed_by: see retention.py; 0 keeps every event.
        """
        self.store = store
        self._others = others
        self._schema = schema
        self._log = log
        self._event_types = event_types
        projector = Projector(store, schema, event_types)
        self.ingestion = Ingestion(
            projector, log, max_backlog, deduplication_events, report, reached, self._restore_items
        )
        self._retention = Retention(self.ingestion, log, keep_days, needed_by, report) if keep_days else None
        self._items: ItemJournal | None = None
        self.dropped_without_consent = 0
        self._merging = asyncio.Lock()
        """One merge is applied before the next is checked: two at once could close a circle."""
        self._trusted = (0, 0)
        """_seen when the store was last known to hold what was applied."""

    @property
    def items(self) -> ItemJournal:
        """Written items. Raises RuntimeError before start()."""
        if self._items is None:
            raise RuntimeError("start() was not awaited")
        return self._items

    @property
    def applied(self) -> int:
        """Events up to this log position are readable."""
        return self.ingestion.applied

    @property
    def serving(self) -> bool:
        """Whether writes are taken: false while the store is out, or after another process took it over."""
        return self.ingestion.taking

    @property
    def item_table_position(self) -> int:
        """Of the newest written item; 0 before start()."""
        return 0 if self._items is None else self._items.position

    async def start(self, now_us: int) -> None:
        """Open the logs and mend what an unclean stop left. Raises LogError, StoreUnavailable, ConfigError."""
        await self.ingestion.start(now_us)
        try:
            log = await asyncio.to_thread(open_event_log, self._log, ITEMS)
            self._items = await asyncio.to_thread(ItemJournal, self.store, log)
            await self._items.recover(now_us)
            if self._retention is not None:
                self._retention.start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Finish what was taken; close the logs and the store."""
        if self._retention is not None:
            await self._retention.stop()
        await self.ingestion.stop()
        if self._items is not None:
            await asyncio.to_thread(self._items.close)
        for store in (self.store, *self._others):
            await store.close()

    async def fetch_users(
        self, user_keys: Keys, as_of_us: int, minimum_position: int, deadline_s: float
    ) -> FetchedUsers:
        """See FeatureLeaf.fetch_users."""
        if len(user_keys) > MAX_USERS:
            raise InvalidArgument("user_keys", f"holds {len(user_keys)}, at most {MAX_USERS}")
        if self.applied < minimum_position:
            started = asyncio.get_running_loop().time()
            await self.ingestion.wait_applied(minimum_position, deadline_s * (1.0 - _READING_SHARE))
            deadline_s -= asyncio.get_running_loop().time() - started

        async def read(left_s: float) -> tuple[int, Keys, list[tuple[Any, ...]]]:
            applied = self.applied
            return applied, *await read_users(self.store, USER_FEATURES, user_keys, as_of_us, left_s)

        applied, roots, rows = await self._whole(read, deadline_s)
        schema = self._schema()
        users = tuple(
            state_of(schema, root, dict(zip(USER_NAMES, row, strict=True)), as_of_us, 0 if key == root else key)
            for key, root, row in zip(user_keys.tolist(), roots.tolist(), rows, strict=True)
        )
        return FetchedUsers(users, applied, self.item_table_position)

    @property
    def _seen(self) -> tuple[int, int]:
        """Changes whenever the store may be another one than before."""
        return self.store.connects, self.ingestion.rebuilds

    async def _whole(self, read: Callable[[float], Awaitable[T]], deadline_s: float) -> T:
        """What read() gives, within the seconds it is given: never of a store that came back with less.

        Raises StoreUnavailable while such a store is rebuilt.
        """
        loop = asyncio.get_running_loop()
        ends = loop.time() + deadline_s
        while True:
            found = await read(max(ends - loop.time(), 0.0))
            if self._seen == self._trusted and not self.ingestion.rebuilding:
                return found
            await self._look_again(ends - loop.time())

    async def _look_again(self, deadline_s: float) -> None:
        """Whether a store that was connected to anew holds what was applied. Raises StoreUnavailable."""
        seen = self._seen
        try:
            async with asyncio.timeout(deadline_s):
                await self.ingestion.look_again()
        except TimeoutError:
            raise StoreUnavailable("the online store was connected to anew and did not say what it holds") from None
        self._trusted = seen

    async def _restore_items(self) -> None:
        if self._items is not None:
            await self._items.restore()

    async def fetch_features(
        self, service: str, entity_keys: Keys, as_of_us: int, deadline_s: float
    ) -> list[tuple[str, Column]]:
        """Columns of a feature service by "view:feature". Raises InvalidArgument, StoreUnavailable."""
        store = self._serving(service)
        names = store.plan.services[service]
        if len(entity_keys) > MAX_ENTITIES:
            raise InvalidArgument("entity_keys", f"holds {len(entity_keys)}, at most {MAX_ENTITIES}")

        def read(left_s: float) -> Awaitable[list[Column]]:
            return store.read(names, entity_keys, as_of_us, left_s)

        columns = await (self._whole(read, deadline_s) if store is self.store else read(deadline_s))
        return list(zip(names, columns, strict=True))

    async def write_events(self, events: Sequence[Event], now_us: int) -> Written:
        """Log and apply the valid ones before answering. Raises InvalidArgument, Overloaded, StoreUnavailable."""
        return await self.begin_events(events, now_us).written()

    def begin_events(self, events: Sequence[Event], now_us: int) -> Begun:
        """What write_events() waits for; batches are taken in the order of the calls. Raises as it does, at once."""
        check_batch(len(events), "events")
        kinds = self._event_types()
        taken, rejections = _checked(events, lambda event: check_event(event, now_us, kinds))
        wanted = [event for event in taken if event.consent != CONSENT_NONE]
        begun = self.ingestion.begin(wanted) if wanted else None
        self.dropped_without_consent += len(taken) - len(wanted)
        return Begun(len(taken), rejections, begun)

    async def write_users(self, users: Sequence[UserWrite], now_us: int) -> Written:
        """Replace users' attributes. Raises InvalidArgument, Overloaded, StoreUnavailable."""
        check_batch(len(users), "users")
        taken, rejections = _checked(users, check_user)
        position = await self.ingestion.submit(taken) if taken else 0
        return Written(len(taken), rejections, position)

    async def merge_identities(self, merge: IdentityMerge) -> Merged:
        """Join one identity to a user, durably, before answering.

        Raises InvalidArgument for a merge that may not be, Overloaded, StoreUnavailable.
        """
        check_merge(merge)
        async with self._merging:
            asked = np.array([merge.from_key, merge.into_key], np.int64)
            # In order: after every write before it.
            roots = await self._whole(lambda left_s: roots_of(self.store, asked), _MERGE_DEADLINE_S)
            from_root, into_root = roots.tolist()
            if check_roots(merge, from_root, into_root):
                return Merged(self.applied, already=True)
            return Merged(await self.ingestion.submit([merge]))

    async def write_items(self, items: Sequence[ItemWrite], now_us: int) -> Written:
        """Create or replace items. Raises InvalidArgument, Overloaded, StoreUnavailable."""
        check_batch(len(items), "items")
        # A large picture takes some milliseconds, in which others are answered.
        checked = asyncio.to_thread(_checked, items, self._check_item) if has_files(items) else None
        taken, rejections = await checked if checked else _checked(items, self._check_item)
        position = await self.items.write(taken, now_us) if taken else self.item_table_position
        return Written(len(taken), rejections, position)

    def item_changes(self, from_position: int) -> AsyncIterator[ItemChanges]:
        """A snapshot where one is needed, then changes with rising positions, for ever."""
        return self.items.watch(from_position)

    async def trend_changes(self) -> AsyncIterator[TrendSnapshot]:
        """What is trending now, and again about every second in which that changes, for ever."""
        trend, sent = self.ingestion.trend, -1
        while True:
            if trend.version != sent:
                sent = trend.version
                yield trend.top(TRENDING)
            await asyncio.sleep(TREND_INTERVAL_S)

    def metrics(self) -> dict[str, float]:
        """Counters and gauges by name."""
        return {
            "ingestion_backlog": self.ingestion.backlog,
            "ingestion_repeats": self.ingestion.repeats,
            "ingestion_behind": float(self.ingestion.behind),
            "ingestion_fenced": float(self.ingestion.fenced),
            "log_position": self.ingestion.position,
            "trending_items": len(self.ingestion.trend),
            "dropped_without_consent": self.dropped_without_consent,
        }

    def _serving(self, service: str) -> OnlineStore:
        """The first store whose plan has the feature service."""
        stores = (self.store, *self._others)
        for store in stores:
            if service in store.plan.services:
                return store
        skipped = next((s.plan.skipped[name] for s in stores if (name := f"service {service}") in s.plan.skipped), "")
        known = ", ".join(name for store in stores for name in store.plan.services)
        why = f"it cannot be served: {skipped}" if skipped else f"known are: {known}"
        raise InvalidArgument("feature_service", f"unknown feature service {service!r}; {why}")

    def _check_item(self, item: ItemWrite) -> ItemWrite:
        item = with_read_files(item)
        check_item(item)
        known = self.items.known_id(item.item_key)
        if known is not None and known != item.item_id:
            raise InvalidArgument("item_id", f"{item.item_id!r} has the same key as {known!r}: choose another id")
        return item


def _checked(entries: Sequence[T], check: Callable[[T], T | None]) -> tuple[list[T], tuple[Rejected, ...]]:
    """The valid entries, or what check gives in an entry's place, and why the others are not."""
    taken, rejections = [], []
    for i, entry in enumerate(entries):
        try:
            taken.append(check(entry) or entry)
        except InvalidArgument as error:
            rejections.append(Rejected(i, error.field, error.reason))
    return taken, tuple(rejections)
