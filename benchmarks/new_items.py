"""python -m benchmarks.new_items: how soon a new item is retrieved for those who like its kind, and what churn costs.

First single new items, each asked for at once on behalf of a fan of its kind (ten liked items with the same tags) until
candidate generation returns it: the time counts from when the write was due. Then inserts and deletes in bulk, which
compact the delta in the background several times; slates are asked for all along. At the end what is served is held
against exact search over the same items, mirrored here through WatchItems.
"""

import argparse
import asyncio
import gc
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.command import run
from benchmarks.door import Door, write_histories
from benchmarks.kinds import Kinds, item_key, user_of
from benchmarks.load import Calls, open_loop, poisson, quantiles
from benchmarks.mirror import Mirror
from benchmarks.report import cumulative, plot
from benchmarks.stand import Stand, add_load_options, add_options, say
from benchmarks.workload import Workload
from penchant.leaves import UserState
from penchant.v1.event_pb2 import Item

NAME = "new_items"
_GIVE_UP_S = 5.0
_ASK_AGAIN_S = 0.005
_CANDIDATES = 500
_K = 100
_LONGEST_S = 7200.0


@dataclass(slots=True)
class _Churn:
    """Items that come and go, and what clients saw of them."""

    door: Door
    mirror: Mirror
    kinds: Kinds
    prefix: str
    batch: int
    live: list[str] = field(default_factory=list)
    gone: dict[str, float] = field(default_factory=dict)
    """Deleted items and when that was acknowledged."""
    made: int = 0
    found_ms: list[float] = field(default_factory=list)
    by_tower_ms: list[float] = field(default_factory=list)
    probed: list[tuple[int, UserState]] = field(default_factory=list)
    never: int = 0
    never_by_tower: int = 0
    deleted_shown: int = 0
    degraded: Counter[str] = field(default_factory=Counter)

    def new(self) -> tuple[str, Any]:
        """Id and kind of another item."""
        self.made += 1
        return f"{self.prefix}-{self.made}", self.kinds.draw()

    async def probe(self, due_at: float) -> None:
        """Write one item and ask for it until it is there."""
        item_id, kind = self.new()
        fan = self.kinds.fan(kind)
        await self.door.write_items([self.kinds.item(item_id, kind)])
        wanted = item_key(item_id)
        for sources, took, missed in (
            ((), self.found_ms, "never"),
            (("two_tower",), self.by_tower_ms, "never_by_tower"),
        ):
            while wanted not in await self.mirror.served(self.door, fan, _CANDIDATES, sources):
                if time.perf_counter() - due_at > _GIVE_UP_S:
                    setattr(self, missed, getattr(self, missed) + 1)
                    break
                await asyncio.sleep(_ASK_AGAIN_S)
            else:
                took.append((time.perf_counter() - due_at) * 1000)
        self.live.append(item_id)
        self.probed.append((wanted, fan))

    async def still(self) -> float | None:
        """Share of the probed items that their fans are given now that others have come after them."""
        if not self.probed:
            return None
        there = [wanted in await self.mirror.served(self.door, fan, _CANDIDATES) for wanted, fan in self.probed]
        return round(float(np.mean(there)), 3)

    async def insert(self, i: int) -> None:
        """A batch of new items."""
        new = [self.new() for _ in range(self.batch)]
        await self.door.write_items([self.kinds.item(item_id, kind) for item_id, kind in new])
        self.live.extend(item_id for item_id, _ in new)

    async def delete(self, i: int) -> None:
        """A batch of those that are there."""
        rng = self.kinds.rng
        count = min(self.batch, len(self.live))
        taken = sorted(rng.choice(len(self.live), count, replace=False).tolist(), reverse=True)
        ids = [self.live.pop(place) for place in taken]
        await self.door.write_items([Item(item_id=item_id, deleted=True) for item_id in ids])
        now = time.perf_counter()
        self.gone.update(dict.fromkeys(ids, now))

    async def slate(self, user: str) -> None:
        """A slate may hold nothing that was deleted before it was asked for."""
        asked = time.perf_counter()
        answer = await self.door.slate(user)
        self.degraded.update(answer.degraded_stages)
        self.deleted_shown += any(self.gone.get(item.item_id, asked) < asked for item in answer.items)


async def measure(stand: Stand, options: argparse.Namespace) -> dict[str, Any]:
    """Figures of one run; leaves a plot in stand.out."""
    workload = Workload.of(stand.bundle, options.users, options.zipf, options.seed)
    async with Door(stand.address) as door, Mirror(stand) as mirror:
        await write_histories(door, workload, options.histories)
        kinds = Kinds.of(mirror.bundle.table, options.seed)
        churn = _Churn(door, mirror, kinds, f"new-{workload.run}", options.batch)
        before = await door.status()
        due = poisson(options.slate_rate, _LONGEST_S, workload.rng)
        users = workload.draw_users(len(due))
        accounts = stand.accounts()
        gc.collect()
        gc.freeze()
        accounts.sample()
        start, stop = time.perf_counter(), asyncio.Event()
        asking = asyncio.create_task(open_loop(due, lambda i: churn.slate(users[i]), start, stop))
        watch = _Watch(door, start)
        watching = asyncio.create_task(watch.run())
        try:
            probes = await _probe(churn, options, start)
            still = await churn.still()
            churn_from_s = time.perf_counter() - start
            writes = await _churn(churn, options)
            churn_to_s = time.perf_counter() - start
            await asyncio.sleep(2.0)
        finally:
            stop.set()
            watching.cancel()
            slates = await asking
        accounts.sample()
        after = await door.status()
        recall = await _recall(mirror, door, options, after.item_table_position)
    calm = slates.due < churn_from_s
    busy = ~calm & (slates.due < churn_to_s)
    _plot(stand, churn, slates, watch)
    return {
        "probes": options.probes,
        "retrieved_ms": quantiles(np.array(churn.found_ms)),
        "retrieved_by_tower_ms": quantiles(np.array(churn.by_tower_ms)),
        "never_retrieved": churn.never,
        "still_retrieved_after_the_probes": still,
        "never_by_tower": churn.never_by_tower,
        "inserts": churn.made,
        "deletes": len(churn.gone),
        "write_ms": {name: calls.numbers() for name, calls in writes.items()},
        "failed": sum(sum(calls.failures.values()) for calls in (probes, slates, *writes.values())),
        "failures": {name: dict(calls.failures) for name, calls in {"slates": slates, **writes}.items()},
        "deleted_items_shown": churn.deleted_shown,
        "degraded": dict(churn.degraded),
        "slate_ms_calm": Calls(slates.due[calm], slates.begun[calm], slates.done[calm]).numbers(),
        "slate_ms_churn": Calls(slates.due[busy], slates.begun[busy], slates.done[busy]).numbers(),
        "compactions": int(after.metrics["delta_compactions"] - before.metrics["delta_compactions"]),
        "delta_indexed": int(after.metrics["delta_indexed"]),
        "delta_tail_longest": max(watch.tail, default=0),
        "recall_at_100": recall,
        "cores": accounts.cores(),
        "memory": accounts.memory(),
    }


async def _probe(churn: _Churn, options: argparse.Namespace, start: float) -> Calls:
    say(f"{options.probes} new items, {options.probe_rate:g} a second, each asked for by a fan of its kind")
    due = time.perf_counter() - start + np.arange(1, options.probes + 1) / options.probe_rate
    return await open_loop(due, lambda i: churn.probe(start + float(due[i])), start)


async def _churn(churn: _Churn, options: argparse.Namespace) -> dict[str, Calls]:
    rng = churn.kinds.rng
    seconds = options.inserts / options.change_rate
    say(f"{options.inserts:,} inserts and {options.deletes:,} deletes over {seconds:.0f} s")
    start = time.perf_counter()
    inserts = np.sort(rng.uniform(0.0, seconds, options.inserts // options.batch))
    # Deletes begin later, so that there is something to delete.
    deletes = np.sort(rng.uniform(0.2 * seconds, seconds, options.deletes // options.batch))
    inserted, deleted = await asyncio.gather(
        open_loop(inserts, churn.insert, start), open_loop(deletes, churn.delete, start)
    )
    return {"inserts": inserted, "deletes": deleted}


async def _recall(mirror: Mirror, door: Door, options: argparse.Namespace, position: int) -> dict[str, Any]:
    """Share of the exact nearest items that the tower's source serves: fans, and users of random histories."""
    await mirror.caught_up(position)
    table, rng = mirror.bundle.table, np.random.default_rng(options.seed)
    kinds = Kinds.of(table, options.seed)
    users = [kinds.fan(kinds.draw()) for _ in range(options.queries // 2)]
    users += [user_of(table, rng.integers(1, table.bundle_rows + 1, 20)) for _ in range(options.queries // 2)]
    shares, new = [], []
    for user in users:
        exact = mirror.exact(user, _K)
        served = await mirror.served(door, user, _K, ("two_tower",))
        shares.append(len(np.intersect1d(served, exact)) / max(len(exact), 1))
        new.append(float((table.rows_of(served) > table.bundle_rows).mean()))
    return {
        "mean": round(float(np.mean(shares)), 4),
        "least": round(float(np.min(shares)), 4),
        "queries": len(shares),
        "share_of_new_items": round(float(np.mean(new)), 3),
    }


class _Watch:
    """How the delta is searched, over time."""

    def __init__(self, door: Door, start: float) -> None:
        self.at: list[float] = []
        self.tail: list[int] = []
        self.indexed: list[int] = []
        self._door, self._start = door, start

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            metrics = (await self._door.status()).metrics
            self.at.append(time.perf_counter() - self._start)
            self.tail.append(int(metrics["delta_tail"]))
            self.indexed.append(int(metrics["delta_indexed"]))
            await asyncio.sleep(0.25)


def _plot(stand: Stand, churn: _Churn, slates: Calls, watch: _Watch) -> None:
    curves = [
        ("any source", *cumulative(churn.found_ms)),
        ("the tower alone", *cumulative(churn.by_tower_ms)),
    ]
    delta = [("indexed", watch.at, watch.indexed), ("tail", watch.at, watch.tail)]
    plot(
        stand.out / f"{NAME}.png",
        [
            ("a new item's write, from when it was due, to its retrieval", "ms", "share", curves, "-"),
            ("slates", "second", "ms from due", [("", slates.due, (slates.done - slates.due) * 1000)], "."),
            ("the delta", "second", "items", delta, "-"),
        ],
    )


def main(argv: Sequence[str] | None = None) -> int:
    """0, or 1 with a sentence."""
    return run(NAME, options_of(argv), measure, rows)


def options_of(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.new_items", description=__doc__)
    add_options(parser)
    parser.add_argument("--probes", type=int, default=300, help="new items asked for one by one")
    parser.add_argument("--probe-rate", type=float, default=10.0, help="of them a second")
    parser.add_argument("--inserts", type=int, default=10_000)
    parser.add_argument("--deletes", type=int, default=5_000)
    parser.add_argument("--change-rate", type=float, default=200.0, help="inserts a second")
    parser.add_argument("--batch", type=int, default=10, help="items a call")
    parser.add_argument("--queries", type=int, default=200, help="users that recall is measured for")
    add_load_options(parser, 50.0)
    return parser.parse_args(argv)


def rows(found: dict[str, Any]) -> list[tuple[str, Any, str]]:
    """The table."""
    any_source, tower = found["retrieved_ms"], found["retrieved_by_tower_ms"]
    calm, churn, recall = found["slate_ms_calm"], found["slate_ms_churn"], found["recall_at_100"]
    return [
        ("new item retrieved p50 / p99, ms", f"{any_source['p50']} / {any_source['p99']}", "p99 1,000"),
        ("the same, by the tower alone", f"{tower['p50']} / {tower['p99']}", ""),
        ("never retrieved, by the tower alone", f"{found['never_retrieved']}, {found['never_by_tower']}", "0"),
        ("still retrieved when all of them are there", found["still_retrieved_after_the_probes"], ""),
        ("inserts, deletes", f"{found['inserts']:,}, {found['deletes']:,}", "10,000"),
        ("calls that failed", found["failed"], "0"),
        ("slates with a deleted item", found["deleted_items_shown"], "0"),
        ("recall@100 mean / least", f"{recall['mean']} / {recall['least']}", "mean at least 0.98"),
        ("new items among them", recall["share_of_new_items"], ""),
        ("compactions", found["compactions"], ""),
        ("longest tail, indexed at the end", f"{found['delta_tail_longest']:,}, {found['delta_indexed']:,}", ""),
        ("slate p50 / p99 / max, calm, ms", f"{calm['p50']} / {calm['p99']} / {calm['max']}", ""),
        ("slate p50 / p99 / max, churn, ms", f"{churn['p50']} / {churn['p99']} / {churn['max']}", ""),
        ("generator lag p99, churn, ms", churn["generator_lag_p99"], ""),
        ("cores: client, server, Redis, others", " ".join(f"{v:.2f}" for v in found["cores"].values()), ""),
    ]


if __name__ == "__main__":
    sys.exit(main())
