"""From accepted entries to the log and the online store: one task writes, whoever waits shares its fsync.

An entry is answered once it is in the log and applied. Where the store fails in between, the entry is safe in the
log: the task replays from the last applied position until the store answers again, and takes nothing new until then.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

from penchant.errors import LogError, LogFenced, LogUnavailable, Overloaded, PenchantError, StoreUnavailable
from penchant.event_log import EventLog, open_event_log
from penchant.events import Event
from penchant.trend import Trend
from services.feature_store.deduplication import RecentEvents
from services.feature_store.projector import Entry, Projector
from services.feature_store.wire import entry_of, record_of
from services.feature_store.writes import ItemWrite

_ROUND = 4000
"""Entries that share one write to the log."""
_REPLAY_CHUNK = 1000
_RETRY_S = 0.1
_LAST_RETRY_S = 2.0
_APPLIED = "applied"
"""Holds the log up to what is in the online store."""
_POSITIONS_LEFT_OUT = 1_000_000
"""A log that was lost goes on this far after the last known position, beyond anything entities may hold."""


async def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class _Batch:
    """Entries of one call, and who waits for the position of the last."""

    entries: Sequence[Entry]
    done: asyncio.Future[int]


class Ingestion:
    """Owns the event log and the projector. Call start() before anything else."""

    def __init__(
        self,
        projector: Projector,
        log: str,
        max_backlog: int,
        deduplication_events: int,
        report: Callable[[str], None] = lambda message: None,
        reached: Callable[[str], None] = lambda point: None,
        restored: Callable[[], Awaitable[None]] = _nothing,
    ) -> None:
        """log: where logs are, see penchant.event_log.open. reached is told the points of crash_points.py.

        restored is called when a store that came back holds all of the log again: for what else belongs in it.
        """
        self._projector = projector
        self._url = log
        self._max_backlog = max_backlog
        self._report = report
        self._reached = reached
        self._restored = restored
        self._log: EventLog | None = None
        self._recent = RecentEvents(deduplication_events)
        self._remembered = 0
        self._queue: deque[_Batch] = deque()
        self._backlog = 0
        self._wake = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None
        self._progress = asyncio.Condition()
        self.applied = 0
        """Everything up to this log position is in the store."""
        self.behind = False
        self.rebuilding = False
        """The store came back with less than was applied: what it says of users is not to be believed."""
        self.rebuilds = 0
        """Rises when that is found out."""
        self.repeats = 0
        self._fenced = ""
        self._log_is_out = False
        self._turn = asyncio.Lock()
        """Of who uses the log."""
        self._losses = 0

    @property
    def backlog(self) -> int:
        """Entries that are not yet applied."""
        return self._backlog

    @property
    def taking(self) -> bool:
        """Whether entries are taken."""
        return not (self.behind or self._fenced)

    @property
    def fenced(self) -> bool:
        """Whether a newer feature store took the online store over: this one never writes again."""
        return bool(self._fenced)

    @property
    def trend(self) -> Trend:
        """What is trending, by the entries that were applied."""
        return self._projector.trend

    @property
    def position(self) -> int:
        """Of the newest log record."""
        return 0 if self._log is None else self._log.position

    async def start(self, now_us: int) -> None:
        """Open the log, remember its event ids, apply what an unclean stop left unapplied, and take entries.

        Raises LogError, StoreUnavailable.
        """
        applied = await self._projector.applied()
        start = applied + _POSITIONS_LEFT_OUT if applied else 0
        self._log = log = await asyncio.to_thread(
            open_event_log, self._url, start=start, written=lambda: self._reached("after_append")
        )
        try:
            if log.position == start:
                applied = start
            if log.position < applied:
                raise LogError(
                    f"{log} ends at position {log.position}, but the online store has applied {applied}: "
                    "restore the log that belongs to it, or give the store an empty database and materialise it again"
                )
            await asyncio.to_thread(self._remember)
            self.applied = applied
            self._losses = self._projector.losses
            await self._projector.become_newest(now_us)
            await self._projector.mark_applied(applied)
            await self._replay()
        except BaseException:
            await asyncio.to_thread(log.close)
            raise
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Finish what was taken, and give the log back."""
        if self._task is not None:
            self._stopping = True
            self._wake.set()
            await self._task
        if self._log is not None:
            await asyncio.to_thread(self._log.close)

    async def submit(self, entries: Sequence[Entry]) -> int:
        """Log and apply entries in order; the position after which all of them are readable.

        Raises Overloaded when the backlog is full, StoreUnavailable while the store is out, LogError: nothing was
        taken then, except where the message says that the log holds the entries.
        """
        return await asyncio.shield(self.begin(entries))

    def begin(self, entries: Sequence[Entry]) -> asyncio.Future[int]:
        """What submit() waits for; entries of several calls are taken in the order of the calls. Raises as it does."""
        if self._stopping or self._task is None:
            raise StoreUnavailable("the feature store is not running: retry")
        if self._fenced:
            raise LogError(self._fenced)
        if self.behind:
            raise self._out()
        if self._backlog + len(entries) > self._max_backlog:
            raise Overloaded(
                f"{self._backlog} entries wait to be applied, at most {self._max_backlog}: retry later",
                retry_delay_ms=50 + self._backlog // 50,
            )
        batch = _Batch(entries, asyncio.get_running_loop().create_future())
        self._backlog += len(entries)
        self._queue.append(batch)
        self._wake.set()
        return batch.done

    def _out(self) -> StoreUnavailable:
        if self._log_is_out:
            return StoreUnavailable("the event log is out: retry once it answers")
        return StoreUnavailable("the online store is out and the log is ahead of it: retry once it answers")

    async def trim_before(self, position: int, needed_by: Sequence[str]) -> None:
        """Let the log drop entries before a position, but those whose repeats must be known.

        Raises LogError where entries are not applied, or someone in needed_by is not done with them.
        """
        async with self._turn:
            if self._log is None or self.behind or self._stopping:
                return
            position = min(position, self._log.position - self._recent.horizon + 1)
            await asyncio.to_thread(self._log.hold, _APPLIED, self.applied)
            await asyncio.to_thread(self._log.trim_before, position, [_APPLIED, *needed_by])

    async def wait_applied(self, position: int, timeout_s: float) -> None:
        """Wait until a position is applied, or until the time is over."""
        if self.applied >= position or timeout_s <= 0:
            return
        try:
            async with asyncio.timeout(timeout_s), self._progress:
                while self.applied < position:
                    await self._progress.wait()
        except TimeoutError:
            return

    async def look_again(self) -> None:
        """Ask the store what it holds, after a new connection; where it is less, the log is replayed.

        Raises StoreUnavailable while it cannot be asked or is being rebuilt.
        """
        if not self.rebuilding and await self._stored() < self.applied:
            self.behind = True
            self._found_less()
            self._wake.set()
        if self.rebuilding:
            raise StoreUnavailable("the online store came back with less and is being rebuilt from the log")

    def _found_less(self) -> None:
        self.rebuilding = True
        self.rebuilds += 1

    async def _stored(self) -> int:
        try:
            return await self._projector.applied()
        except StoreUnavailable:
            # The first use of a lost connection says no more than that it was lost.
            return await self._projector.applied()

    async def _run(self) -> None:
        while self._queue or not self._stopping:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                batches = [self._queue.popleft()]
                count = len(batches[0].entries)
                while self._queue and count + len(self._queue[0].entries) <= _ROUND:
                    batches.append(self._queue.popleft())
                    count += len(batches[-1].entries)
                try:
                    async with self._turn:
                        await self._take(batches)
                except Exception as error:
                    failure = error if isinstance(error, PenchantError) else LogError(f"ingestion failed: {error!r}")
                    self._report(str(failure))
                    for batch in batches:
                        if not batch.done.done():
                            batch.done.set_exception(failure)
                            batch.done.exception()  # Nobody may be waiting any more.
                finally:
                    self._backlog -= count
                if self.behind:
                    await self._catch_up()
            if self.behind and not self._stopping:
                await self._catch_up()

    async def _take(self, batches: Sequence[_Batch]) -> None:
        log = self._log
        assert log is not None
        if self._fenced or self.behind:
            raise LogError(self._fenced) if self._fenced else self._out()
        fresh: list[Entry] = []
        last: list[int] = []
        """Of each batch: the newest position its entries have; entries of this round count from the log's end."""
        before = log.position
        mine: dict[tuple[str, str], int] = {}
        for batch in batches:
            newest = 0
            for entry in batch.entries:
                known = self._known(entry, mine)
                if known:
                    self.repeats += 1
                    newest = max(newest, known)
                    continue
                fresh.append(entry)
                newest = before + len(fresh)
                if isinstance(entry, Event) and entry.event_id:
                    mine[entry.tenant, entry.event_id] = newest
            last.append(newest)
        if fresh:
            payloads = [record_of(entry, entry.ingest_time_us) for entry in fresh]
            self._reached("before_append")
            try:
                first = await asyncio.to_thread(log.append, payloads)
            except LogUnavailable as error:
                self.behind = self._log_is_out = True
                raise LogUnavailable(
                    f"{error}; it is not known yet whether the log holds the entries: sending them again is safe where "
                    "they carry an event_id"
                ) from None
            except LogFenced as error:
                self._fenced = str(error)
                raise
            self._reached("after_fsync")
            assert first == before + 1
            numbered = list(enumerate(fresh, first))
            self._remember_all(numbered)
            await self._apply(numbered)
        self._reached("before_acknowledgement")
        for batch, position in zip(batches, last, strict=True):
            if not batch.done.done():
                batch.done.set_result(position)

    def _known(self, entry: Entry, mine: dict[tuple[str, str], int]) -> int:
        if not isinstance(entry, Event) or not entry.event_id:
            return 0
        return self._recent.position(entry) or mine.get((entry.tenant, entry.event_id), 0)

    async def _apply(self, entries: Sequence[tuple[int, Entry]]) -> None:
        try:
            if self._losses != self._projector.losses or not await self._projector.owned():
                raise StoreUnavailable("the store may have lost something")
            await self._projector.apply(entries)
            self._reached("between_store_and_offset")
            await self._mark_applied(entries[-1][0])
        except LogError as error:
            self._fenced = str(error)
            raise
        except Exception as error:
            self.behind = True
            # Often it was a connection alone; the entries are in the log, so the replay applies them.
            if await self._caught_up():
                if self._fenced:
                    raise LogError(self._fenced) from None
                return
            raise StoreUnavailable(
                f"{error}; the log holds the entries and they are applied once the store answers: sending them again "
                "is safe where they carry an event_id"
            ) from None
        await self._advance(entries[-1][0])

    async def _mark_applied(self, position: int) -> None:
        """Never in another store than was applied to: somebody else may have been the one to be told of its loss."""
        if self._losses != self._projector.losses:
            raise StoreUnavailable("the store may have lost what was applied")
        await self._projector.mark_applied(position)

    async def _advance(self, position: int) -> None:
        self.applied = position
        async with self._progress:
            self._progress.notify_all()

    async def _catch_up(self) -> None:
        """Replay until the store holds all of the log."""
        wait_s = _RETRY_S
        while not self._stopping and not await self._caught_up():
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, _LAST_RETRY_S)

    async def _caught_up(self) -> bool:
        """Try once to bring the store up to the log, from what it says it has: it may have come back with less."""
        try:
            assert self._log is not None
            await asyncio.to_thread(self._log.recover)
            self._log_is_out = False
            self._losses = self._projector.losses
            stored = await self._projector.applied()
            if stored < self.applied:
                self._report(
                    f"the store came back with position {stored} of {self.applied}: the log is replayed; what was "
                    "materialised has to be loaded again if it is gone as well"
                )
                self.applied = stored
                self._found_less()
            await self._projector.owned()
            await self._mark_applied(self.applied)
            await self._replay()
            await self._restored()
        except LogUnavailable as error:
            self._report(f"the log is out: {error}")
            return False
        except LogError as error:
            self._fenced = str(error)
            self._report(self._fenced)
            return True
        except Exception as error:
            self._report(f"behind the log: {error}")
            return False
        self.behind = self._losses != self._projector.losses
        self.rebuilding = self.rebuilding and self.behind
        return not self.behind

    async def _replay(self) -> None:
        """Apply every record after the last applied position; those that entities already hold are skipped."""
        assert self._log is not None
        oldest = await asyncio.to_thread(self._log.oldest)
        if self.applied + 1 < oldest:
            self._report(
                f"{self._log} begins at position {oldest}, the store holds what was up to {self.applied}: the entries "
                "between are not kept any more, and are missing from the store where it lost them"
            )
        records = await asyncio.to_thread(self._log.read, max(self.applied + 1, oldest))
        while chunk := await asyncio.to_thread(_read_entries, records):
            self._remember_all(chunk)
            await self._projector.apply(chunk)
            self._reached("between_store_and_offset")
            await self._mark_applied(chunk[-1][0])
            await self._advance(chunk[-1][0])

    def _remember(self) -> None:
        """Event ids of the newest records."""
        assert self._log is not None
        records = self._log.read(max(self._log.position - self._recent.horizon + 1, self._log.oldest()))
        while chunk := _read_entries(records):
            self._remember_all(chunk)

    def _remember_all(self, entries: Sequence[tuple[int, Entry]]) -> None:
        """Event ids of records that were not read before, and what they make trending."""
        for position, entry in entries:
            if position > self._remembered and isinstance(entry, Event):
                self._recent.remember(entry, position)
        self._projector.count(entries)
        self._remembered = max(self._remembered, entries[-1][0])


def _read_entries(records: Iterator[tuple[int, bytes]]) -> list[tuple[int, Entry]]:
    """The next records of a log."""
    chunk: list[tuple[int, Entry]] = []
    for position, payload in records:
        entry = entry_of(position, payload)
        assert not isinstance(entry, ItemWrite)
        chunk.append((position, entry))
        if len(chunk) == _REPLAY_CHUNK:
            break
    return chunk
