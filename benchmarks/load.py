"""The load: arrivals drawn ahead, calls sent when they are due, latency from the time they were due.

Open loop: a slow answer delays no later call, so a server that falls behind shows as latency and not as a lower rate.
The generator is a process on the same cores: how late it began calls (its lag) stands beside every latency.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Seconds = NDArray[np.float64]
Call = Callable[[int], Awaitable[None]]
"""Makes call number i; whatever it raises is a failure of that call."""


def poisson(rate: float, duration_s: float, rng: np.random.Generator) -> Seconds:
    """Times of arrival within a duration, ascending, in seconds from the start."""
    count = rng.poisson(rate * duration_s)
    return np.sort(rng.uniform(0.0, duration_s, count))


@dataclass(slots=True)
class Calls:
    """N calls: when each was due, begun and done, in seconds from the start; done is NaN for one that failed."""

    due: Seconds
    begun: Seconds
    done: Seconds
    failures: Counter[str] = field(default_factory=Counter)

    def numbers(self, warm_s: float = 0.0) -> dict[str, Any]:
        """Latency from the time a call was due, and the generator's own lag, both in ms, without the warm-up."""
        measured = self.due >= warm_s
        lag_ms = (self.begun - self.due)[measured] * 1000
        return {
            **quantiles((self.done - self.due)[measured] * 1000),
            "generator_lag_p99": _rounded(np.quantile(lag_ms, 0.99)) if len(lag_ms) else None,
            "failed": sum(self.failures.values()),
            "failures": dict(self.failures),
        }


async def open_loop(due: Seconds, call: Call, start: float, stop: asyncio.Event | None = None) -> Calls:
    """Make call i at start + due[i] (time.perf_counter), whatever became of the others; returns when all are done.

    stop: set, no more calls are begun.
    """
    calls = Calls(due, np.full(len(due), np.nan), np.full(len(due), np.nan))
    running: set[asyncio.Task[None]] = set()
    for i, at in enumerate(due.tolist()):
        if stop is not None and stop.is_set():
            calls = Calls(due[:i], calls.begun[:i], calls.done[:i], calls.failures)
            break
        wait_s = start + at - time.perf_counter()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        task = asyncio.create_task(_one(calls, i, call, start))
        running.add(task)
        task.add_done_callback(running.discard)
    while running:
        await asyncio.wait(set(running))
    return calls


async def closed_loop(callers: int, duration_s: float, call: Call, start: float) -> Calls:
    """Each caller makes its next call when the last is answered: the peak rate, no measure of latency under load."""
    begun: list[float] = []
    done: list[float] = []
    failures: Counter[str] = Counter()
    turn = iter(range(1 << 62))

    async def caller() -> None:
        while (now := time.perf_counter() - start) < duration_s:
            i = next(turn)
            try:
                await call(i)
            except Exception as error:
                failures[_name(error)] += 1
                await asyncio.sleep(0.05)
                continue
            begun.append(now)
            done.append(time.perf_counter() - start)

    await asyncio.gather(*(caller() for _ in range(callers)))
    at = np.array(begun)
    return Calls(at, at, np.array(done), failures)


async def _one(calls: Calls, i: int, call: Call, start: float) -> None:
    calls.begun[i] = time.perf_counter() - start
    try:
        await call(i)
    except Exception as error:
        calls.failures[_name(error)] += 1
        return
    calls.done[i] = time.perf_counter() - start


def _name(error: Exception) -> str:
    code = getattr(error, "code", None)
    return str(code().name) if callable(code) else type(error).__name__


def quantiles(values: NDArray[np.float64]) -> dict[str, Any]:
    """p50, p99, the largest and how many, of what is a number."""
    found = values[np.isfinite(values)]
    if len(found) == 0:
        return {"p50": None, "p99": None, "max": None, "count": 0}
    p50, p99 = np.quantile(found, [0.5, 0.99])
    return {"p50": _rounded(p50), "p99": _rounded(p99), "max": _rounded(found.max()), "count": len(found)}


def _rounded(value: Any) -> float:
    return round(float(value), 3)
