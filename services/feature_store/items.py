"""Written items: a log of their own, the newest change of each, and those who watch.

The log's positions are the item-table positions: they rise by one a change.
"""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from penchant.errors import LogError, Overloaded, StoreUnavailable
from penchant.event_log import EventLog, Record
from penchant.item_table import ItemChange
from services.feature_store.column import blobs, scalars
from services.feature_store.store import OnlineStore
from services.feature_store.wire import entry_of, record_of
from services.feature_store.writes import ItemWrite

RECENT = 10_000
"""Changes that a watcher can catch up with one by one; an older position gets a snapshot."""
RUN = 1000
"""Changes in one message."""
_MAX_WAITING = 10_000
"""Items; beyond it writers are refused."""
_CHECKPOINT = "item_counters:applied_position"
"""Of key 0: everything up to this position is in the store."""
_NOTHING = np.zeros(1, np.int64)


@dataclass(frozen=True, slots=True)
class ItemChanges:
    """A run of changes in position order; snapshot: forget what you hold."""

    snapshot: bool
    changes: tuple[ItemChange, ...]
    position: int


@dataclass(frozen=True, slots=True)
class _Batch:
    """Records of one call, and who waits for the position of the last."""

    payloads: Sequence[bytes]
    done: asyncio.Future[int]


class ItemJournal:
    """Takes in item writes one batch after another, and tells watchers."""

    def __init__(self, store: OnlineStore, log: EventLog) -> None:
        """Reads the whole log; closes it where that fails. Raises LogError."""
        self._store = store
        self._log = log
        self._newest: dict[int, ItemChange] = {}
        self._recent: deque[ItemChange] = deque(maxlen=RECENT)
        self._unwritten: dict[int, ItemChange] = {}
        """Changes of the log that the online store may not hold yet."""
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._queue: list[_Batch] = []
        self._rounds: set[asyncio.Task[None]] = set()
        self._heard_us = 0
        self._losses = store.losses
        self._changed = asyncio.Condition()
        self._position = log.position
        try:
            for position, payload in log.read(log.oldest()):
                self._take(position, payload)
        except BaseException:
            log.close()
            raise

    @property
    def position(self) -> int:
        """Of the newest published change."""
        return self._position

    def known_id(self, item_key: int) -> str | None:
        """The id last written under a key."""
        change = self._newest.get(item_key)
        return None if change is None else change.item_id

    async def write(self, items: Sequence[ItemWrite], now_us: int) -> int:
        """Log, publish and store items; the position after them. Raises Overloaded, LogError, StoreUnavailable."""
        if self._waiting + len(items) > _MAX_WAITING:
            raise Overloaded(f"{self._waiting} items are waiting, at most {_MAX_WAITING}: retry later", 200)
        self._heard_us = max(self._heard_us, now_us)
        batch = _Batch([record_of(item, now_us) for item in items], asyncio.get_running_loop().create_future())
        self._waiting += len(items)
        self._queue.append(batch)
        # A caller that leaves must not tear a write in two: what is in the log is published and stored.
        task = asyncio.ensure_future(self._round(now_us))
        self._rounds.add(task)
        task.add_done_callback(self._rounds.discard)
        return await asyncio.shield(batch.done)

    async def _round(self, now_us: int) -> None:
        """Write all that wait, as one: whoever came while the last round ran shares this one's fsync."""
        async with self._turn:
            batches, self._queue = self._queue, []
            if not batches:
                return
            try:
                ends = await self._write_together([batch.payloads for batch in batches], now_us)
                for batch, end in zip(batches, ends, strict=True):
                    if not batch.done.done():
                        batch.done.set_result(end)
            except Exception as error:
                for batch in batches:
                    if not batch.done.done():
                        batch.done.set_exception(error)
                        batch.done.exception()  # Nobody may be waiting any more.
            finally:
                self._waiting -= sum(len(batch.payloads) for batch in batches)

    async def _write_together(self, batches: Sequence[Sequence[bytes]], now_us: int) -> list[int]:
        """Log, publish and store batches; the position of each one's last item."""
        payloads = [payload for batch in batches for payload in batch]
        # First what an append did after all that was given up on.
        missed = await asyncio.to_thread(self._missed)
        first = await asyncio.to_thread(self._log.append, payloads)
        for position, payload in [*missed, *enumerate(payloads, first)]:
            change = self._take(position, payload)
            self._unwritten[change.item_key] = change
        async with self._changed:
            self._changed.notify_all()
        await self._store_unwritten(now_us)
        return [first - 1 + count for count in accumulate(map(len, batches))]

    async def recover(self, now_us: int) -> None:
        """Bring the online store up to the log: whole items, so writing one twice changes nothing."""
        self._heard_us = max(self._heard_us, now_us)
        async with self._turn:
            await self._look_again(now_us)
            await self._store_unwritten(now_us)

    async def restore(self) -> None:
        """Recover a store that came back with less, as of the newest time any caller gave."""
        await self.recover(self._heard_us)

    async def _look_again(self, now_us: int) -> None:
        """Find out what the store does not hold."""
        losses = self._store.losses
        (stored,) = await self._store.read([_CHECKPOINT], _NOTHING, now_us)
        through = int(stored.cell(0) or 0)
        # A position beyond the log is of a log that is gone: all is written anew.
        through = through if through <= self._position else 0
        missing = {key: change for key, change in self._newest.items() if change.position > through}
        self._unwritten = {**missing, **self._unwritten}
        # Only now: where the store could not be asked, it is asked again before anything is written.
        self._losses = losses

    async def watch(self, from_position: int) -> AsyncIterator[ItemChanges]:
        """Changes after a position, for ever; a snapshot first where single changes are no longer held."""
        at = from_position
        held_from = self._recent[0].position if self._recent else self.position + 1
        if at <= 0 or at > self.position or at + 1 < held_from:
            changes = sorted(self._newest.values(), key=lambda change: change.position)
            at = self.position
            for i, run in enumerate(_runs(changes) or [()]):
                last = i == (len(changes) - 1) // RUN if changes else True
                yield ItemChanges(i == 0, run, at if last else run[-1].position)
        else:
            yield ItemChanges(False, (), at)
        while True:
            async with self._changed:
                while self._position <= at:
                    await self._changed.wait()
            if self._recent[0].position > at + 1:
                # Overtaken while the watcher was slow: what it missed is no longer held one by one.
                missed = sorted(
                    (c for c in self._newest.values() if c.position > at), key=lambda change: change.position
                )
            else:
                missed = [change for change in self._recent if change.position > at]
            for run in _runs(missed):
                at = run[-1].position
                yield ItemChanges(False, run, at)

    def close(self) -> None:
        """Give the log back."""
        self._log.close()

    def _missed(self) -> list[Record]:
        """Records of the log that were not taken in. Raises LogError."""
        self._log.recover()
        return list(self._log.read(self._position + 1)) if self._log.position > self._position else []

    def _take(self, position: int, payload: bytes) -> ItemChange:
        item = entry_of(position, payload)
        if not isinstance(item, ItemWrite):
            raise LogError(f"{self._log}: record {position} is no item: it is another log, restore the right one")
        change = ItemChange(
            position, item.item_key, item.item_id, item.deleted, item.available, item.attributes, item.created_us
        )
        self._newest[change.item_key] = change
        self._recent.append(change)
        self._position = change.position
        return change

    async def _store_unwritten(self, now_us: int) -> None:
        for last_try in (False, True):
            try:
                if self._losses != self._store.losses:
                    await self._look_again(now_us)
                changes = list(self._unwritten.values())
                for start in range(0, len(changes), RUN):
                    await self._write(changes[start : start + RUN], now_us)
                if self._losses != self._store.losses:
                    raise StoreUnavailable("the store may have lost the items again")
                checkpoint = scalars("int64", np.array([self._position]))
                await self._store.write(_NOTHING, {_CHECKPOINT: checkpoint}, {"item_counters": np.array([now_us])})
            except StoreUnavailable as error:
                if last_try:
                    raise StoreUnavailable(
                        f"{error}; the items are in the log and are stored once it answers: sending them again is safe"
                    ) from None
            else:
                self._unwritten.clear()
                return

    async def _write(self, changes: Sequence[ItemChange], now_us: int) -> None:
        attributes = [json.dumps(dict(change.attributes), sort_keys=True).encode() for change in changes]
        await self._store.write(
            np.array([change.item_key for change in changes], np.int64),
            {
                "item_attributes:item_id": blobs("string", [change.item_id.encode() for change in changes]),
                "item_attributes:attributes_json": blobs("string", attributes),
                "item_attributes:created_us": scalars("int64", np.array([c.created_us for c in changes])),
                "item_attributes:available": scalars(
                    "int64", np.array([int(c.available and not c.deleted) for c in changes])
                ),
            },
            {"item_attributes": np.full(len(changes), now_us, np.int64)},
        )


def _runs(changes: Sequence[ItemChange]) -> list[tuple[ItemChange, ...]]:
    return [tuple(changes[start : start + RUN]) for start in range(0, len(changes), RUN)]
