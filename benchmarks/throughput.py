"""python -m benchmarks.throughput: durable events a second through gRPC, and whether the projection keeps up.

Every event is in the log, fsynced, and applied to its user's features before its call is answered, so the time from
when a call was due to its answer bounds the lag from arrival to applied from above. First a closed loop for the peak
(labelled so), then an open loop at --rate.
"""

import argparse
import asyncio
import gc
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.accounts import Accounts
from benchmarks.command import run
from benchmarks.door import Door, write_histories
from benchmarks.load import Calls, closed_loop, open_loop
from benchmarks.report import cumulative, plot
from benchmarks.stand import CLIENT, REDIS, SERVER, Stand, add_options, say
from benchmarks.workload import Workload

NAME = "throughput"
_AHEAD = 200
_MEMORY_WARM_S = 60.0
"""By then the event ids that are remembered fill their horizon."""
_SETTLE_S = 2.0
"""After the last call: by then nothing may be left to apply."""


async def measure(stand: Stand, options: argparse.Namespace) -> dict[str, Any]:
    """Figures of one run; leaves a plot in stand.out."""
    workload = Workload.of(stand.bundle, options.users, options.zipf, options.seed)
    async with Door(stand.address) as door:
        await write_histories(door, workload, options.histories)
        written = _Written(door, workload, options.batch)
        peak = await _peak(stand, written, options)
        duration_s = options.events / options.rate
        say(f"open loop: {options.events:,} events at {options.rate:,}/s for {duration_s:.0f} s")
        # A Poisson process of which the number of arrivals is known: all of --events come, at the rate asked.
        due = np.sort(workload.rng.uniform(0.0, duration_s, options.events // options.batch))
        watch = _Watch(stand.accounts(), door, stand, written)
        watching = asyncio.create_task(watch.run(duration_s))
        calls = await written.paced(lambda: open_loop(due, written, time.perf_counter()))
        ended_s = float(np.nanmax(calls.done, initial=1e-9))
        watch.accounts.sample()
        await asyncio.sleep(_SETTLE_S)
        watching.cancel()
        left = await door.status()
    warm_s = min(options.warm, duration_s / 4)
    events = int(np.isfinite(calls.done).sum()) * options.batch
    cores = watch.accounts.cores()
    found = {
        "peak_closed_loop": peak,
        "rate_asked": options.rate,
        "events": events,
        "events_per_s": round(events / ended_s, 1),
        "lag_ms": calls.numbers(warm_s),
        "acknowledged_before_applied": written.early,
        "backlog_max": max(watch.backlog, default=0),
        "backlog_after_2_s": int(left.metrics["ingestion_backlog"]),
        "unapplied_after_2_s": written.token - left.events_applied_through,
        "cores": cores,
        "cpu_us_per_event": {name: round(busy * ended_s * 1e6 / max(events, 1), 1) for name, busy in cores.items()},
        "memory": watch.memory(min(_MEMORY_WARM_S, duration_s / 4)),
        "batch": options.batch,
        "users": options.users,
        "zipf": options.zipf,
    }
    _plot(stand, calls, watch, options)
    return found


class _Written:
    """Calls of WriteEvents, their requests drawn ahead."""

    def __init__(self, door: Door, workload: Workload, batch: int) -> None:
        self.door = door
        self.token = 0
        self.early = 0
        self.events = 0
        self._workload, self._batch = workload, batch
        self._ready: deque[bytes] = deque(workload.requests(_AHEAD, batch))

    async def __call__(self, i: int) -> None:
        request = self._ready.popleft() if self._ready else self._workload.requests(1, self._batch)[0]
        position = (await self.door.write_events(request)).token.position
        self.token = max(self.token, position)
        self.events += self._batch
        if i % 20 == 0:
            self.early += (await self.door.status()).events_applied_through < position

    async def paced(self, run: Callable[[], Awaitable[Calls]]) -> Calls:
        """Run a loop of calls while another task draws what comes next."""
        drawing = asyncio.create_task(self._draw())
        gc.collect()
        gc.freeze()
        try:
            return await run()
        finally:
            drawing.cancel()

    async def _draw(self) -> None:
        while True:
            if len(self._ready) < _AHEAD:
                self._ready.extend(self._workload.requests(1, self._batch))
            await asyncio.sleep(0.001 if len(self._ready) < _AHEAD else 0.02)


async def _peak(stand: Stand, written: _Written, options: argparse.Namespace) -> dict[str, Any]:
    say(f"closed loop: {options.callers} callers for {options.peak_s:g} s")
    accounts = stand.accounts()
    accounts.sample()
    calls = await written.paced(lambda: closed_loop(options.callers, options.peak_s, written, time.perf_counter()))
    accounts.sample()
    events = int(np.isfinite(calls.done).sum()) * options.batch
    cores = accounts.cores()
    wall_s = accounts.at[-1] - accounts.at[0]
    return {
        "events_per_s": round(events / max(options.peak_s, 1e-9), 1),
        "callers": options.callers,
        "failures": dict(calls.failures),
        "cores": cores,
        "cpu_us_per_event": {name: round(busy * wall_s * 1e6 / max(events, 1), 1) for name, busy in cores.items()},
    }


class _Watch:
    """Samples processes, backlog and Redis while the load runs."""

    def __init__(self, accounts: Accounts, door: Door, stand: Stand, written: _Written) -> None:
        self.accounts = accounts
        self.backlog: list[int] = []
        self.redis_mib: list[float] = []
        self.events: list[int] = []
        self._door, self._stand, self._written = door, stand, written

    async def run(self, duration_s: float) -> None:
        """Until cancelled."""
        while True:
            self.accounts.sample()
            self.redis_mib.append(await asyncio.to_thread(self._stand.redis_used_bytes) / 2**20)
            self.events.append(self._written.events)
            self.backlog.append(int((await self._door.status()).metrics["ingestion_backlog"]))
            await asyncio.sleep(min(5.0, max(0.5, duration_s / 200)))

    def memory(self, warm_s: float) -> dict[str, Any]:
        """By process, from the end of the warm-up; Redis's own account of its data beside it."""
        start = self.accounts.at[0]
        first = next((i for i, at in enumerate(self.accounts.at) if at - start >= warm_s), 0)
        first = min(first, len(self.redis_mib) - 1)
        grown = self.redis_mib[-1] - self.redis_mib[first]
        events = max(self.events[-1] - self.events[first], 1)
        return {
            **self.accounts.memory(first),
            "redis_data_mib": [round(self.redis_mib[first], 1), round(self.redis_mib[-1], 1)],
            "redis_bytes_per_event": round(grown * 2**20 / events, 1),
        }


def _plot(stand: Stand, calls: Calls, watch: _Watch, options: argparse.Namespace) -> None:
    lag_ms = (calls.done - calls.due) * 1000
    seconds = [at - watch.accounts.at[0] for at in watch.accounts.at]
    rss = [
        (name, seconds, [usage.rss / 2**20 for usage in watch.accounts.samples[name]])
        for name in (SERVER, REDIS, CLIENT)
    ]
    plot(
        stand.out / f"{NAME}.png",
        [
            ("lag from due to applied and acknowledged", "second", "ms", [("call", calls.due, lag_ms)], "."),
            ("the same, cumulative", "ms", "share of calls", [("", *cumulative(lag_ms[np.isfinite(lag_ms)]))], "-"),
            ("resident memory", "second", "MiB", rss, "-"),
        ],
    )


def main(argv: Sequence[str] | None = None) -> int:
    """0, or 1 with a sentence."""
    return run(NAME, options_of(argv), measure, rows)


def options_of(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.throughput", description=__doc__)
    add_options(parser)
    parser.add_argument("--rate", type=float, default=5100.0, help="events a second of the open loop")
    parser.add_argument("--events", type=int, default=300_000, help="of the open loop; 5000000 is the long form")
    parser.add_argument("--batch", type=int, default=100, help="events a call")
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--histories", type=int, default=0, help="events written before the load")
    parser.add_argument("--zipf", type=float, default=1.0, help="exponent of users and items")
    parser.add_argument("--callers", type=int, default=8, help="of the closed loop")
    parser.add_argument("--peak-s", type=float, default=10.0, help="seconds of the closed loop")
    parser.add_argument("--warm", type=float, default=10.0, help="seconds left out of the latencies")
    return parser.parse_args(argv)


def rows(found: dict[str, Any]) -> list[tuple[str, Any, str]]:
    """The table."""
    lag, memory = found["lag_ms"], found["memory"]
    return [
        ("events/s, open loop", found["events_per_s"], f"{found['rate_asked']:g} asked; at least 5,000"),
        ("events/s, closed loop (peak)", found["peak_closed_loop"]["events_per_s"], ""),
        ("lag p50 / p99 / max, ms", f"{lag['p50']} / {lag['p99']} / {lag['max']}", "p99 under 1,000"),
        ("generator lag p99, ms", lag["generator_lag_p99"], ""),
        ("calls that failed", lag["failed"], "0"),
        ("acknowledged before applied", found["acknowledged_before_applied"], "0"),
        ("backlog 2 s after the end", found["backlog_after_2_s"] + max(found["unapplied_after_2_s"], 0), "0"),
        ("cores: client, server, Redis, others", " ".join(f"{v:.2f}" for v in found["cores"].values()), ""),
        ("CPU us an event", " ".join(f"{k} {v:g}" for k, v in found["cpu_us_per_event"].items()), ""),
        *((f"MiB of {name}", _memory(memory[name]), "flat") for name in (SERVER, REDIS)),
        ("Redis' data, bytes an event", memory["redis_bytes_per_event"], "state grows until histories are full"),
    ]


def _memory(found: dict[str, float]) -> str:
    slope, error = found.get("slope_mib_per_hour"), found.get("slope_error")
    return f"{found['first_mib']} to {found['last_mib']}, {slope} +- {error} an hour"


if __name__ == "__main__":
    sys.exit(main())
