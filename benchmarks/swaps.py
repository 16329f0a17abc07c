"""python -m benchmarks.swaps: bundles published and rolled back under load; every answer is of one version, none fails.

Each version is a copy of the bundle that marks its answers in three places (benchmarks/marked.py), published by moving
the pointer as training does. Memory after every swap says whether old bundles are let go.
"""

import argparse
import asyncio
import gc
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.accounts import Accounts
from benchmarks.command import run
from benchmarks.door import Door, write_histories
from benchmarks.load import Calls, open_loop, poisson
from benchmarks.marked import MarkedBundles
from benchmarks.report import plot
from benchmarks.stand import SERVER, Stand, add_load_options, add_options, say
from benchmarks.workload import Workload
from penchant.bundle import publish

NAME = "swaps"
_TAKES_S = 60.0
"""Longest wait for a version to be in use."""
_KEPT = 4
_EXAMPLES = 5


class Mover:
    """Publishes versions and waits until the server answers from them."""

    def __init__(self, door: Door, bundles: MarkedBundles, accounts: Accounts) -> None:
        self.door, self.bundles, self.accounts = door, bundles, accounts
        self.refused = 0
        self.took_s: list[float] = []
        self.at: list[float] = []

    async def move(self, number: int) -> None:
        """Point at a marked version and wait until it is in use. Raises TimeoutError."""
        moved = time.perf_counter()
        await self.use(self.bundles.version(number))
        self.took_s.append(time.perf_counter() - moved)
        self.at.append(moved)
        self.accounts.sample()

    async def use(self, version: str) -> None:
        """The same for any version, without an account of it."""
        publish(self.bundles.folder, version)
        async with asyncio.timeout(_TAKES_S):
            while True:
                status = await self.door.status()
                if status.bundle_versions and status.bundle_versions[0] == version:
                    break
                self.refused += bool(status.refused_bundle)
                await asyncio.sleep(0.05)


async def measure(stand: Stand, options: argparse.Namespace) -> dict[str, Any]:
    """Figures of one run; leaves a plot in stand.out."""
    original = stand.bundle
    bundles = MarkedBundles(original, stand.bundles, f"marked-{options.seed}-{time.time_ns() // 1_000_000}")
    workload = Workload.of(original, options.users, options.zipf, options.seed)
    async with Door(stand.address) as door:
        await write_histories(door, workload, options.histories)
        mover = Mover(door, bundles, stand.accounts())
        try:
            bundles.make(0)
            await mover.move(0)
            found = await _under_load(mover, workload, stand, options)
        finally:
            await mover.use(original.name)
            for number in range(options.swaps + 1):
                bundles.drop(number)
    return found


async def _under_load(mover: Mover, workload: Workload, stand: Stand, options: argparse.Namespace) -> dict[str, Any]:
    load = _Load(mover.door, mover.bundles)
    longest_s = (options.swaps + 2 * options.rollbacks) * (options.hold + _TAKES_S)
    due = poisson(options.slate_rate, min(longest_s, 7200.0), workload.rng)
    load.users = workload.draw_users(len(due))
    gc.collect()
    gc.freeze()
    start, stop = time.perf_counter(), asyncio.Event()
    say(f"{options.swaps} swaps and {options.rollbacks} roll-backs under {options.slate_rate:g} slates/s")
    asking = asyncio.create_task(open_loop(due, load.ask, start, stop))
    try:
        rolled_back = await _move_all(mover, options)
    finally:
        stop.set()
        calls = await asking
    accounts = mover.accounts
    _plot(stand, mover, calls, start)
    return {
        "swaps": options.swaps,
        "rollbacks": len(rolled_back),
        "slates": sum(load.seen.values()),
        "versions_that_answered": len(load.seen),
        "answers_of_mixed_versions": load.mixed,
        "mixed": load.examples,
        "degraded": dict(load.degraded),
        "refused": mover.refused,
        "slate_ms": calls.numbers(),
        "in_use_after_s": {"p50": round(float(np.median(mover.took_s)), 3), "max": round(max(mover.took_s), 3)},
        "rolled_back_after_s": round(max(rolled_back, default=0.0), 3),
        "memory": accounts.memory(len(accounts.at) // 4),
        "server_mib": [round(usage.rss / 2**20, 1) for usage in accounts.samples[SERVER]],
        "cores": accounts.cores(),
    }


async def _move_all(mover: Mover, options: argparse.Namespace) -> list[float]:
    """Every swap, and the roll-backs spread among them; how long each roll-back took."""
    turns = set(np.linspace(2, options.swaps, options.rollbacks, dtype=int).tolist()) if options.rollbacks else set()
    rolled_back = []
    for number in range(1, options.swaps + 1):
        await asyncio.to_thread(mover.bundles.make, number)
        await mover.move(number)
        await asyncio.sleep(options.hold)
        if number in turns:
            await mover.move(number - 1)
            rolled_back.append(mover.took_s[-1])
            await asyncio.sleep(options.hold)
            await mover.move(number)
        if number >= _KEPT:
            mover.bundles.drop(number - _KEPT)
    return rolled_back


class _Load:
    """Slates, each looked at for the versions that it shows."""

    def __init__(self, door: Door, bundles: MarkedBundles) -> None:
        self.users: list[str] = []
        self.seen: Counter[str] = Counter()
        self.mixed = 0
        self.examples: list[str] = []
        self.degraded: Counter[str] = Counter()
        self._door, self._bundles = door, bundles

    async def ask(self, i: int) -> None:
        """One slate."""
        answer = await self._door.slate(self.users[i])
        strays = self._bundles.strays(answer)
        if strays or not answer.items:
            self.mixed += 1
            self.examples = [*self.examples, *strays[:1]][:_EXAMPLES]
        self.degraded.update(answer.degraded_stages)
        self.seen[answer.versions.bundle] += 1


def _plot(stand: Stand, mover: Mover, calls: Calls, start: float) -> None:
    slate_ms = (calls.done - calls.due) * 1000
    rss = [usage.rss / 2**20 for usage in mover.accounts.samples[SERVER]]
    moved = [at - start for at in mover.at]
    plot(
        stand.out / f"{NAME}.png",
        [
            ("slates", "second", "ms from due", [("", calls.due, slate_ms)], "."),
            ("server, resident, after each move", "second", "MiB", [("", moved, rss)], "o-"),
        ],
    )


def main(argv: Sequence[str] | None = None) -> int:
    """0, or 1 with a sentence."""
    return run(NAME, options_of(argv), measure, rows)


def options_of(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.swaps", description=__doc__)
    add_options(parser)
    parser.add_argument("--swaps", type=int, default=50)
    parser.add_argument("--rollbacks", type=int, default=5)
    parser.add_argument("--hold", type=float, default=1.0, help="seconds that each version is left in use")
    add_load_options(parser, 50.0)
    return parser.parse_args(argv)


def rows(found: dict[str, Any]) -> list[tuple[str, Any, str]]:
    """The table."""
    slate, memory, taken = found["slate_ms"], found["memory"][SERVER], found["in_use_after_s"]
    return [
        ("swaps, roll-backs", f"{found['swaps']}, {found['rollbacks']}", "50, 5"),
        ("slates, of how many versions", f"{found['slates']:,}, {found['versions_that_answered']}", ""),
        ("requests that failed", slate["failed"], "0"),
        ("answers of mixed versions", found["answers_of_mixed_versions"], "0"),
        ("stages degraded", sum(found["degraded"].values()), "0"),
        ("in use after p50 / max, s", f"{taken['p50']} / {taken['max']}", ""),
        ("slowest roll-back, s", found["rolled_back_after_s"], ""),
        ("slate p50 / p99 / max from due, ms", f"{slate['p50']} / {slate['p99']} / {slate['max']}", ""),
        ("generator lag p99, ms", slate["generator_lag_p99"], ""),
        (
            "MiB of the server after the first quarter, at the end",
            f"{memory['first_mib']}, {memory['last_mib']}",
            "flat",
        ),
        ("cores: client, server, Redis, others", " ".join(f"{v:.2f}" for v in found["cores"].values()), ""),
    ]


if __name__ == "__main__":
    sys.exit(main())
