"""Forgetting: what the event log holds beyond its days is dropped, once everyone who needs it is done with it.

The age of an entry counts back from the newest one, so a store that stood still forgets nothing.
"""

import asyncio
from collections.abc import Callable, Sequence

from penchant.errors import LogError
from penchant.event_log import LogReader, open_log_reader
from services.feature_store.ingestion import Ingestion
from services.feature_store.wire import logged_us

_PERIOD_S = 3600.0
_DAY_US = 86_400_000_000
_FINE = 0.005
"""Of the log: the search for the first entry to keep ends there, for each step reads from a log."""


class Retention:
    """Trims the event log of an ingestion now and then; stop() it before the ingestion."""

    def __init__(
        self, ingestion: Ingestion, log: str, keep_days: float, needed_by: Sequence[str], report: Callable[[str], None]
    ) -> None:
        """needed_by: who else must have said, by LogReader.hold, that it is done with an entry."""
        self._ingestion = ingestion
        self._url = log
        self._keep_us = int(keep_days * _DAY_US)
        self._needed_by = needed_by
        self._report = report
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Trim at once, and then every hour."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Trim no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def trim(self) -> None:
        """Drop what is too old. Raises LogError where someone still needs it."""
        position = await asyncio.to_thread(self._first_to_keep)
        await self._ingestion.trim_before(position, self._needed_by)

    async def _run(self) -> None:
        while True:
            try:
                await self.trim()
            except LogError as error:
                self._report(f"the log keeps more than it is told to: {error}")
            await asyncio.sleep(_PERIOD_S)

    def _first_to_keep(self) -> int:
        reader = open_log_reader(self._url)
        try:
            return first_younger(reader, self._keep_us)
        finally:
            reader.close()


def first_younger(reader: LogReader, keep_us: int) -> int:
    """Position of an entry that is at most keep_us older than the newest; entries before it are older, or few."""
    low, high = reader.oldest(), reader.newest()
    if high < low:
        return low
    kept_from_us = _time_us(reader, high) - keep_us
    if _time_us(reader, low) >= kept_from_us:
        return low
    step = max(1, int(_FINE * (high - low)))
    while high - low > step:
        middle = (low + high) // 2
        if _time_us(reader, middle) < kept_from_us:
            low = middle
        else:
            high = middle
    # The one before may be too old as well; but what is dropped is.
    return low + 1 if step == 1 else low


def _time_us(reader: LogReader, position: int) -> int:
    return logged_us(next(iter(reader.read(position)))[1])
