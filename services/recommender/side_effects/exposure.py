"""What was shown, written to the exposure log after the response; it can fail without anyone waiting for it."""

import asyncio
import random
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from penchant.errors import LogError
from penchant.segments import SegmentWriter
from services.recommender.query import Query, Removed, Slate
from services.runtime.logs import logger

_log = logger("exposures")


_GATHER_S = 0.1
"""Slates of so long are written together: a thread hop a slate would cost more than the write."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """One slate as the log keeps it, columns in slate order; the wire form is services/recommender/wire.py's."""

    slate: Slate
    degraded_stages: tuple[str, ...]


def sampled(recommendation_id: str, rate: float) -> bool:
    """Whether this request's feature rows are logged: decided by its id, so that a replay decides the same."""
    return rate > 0.0 and random.Random(recommendation_id).random() < rate


@dataclass(slots=True)
class ExposureLog:
    """Encodes and appends in a thread of its own, in batches; what does not fit the queue is dropped and counted."""

    writer: SegmentWriter
    encode: Callable[["Exposure"], bytes]
    queue_length: int = 2000
    written: int = 0
    dropped: int = 0
    _queue: deque[Exposure] = field(default_factory=deque)
    _task: asyncio.Task[None] | None = None
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "exposures"))

    def __call__(self, query: Query, slate: Slate, removed: Removed) -> None:
        """Take one slate; never waits, never raises."""
        if len(self._queue) >= self.queue_length:
            self.dropped += 1
            return
        self._queue.append(Exposure(slate, tuple(query.degraded.stages)))
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._drain())

    async def _drain(self) -> None:
        await asyncio.sleep(_GATHER_S)
        loop = asyncio.get_running_loop()
        while self._queue:
            batch = [self._queue.popleft() for _ in range(min(len(self._queue), 256))]
            try:
                await loop.run_in_executor(self._thread, self._write, batch)
                self.written += len(batch)
            except (LogError, OSError) as error:
                if self.dropped == 0:
                    _log.warning("exposures are being dropped", reason=str(error))
                self.dropped += len(batch)

    def _write(self, batch: list[Exposure]) -> None:
        self.writer.append([self.encode(exposure) for exposure in batch])

    async def close(self) -> None:
        """Write what is waiting and give the folder back."""
        if self._task is not None:
            await self._task
        self._thread.shutdown()
        self.writer.close()
