"""python -m benchmarks.slates: what a slate costs through the front door, beside the floor of the same run.

500 candidates ranked, 20 on the slate by MMR, a real Redis with a population that has a past, users by Zipf's law, and
events of the same users all the while. A closed loop for the peak (labelled so) and the CPU a slate of every process;
then an open loop at half that peak for the latency. Before and after them the floor (benchmarks.floor) over users of
the same law: on a shared machine the same work costs now this, now that.
"""

import argparse
import asyncio
import contextlib
import gc
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from benchmarks.accounts import Accounts
from benchmarks.catalogue import extended
from benchmarks.command import run
from benchmarks.door import Door
from benchmarks.floor import REDIS_VARIABLE
from benchmarks.load import Calls, closed_loop, open_loop, poisson
from benchmarks.population import write_population
from benchmarks.report import cumulative, plot
from benchmarks.stand import CLIENT, REDIS, Stand, add_options, say, trained
from benchmarks.workload import Workload, request_of
from penchant import ids
from penchant.bundle import read_manifest
from penchant.errors import PenchantError, ProcessFailed
from stack.layout import KINDS, ROOT

NAME = "slates"
_PLACEMENT = "diverse"
"""The policy's placement with MMR."""
_SLATE = 20
_HITS, _MISSES = "user_cache_hits", "user_cache_misses"


async def measure(stand: Stand, options: argparse.Namespace) -> dict[str, Any]:
    """Figures of one run; leaves a plot in stand.out."""
    workload = Workload.of(stand.bundle, options.users, options.zipf, options.seed)
    mean = await write_population(
        stand.bundle, stand.layout.plan, stand.redis_url, workload, options.users, options.history
    )  # fmt: skip
    async with Door(stand.address) as door, contextlib.AsyncExitStack() as stack:
        counters = door
        if stand.layout.kind != "standalone":
            counters = await stack.enter_async_context(Door(f"127.0.0.1:{stand.layout.ports['candidate_gen']}"))
        asked = _Asked(door, workload, options.events)
        floors = [_floor(stand, workload, options)]
        say(f"warm-up: {options.warm:g} s")
        await closed_loop(options.callers, options.warm, asked, time.perf_counter())
        gc.collect()
        gc.freeze()
        peak = await _peak(stand, counters, asked, options)
        windows = await _windows(stand, asked, peak["slates_per_s"], options)
    floors.append(_floor(stand, workload, options))
    floor = {**floors[1], "cpu_ms_a_slate": round(float(np.mean([one["cpu_ms_a_slate"] for one in floors])), 4)}
    best = min(windows, key=lambda window: window["p99"] or np.inf)
    return {
        "services": stand.layout.kind,
        "items": read_manifest(stand.bundle).item_count,
        "bundle": stand.bundle.name,
        "users": options.users,
        "zipf": options.zipf,
        "mean_history": round(mean, 1),
        "events_a_slate": options.events,
        "peak_closed_loop": peak,
        "open_loop": {"best": best, "windows": windows},
        "floor": floor,
        "floor_before_and_after": [one["cpu_ms_a_slate"] for one in floors],
        "ratio": round(peak["cpu_ms_a_slate"]["all"] / floor["cpu_ms_a_slate"], 3),
        "degraded": dict(asked.degraded),
        "short_slates": asked.short,
        "events_failed": asked.events_failed,
    }


@dataclass(slots=True)
class _Asked:
    """Calls for slates, users drawn ahead; after every 1 / events of them an event of the same user, aside."""

    door: Door
    workload: Workload
    events: float
    degraded: Counter[str] = field(default_factory=Counter)
    short: int = 0
    events_failed: int = 0
    _due: float = 0.0
    _drawn: list[str] = field(default_factory=list)
    _writing: set[asyncio.Task[None]] = field(default_factory=set)

    async def __call__(self, i: int) -> None:
        if not self._drawn:
            self._drawn = self.workload.draw_users(10_000)
        user = self._drawn.pop()
        answer = await self.door.slate(user, _SLATE, placement=_PLACEMENT)
        self.short += len(answer.items) < _SLATE
        if answer.degraded_stages:
            self.degraded.update(answer.degraded_stages)
        self._due += self.events
        if self._due >= 1.0:
            self._due -= 1.0
            task = asyncio.create_task(self._write(user))
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)

    async def settle(self) -> None:
        """Wait for the events that are on their way."""
        while self._writing:
            await asyncio.wait(set(self._writing))

    async def _write(self, user: str) -> None:
        try:
            await self.door.write_events(request_of([self.workload.event_of(user)]))
        except (grpc.aio.AioRpcError, ValueError):
            self.events_failed += 1


async def _peak(stand: Stand, counters: Door, asked: _Asked, options: argparse.Namespace) -> dict[str, Any]:
    say(f"closed loop: {options.callers} callers for {options.peak_s:g} s")
    accounts, before = stand.accounts(), await _numbers(counters)
    accounts.sample()
    calls = await closed_loop(options.callers, options.peak_s, asked, time.perf_counter())
    await asked.settle()
    accounts.sample()
    after = await _numbers(counters)
    slates = int(np.isfinite(calls.done).sum())
    hits, misses = (after.get(name, 0.0) - before.get(name, 0.0) for name in (_HITS, _MISSES))
    return {
        "slates_per_s": round(slates / float(np.nanmax(calls.done, initial=1e-9)), 1),
        "callers": options.callers,
        "failures": dict(calls.failures),
        "cores": accounts.cores(),
        "cpu_ms_a_slate": _cpu_ms(accounts, slates),
        "user_cache_hit_rate": round(hits / (hits + misses), 4) if hits + misses else None,
    }


async def _windows(stand: Stand, asked: _Asked, peak: float, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Open loop at half of the peak, or as asked: of each window the latencies and the CPU."""
    rate = options.rate or peak / 2
    found: list[dict[str, Any]] = []
    shown: list[Calls] = []
    for number in range(options.windows):
        say(f"open loop: window {number + 1} of {options.windows}, {rate:.0f} slates/s for {options.window_s:g} s")
        accounts = stand.accounts()
        due = poisson(rate, options.window_s, asked.workload.rng)
        accounts.sample()
        calls = await open_loop(due, asked, time.perf_counter())
        await asked.settle()
        accounts.sample()
        shown.append(calls)
        numbers = calls.numbers(options.window_s / 10)
        cpu_ms = _cpu_ms(accounts, int(np.isfinite(calls.done).sum()))
        found.append({"rate": round(rate, 1), **numbers, "cores": accounts.cores(), "cpu_ms_a_slate": cpu_ms})
    _plot(stand, shown)
    return found


def _floor(stand: Stand, workload: Workload, options: argparse.Namespace) -> dict[str, Any]:
    """The floor over as many slates of users drawn by the same law, in a process of its own; Redis' part added."""
    say(f"floor: {options.floor_slates:,} slates")
    asking = stand.out / "floor.users.npy"
    np.save(asking, ids.keys("", workload.draw_users(options.floor_slates)))
    accounts = Accounts({name: pid for name, pid in stand.accounts().pids.items() if name == REDIS})
    accounts.sample()
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.floor", "--bundle", stand.bundle, "--plan", stand.layout.plan,
         "--users", asking],
        cwd=ROOT, env={**os.environ, REDIS_VARIABLE: stand.redis_url}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    accounts.sample()
    asking.unlink()
    if done.returncode:
        raise ProcessFailed(f"the floor ended with status {done.returncode}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    redis_ms = _cpu_ms(accounts, options.floor_slates)[REDIS]
    return {**found, "redis_cpu_ms": redis_ms, "cpu_ms_a_slate": round(found["cpu_ms"] + redis_ms, 4)}


def _cpu_ms(accounts: Accounts, slates: int) -> dict[str, float]:
    """CPU a slate by process; "all" is every process but the load's own."""
    used = {name: s[-1].cpu_s - s[0].cpu_s for name, s in accounts.samples.items() if name in accounts.pids}
    each = {name: round(seconds / max(slates, 1) * 1000, 4) for name, seconds in used.items()}
    return {**each, "all": round(sum(ms for name, ms in each.items() if name != CLIENT), 4)}


async def _numbers(door: Door) -> dict[str, float]:
    return dict((await door.status()).metrics)


def _plot(stand: Stand, windows: Sequence[Calls]) -> None:
    latencies = [(calls.due, (calls.done - calls.due) * 1000) for calls in windows]
    each = [(f"window {i + 1}", due, ms) for i, (due, ms) in enumerate(latencies)]
    shares = [(label, *cumulative(ms[np.isfinite(ms)])) for label, _, ms in each]
    plot(
        stand.out / f"{NAME}.png",
        [
            ("latency of a slate from when it was due, open loop", "second", "ms", each, "."),
            ("the same, cumulative", "ms", "share of slates", shares, "-"),
        ],
    )


def main(argv: Sequence[str] | None = None) -> int:
    """0, or 1 with a sentence."""
    options = options_of(argv)
    try:
        options.bundles = served(options)
    except PenchantError as error:
        say(f"error: {error}")
        return 1
    return run(f"{NAME}-{options.services}", options, measure, rows)


def served(options: argparse.Namespace) -> Path:
    """The folder of bundles to serve: as given or trained, and extended to --items. Raises PenchantError."""
    run_folder: Path = options.run.resolve()
    bundles = trained(options, run_folder) if options.bundles is None else Path(options.bundles).resolve()
    if not options.items:
        return bundles
    out = run_folder / f"{options.items}-items"
    extended(bundles, options.items, out)
    return out


def options_of(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.slates", description=__doc__)
    add_options(parser)
    parser.add_argument("--services", choices=KINDS, default="standalone")
    parser.add_argument("--items", type=int, default=0, help="extend the bundle to so many, see benchmarks.catalogue")
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--history", type=int, default=50, help="items of a user's past, on average")
    parser.add_argument("--zipf", type=float, default=1.0, help="exponent of users and of items acted on")
    parser.add_argument("--events", type=float, default=0.2, help="a slate, each a call of its own")
    parser.add_argument("--callers", type=int, default=8, help="of the closed loop")
    parser.add_argument("--warm", type=float, default=10.0, help="seconds before anything is measured")
    parser.add_argument("--peak-s", type=float, default=20.0, help="seconds of the closed loop")
    parser.add_argument("--rate", type=float, default=0.0, help="slates a second of the open loop; 0 is half the peak")
    parser.add_argument("--windows", type=int, default=3, help="of the open loop")
    parser.add_argument("--window-s", type=float, default=20.0)
    parser.add_argument("--floor-slates", type=int, default=5000)
    return parser.parse_args(argv)


def rows(found: dict[str, Any]) -> list[tuple[str, Any, str]]:
    """The table."""
    separate = found["services"] == "separate"
    peak, best, floor = found["peak_closed_loop"], found["open_loop"]["best"], found["floor"]
    hop = "the floor + 0.5 a hop" if separate else "at most 1.3 times the floor"
    return [
        ("services, items, users", f"{found['services']}, {found['items']:,}, {found['users']:,}", ""),
        ("slates/s, closed loop (peak)", peak["slates_per_s"], "at least 400" if separate else "at least 800"),
        ("CPU ms a slate, without the load's", peak["cpu_ms_a_slate"]["all"], hop),
        ("  by process", " ".join(f"{k} {v:g}" for k, v in peak["cpu_ms_a_slate"].items() if k != "all"), ""),
        ("CPU ms a slate, open loop", best["cpu_ms_a_slate"]["all"], ""),
        ("floor: CPU ms a slate, mean of two", floor["cpu_ms_a_slate"], f"of it Redis {floor['redis_cpu_ms']:g}"),
        ("ratio to the floor", found["ratio"], "" if separate else "at most 1.3"),
        ("user-cache hit rate: server, floor", f"{peak['user_cache_hit_rate']}, {floor['user_cache_hit_rate']}", ""),
        (
            f"p50 / p99 / max at {best['rate']:g}/s, ms",
            f"{best['p50']} / {best['p99']} / {best['max']}",
            "p99 at most 40 at 150/s" if separate else "p99 at most 20",
        ),
        ("p99 of every window", " ".join(str(one["p99"]) for one in found["open_loop"]["windows"]), ""),
        ("generator lag p99, ms", best["generator_lag_p99"], ""),
        ("failed; short slates; degraded", f"{_failed(found)}; {found['short_slates']}; {found['degraded']}", "0"),
        ("cores: closed loop", " ".join(f"{k} {v:.2f}" for k, v in peak["cores"].items()), ""),
    ]


def _failed(found: dict[str, Any]) -> int:
    closed = sum(found["peak_closed_loop"]["failures"].values())
    return int(closed + found["events_failed"] + sum(one["failed"] for one in found["open_loop"]["windows"]))


if __name__ == "__main__":
    sys.exit(main())
