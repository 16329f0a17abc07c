"""python -m benchmarks.freshness: how soon an answer knows of an event, as the client sees it.

Single events and slates arrive at the front door in open loops. Some of the slates are follow-ups: the moment an event
is acknowledged its user asks for a slate, again and again until `events_applied_through` covers the event. Freshness is
the time from the acknowledgement to that answer's arrival, the slate's own making included. Every second follow-up
carries the write's token. Hides take the first item of the user's last slate; no slate asked for after the
acknowledgement may hold it.
"""

import argparse
import asyncio
import gc
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.command import run
from benchmarks.door import Door, write_histories
from benchmarks.load import Calls, open_loop, poisson, quantiles
from benchmarks.report import cumulative, plot
from benchmarks.stand import Stand, add_load_options, add_options, say
from benchmarks.workload import Workload, request_of

NAME = "freshness"
_ASKED_AGAIN = 1000
"""Answers to wait for before an event counts as never seen."""


@dataclass(slots=True)
class Seen:
    """What the client saw."""

    fresh_ms: list[float] = field(default_factory=list)
    fresh_at: list[float] = field(default_factory=list)
    first_slate_ms: list[float] = field(default_factory=list)
    asked_again: int = 0
    never: int = 0
    tokens: int = 0
    token_unsatisfied: int = 0
    hides: int = 0
    slates_after_a_hide: int = 0
    hidden_shown: int = 0
    degraded: Counter[str] = field(default_factory=Counter)
    slates: int = 0


class Client:
    """Users who act and ask. Calls are numbered as their arrivals."""

    def __init__(self, door: Door, workload: Workload, actors: list[str], askers: list[str], hides: float) -> None:
        self.door = door
        self.seen = Seen()
        self.measuring_from = float("inf")
        self._workload = workload
        self._actors, self._askers = actors, askers
        self._hides = workload.rng.random(len(actors)) < hides
        self._followed: set[int] = set()
        self._last: dict[str, list[str]] = {}
        """Of a user: the items of the last slate."""
        self._hidden: dict[str, set[str]] = defaultdict(set)

    def follow(self, numbers: set[int]) -> None:
        """Which events a slate is asked for after, besides every hide."""
        self._followed = numbers

    async def act(self, i: int) -> None:
        """Write one event; follow it up if it was chosen."""
        user = self._actors[i]
        shown = [item for item in self._last.get(user, ()) if item not in self._hidden[user]]
        hide = bool(self._hides[i] and shown)
        event = self._workload.event(user, shown[0], "hide") if hide else self._workload.event_of(user)
        position = (await self.door.write_events(request_of([event]))).token.position
        acknowledged = time.perf_counter()
        if hide:
            self._hidden[user].add(shown[0])
            self.seen.hides += self._measured(acknowledged)
        if hide or i in self._followed:
            await self._follow_up(user, position, acknowledged, i)

    async def _follow_up(self, user: str, position: int, acknowledged: float, i: int) -> None:
        for again in range(_ASKED_AGAIN):
            asked = time.perf_counter()
            answer = await self._slate(user, position if i % 2 else 0)
            now = time.perf_counter()
            if not self._measured(acknowledged):
                return
            if again == 0:
                self.seen.first_slate_ms.append((now - asked) * 1000)
            if answer.versions.events_applied_through >= position:
                self.seen.fresh_ms.append((now - acknowledged) * 1000)
                self.seen.fresh_at.append(acknowledged - self.measuring_from)
                return
            self.seen.asked_again += 1
        self.seen.never += 1

    async def ask(self, i: int) -> None:
        """Ask for one slate."""
        await self._slate(self._askers[i])

    async def _slate(self, user: str, token: int = 0) -> Any:
        hidden = frozenset(self._hidden[user])
        answer = await self.door.slate(user, token=token)
        items = [item.item_id for item in answer.items]
        self._last[user] = items
        seen = self.seen
        seen.slates += 1
        seen.degraded.update(answer.degraded_stages)
        if token:
            seen.tokens += 1
            seen.token_unsatisfied += not answer.token_satisfied
        if hidden:
            seen.slates_after_a_hide += 1
            seen.hidden_shown += not hidden.isdisjoint(items)
        return answer

    def _measured(self, at: float) -> bool:
        return at >= self.measuring_from


async def measure(stand: Stand, options: argparse.Namespace) -> dict[str, Any]:
    """Figures of one run; leaves a plot in stand.out."""
    workload = Workload.of(stand.bundle, options.users, options.zipf, options.seed)
    async with Door(stand.address) as door:
        await write_histories(door, workload, options.histories)
        whole_s = options.warm + options.seconds
        acting = poisson(options.event_rate, whole_s, workload.rng)
        chance = options.follow_ups / options.event_rate
        asking = poisson(options.slate_rate - options.follow_ups, whole_s, workload.rng)
        client = Client(
            door, workload, workload.draw_users(len(acting)), workload.draw_users(len(asking)), options.hides
        )
        client.follow(set(np.flatnonzero(workload.rng.random(len(acting)) < chance).tolist()))
        say(f"open loops: {options.event_rate:g} events/s, {options.slate_rate:g} slates/s for {whole_s:g} s")
        accounts = stand.accounts()
        gc.collect()
        gc.freeze()
        start = time.perf_counter()
        client.measuring_from = start + options.warm
        loops = asyncio.gather(open_loop(acting, client.act, start), open_loop(asking, client.ask, start))
        await asyncio.sleep(options.warm)
        accounts.sample()
        acted, asked = await loops
        accounts.sample()
    seen = client.seen
    found = {
        "event_rate": options.event_rate,
        "slate_rate": round(seen.slates / max(float(np.nanmax(asked.done)), 1e-9), 1),
        "freshness_ms": quantiles(np.array(seen.fresh_ms)),
        "answers_asked_again": seen.asked_again,
        "never_covered": seen.never,
        "tokens": seen.tokens,
        "token_unsatisfied": seen.token_unsatisfied,
        "hides": seen.hides,
        "slates_after_a_hide": seen.slates_after_a_hide,
        "slates_holding_a_hidden_item": seen.hidden_shown,
        "slate_ms": asked.numbers(options.warm),
        "follow_up_slate_ms": quantiles(np.array(seen.first_slate_ms)),
        "event_calls": {"failed": sum(acted.failures.values()), "failures": dict(acted.failures)},
        "degraded": dict(seen.degraded),
        "cores": accounts.cores(),
        "seconds": options.seconds,
        "users": options.users,
        "zipf": options.zipf,
    }
    _plot(stand, seen, asked)
    return found


def _plot(stand: Stand, seen: Seen, asked: Calls) -> None:
    slate_ms = (asked.done - asked.due) * 1000
    curves = [
        ("acknowledgement to covering answer", *cumulative(seen.fresh_ms)),
        ("slate, from when it was due", *cumulative(slate_ms[np.isfinite(slate_ms)].tolist())),
    ]
    over_time = [("freshness", seen.fresh_at, seen.fresh_ms)]
    plot(
        stand.out / f"{NAME}.png",
        [
            ("cumulative", "ms", "share", curves, "-"),
            ("freshness over time", "second", "ms", over_time, "."),
        ],
    )


def main(argv: Sequence[str] | None = None) -> int:
    """0, or 1 with a sentence."""
    return run(NAME, options_of(argv), measure, rows)


def options_of(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.freshness", description=__doc__)
    add_options(parser)
    parser.add_argument("--seconds", type=float, default=60.0, help="measured")
    parser.add_argument("--warm", type=float, default=10.0, help="seconds before them, left out")
    parser.add_argument("--event-rate", type=float, default=200.0, help="events a second, a call each")
    parser.add_argument("--follow-ups", type=float, default=40.0, help="of them, after an acknowledgement")
    parser.add_argument("--hides", type=float, default=0.05, help="share of the events")
    add_load_options(parser, 100.0, "a second, follow-ups included")
    return parser.parse_args(argv)


def rows(found: dict[str, Any]) -> list[tuple[str, Any, str]]:
    """The table."""
    fresh, slate, follow = found["freshness_ms"], found["slate_ms"], found["follow_up_slate_ms"]
    return [
        ("acknowledgement to covering answer p50 / p99, ms", f"{fresh['p50']} / {fresh['p99']}", "p99 50, goal 10"),
        ("events followed up", fresh["count"], ""),
        ("answers that did not cover theirs yet", found["answers_asked_again"], ""),
        ("tokens unsatisfied", f"{found['token_unsatisfied']} of {found['tokens']}", "0"),
        (
            "slates with a hidden item",
            f"{found['slates_holding_a_hidden_item']} of {found['slates_after_a_hide']} after {found['hides']} hides",
            "0",
        ),
        ("slates/s", found["slate_rate"], "100"),
        ("slate p50 / p99 from due, ms", f"{slate['p50']} / {slate['p99']}", ""),
        ("follow-up slate p50 / p99, ms", f"{follow['p50']} / {follow['p99']}", ""),
        ("generator lag p99, ms", slate["generator_lag_p99"], ""),
        (
            "calls that failed, stages degraded",
            f"{slate['failed'] + found['event_calls']['failed']}, {sum(found['degraded'].values())}",
            "0",
        ),
        ("cores: client, server, Redis, others", " ".join(f"{v:.2f}" for v in found["cores"].values()), ""),
    ]


if __name__ == "__main__":
    sys.exit(main())
