"""Test, then learn, through the front door: a slate is asked for before each event, and the event sent after it."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from penchant.events import EVENT_TYPES, EventType
from penchant.item_table import ItemTable
from penchant.v1 import recommender_service_pb2
from training.data.dataset import Dataset
from training.data.split import history_mask
from training.evaluation.door import IN_FLIGHT, Door
from training.evaluation.metrics import LIST_LENGTH, Lists
from training.evaluation.protocol import TargetSet, Timeline, event_columns, timelines
from training.replay.popularity import WindowedPopularity
from training.replay.sessions import session_starts

SYSTEMS = ("live", "frozen", "co_visitation", "popularity")
WINDOW_US = 7 * 86_400 * 1_000_000


@dataclass(slots=True)
class Played:
    """Slates by system int64 [T, LIST_LENGTH]; ages [T]: which event of its user each target is, from 1; freshness
    in milliseconds, an entry a written event."""

    slates: dict[str, Lists]
    ages: NDArray[np.int64]
    freshness_ms: list[float] = field(default_factory=list)
    unsatisfied_tokens: int = 0


@dataclass(slots=True)
class _Life:
    """One user on the way through the replay."""

    line: Timeline
    starts: NDArray[np.bool_]
    history: NDArray[np.bool_]
    """Which of line.events enter histories."""
    next_target: int = 0
    written: int = 0
    frozen: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


async def play(
    door: Door, dataset: Dataset, targets: TargetSet, table: ItemTable, progress: Callable[[int], None]
) -> Played:
    """Every target in the order of time; a user's events keep their order, users overlap IN_FLIGHT at a time.

    Raises ServerMismatchError if the stack refuses an event or moves on to another bundle.
    """
    history = history_mask(dataset)
    lives = {
        line.user: _Life(line, session_starts(dataset, line.events), history[line.events])
        for line in timelines(dataset, targets)
    }
    played = Played(
        {s: np.zeros((len(targets), LIST_LENGTH), np.int64) for s in SYSTEMS}, np.zeros(len(targets), np.int64)
    )
    slots = asyncio.Semaphore(IN_FLIGHT)
    popularity = _Popularity(dataset, table, targets)
    running: set[asyncio.Task[None]] = set()
    for place in np.argsort(dataset.events.times[targets.events], kind="stable").tolist():
        # Targets are in (user, time) order, so a user's places come up in the user's own order.
        played.slates["popularity"][place] = popularity.slate(place)
        await slots.acquire()
        task = asyncio.create_task(_one(door, dataset, lives[int(targets.users[place])], place, played, slots))
        running.add(task)
        task.add_done_callback(running.discard)
        if failed := next((t for t in running if t.done() and t.exception()), None):
            failed.result()
        progress(1)
    await asyncio.gather(*running)
    return played


async def _one(door: Door, dataset: Dataset, life: _Life, place: int, played: Played, slots: asyncio.Semaphore) -> None:
    """One target: what precedes it is written, the slates are asked for."""
    try:
        async with life.lock:
            line = life.line
            if life.next_target == 0:
                await door.write_user(line.user)
            at = int(line.target_at[life.next_target])
            life.next_target += 1
            token = None
            if at > life.written:
                token = await door.write_events(line.user, line.events[life.written : at])
            acknowledged = time.perf_counter()
            as_of_us = int(dataset.events.times[line.events[at]])
            model = recommender_service_pb2.RANKING_MODEL
            rows, answer = await door.ask(line.user, as_of_us, token, model)
            if token is not None:
                if answer.versions.events_applied_through >= token.position:
                    played.freshness_ms.append(1000 * (time.perf_counter() - acknowledged))
                played.unsatisfied_tokens += not answer.token_satisfied
            played.slates["live"][place, : len(rows)] = rows
            if life.starts[life.written : at + 1].any() or len(life.frozen) == 0:
                life.frozen = rows
            life.written = at
            acted_on = [door.rows.get(dataset.item_ids[i], 0) for i in acted_on_before(dataset, line, at).tolist()]
            frozen = life.frozen[~np.isin(life.frozen, acted_on)]
            played.slates["frozen"][place, : len(frozen)] = frozen
            retrieval = recommender_service_pb2.RANKING_RETRIEVAL
            lone, _ = await door.ask(line.user, as_of_us, token, retrieval, sources=("co_visitation",))
            played.slates["co_visitation"][place, : len(lone)] = lone
            played.ages[place] = 1 + np.count_nonzero(life.history[:at])
    finally:
        slots.release()


def acted_on_before(dataset: Dataset, line: Timeline, at: int) -> NDArray[np.int64]:
    """Items that the front door leaves out of later slates, too: a cached list is at least filtered.

    Those of acts that enter histories or hide; what was merely shown or viewed may be shown again.
    """
    by_type = np.array(
        [name in EVENT_TYPES and _leaves_out(EVENT_TYPES[name]) for name in dataset.event_types], np.bool_
    )
    events = line.events[:at]
    events = events[by_type[dataset.events.types[events]]]
    items = dataset.events.items[events]
    return np.asarray(items[items >= 0], np.int64)


def _leaves_out(kind: EventType) -> bool:
    return kind.in_history or kind.hides


class _Popularity:
    """Windowed popularity at each target, over every user's history events."""

    def __init__(self, dataset: Dataset, table: ItemTable, targets: TargetSet) -> None:
        columns = event_columns(dataset)
        self._index = np.flatnonzero(history_mask(dataset))
        self._rows = table.rows_of(columns.item_keys[self._index]).astype(np.int64)
        self._times = columns.times[self._index]
        self._users = dataset.events.users[self._index]
        self._window = WindowedPopularity(table.row_count, WINDOW_US)
        self._targets = targets
        self._next = 0
        self._seen: dict[int, list[int]] = {}

    def slate(self, place: int) -> Lists:
        """The slate just before a target; targets must come in the order of time."""
        event = int(self._targets.events[place])
        while self._next < len(self._index) and self._index[self._next] < event:
            row = int(self._rows[self._next])
            self._window.add(int(self._times[self._next]), row)
            self._seen.setdefault(int(self._users[self._next]), []).append(row)
            self._next += 1
        forbidden = np.array(self._seen.get(int(self._targets.users[place]), [0]), np.int64)
        slate = np.zeros(LIST_LENGTH, np.int64)
        top = self._window.top(forbidden)
        slate[: len(top)] = top
        return slate
