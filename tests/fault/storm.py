"""The storm: processes die under load, and the whole history is held against a sequential model.

    python -m fault.storm --file 200 --redis 50 --kafka 50 --seed 1 --out FOLDER

So many kills by kind of event log; with Kafka, so many of its client: the mock brokers live on, as a cluster would, and
other kills do not count. Prints a table of kills by process and point; the last line is JSON. The status is 1 if
anything was lost, counted twice, or differs from the replay: FOLDER then holds the history (JSON lines) and every
process's log.
"""

import argparse
import json
import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from fault.checker import Checker
from fault.clients import Gate, StormClient
from fault.crash_points import FILE_POINTS, ITEM_FILE_POINTS, POINTS
from fault.deployment import Deployment, deployed
from fault.history import History
from fault.killer import Card, Killer, counts, deck

from penchant.v1 import recommender_service_pb2
from penchant.v1.recommender_service_pb2_grpc import RecommenderServiceStub

CLIENTS = 4
_CALM_LIMIT_S = 180.0
_KILLS_A_ROUND = {"file": 40, "redis": 40, "kafka": 10}
"""Kafka's mock brokers keep 5 MB, some 50,000 records: what a store that came back empty needs must still be there."""
NAMED = (*POINTS, *FILE_POINTS, *ITEM_FILE_POINTS)


@dataclass
class Round:
    """What one stack went through."""

    kind: str
    log: str
    seed: str
    kills: Counter[tuple[str, str]] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    counted: dict[str, int] = field(default_factory=dict)
    checks: int = 0
    seconds: float = 0.0

    @property
    def counting(self) -> int:
        """Kills of the number asked for."""
        return sum(n for (process, _), n in self.kills.items() if counts(self.log, process))


def storm_round(
    folder: Path,
    kind: str,
    log: str,
    seed: str,
    kills: int,
    cards: Sequence[Card] | None = None,
    pause_every: int = 8,
) -> Round:
    """One stack from an empty log on, until so many kills; the history is FOLDER/history.jsonl."""
    began = time.monotonic()
    done = Round(kind, log, seed)
    history = History(folder / "history.jsonl", seed=seed, kind=kind, log=log, kills=kills)
    with deployed(folder, kind, log) as deployment:
        gate = Gate()
        address = deployment.layout.front_door
        clients = [StormClient(f"w{n}", address, seed, history, gate) for n in range(CLIENTS)]
        probe = StormClient("probe", address, seed, history, gate)
        checker = Checker(deployment, history)

        def look() -> None:
            gate.close(CLIENTS)
            calm(deployment, probe, checker, history)
            checker.check()
            done.checks += 1

        def pause() -> None:
            look()
            gate.open()

        for client in clients:
            client.start()
        try:
            Killer(deployment, history, random.Random(seed), log).play(
                cards or deck(kind, log), kills, pause, pause_every
            )
            look()
        finally:
            for client in clients:
                client.stop = True
            gate.open()
            for client in clients:
                client.join(30.0)
            checker.close()
    done.kills.update((kill.process, kill.point) for kill in history.kills)
    done.violations = history.violations
    done.counted = {**checker.counted(), "reads": history.reads, "degraded_reads": history.degraded_reads}
    done.seconds = round(time.monotonic() - began, 1)
    history.note("ends", **done.counted, violations=len(done.violations))
    history.close()
    return done


def calm(deployment: Deployment, probe: StormClient, checker: Checker, history: History) -> None:
    """Until everything is up, a write is acknowledged and a slate comes undegraded: all of the log is applied then."""
    deployment.wait_up(_CALM_LIMIT_S)
    deadline = time.monotonic() + _CALM_LIMIT_S
    while not probe.write_events().token or not _undegraded(deployment, checker, history):
        if time.monotonic() > deadline:
            history.violation(f"not well {_CALM_LIMIT_S:g} s after the last kill")
            return
        time.sleep(0.1)
    said = deployment.status()
    if said.events_applied_through != said.metrics["log_position"]:
        history.violation(f"applied {said.events_applied_through} of {said.metrics['log_position']} and at rest")


def _undegraded(deployment: Deployment, checker: Checker, history: History) -> bool:
    """Whether a slate of everything comes undegraded and knows every written item: then it holds no unavailable one."""
    position, unavailable = checker.written_items()
    with grpc.insecure_channel(deployment.layout.front_door) as channel:
        request = recommender_service_pb2.RecommendItemsRequest(user_id="nobody", max_items=1000)
        try:
            slate = RecommenderServiceStub(channel).RecommendItems(request, timeout=5.0)
        except grpc.RpcError:
            return False
    if slate.degraded_stages or slate.versions.item_table_position < position:
        return False
    if shown := unavailable & {item.item_id for item in slate.items}:
        history.violation(f"{sorted(shown)} are unavailable and shown at item-table position {position}")
    return True


def storm(out: Path, log: str, seed: int, kills: int) -> list[Round]:
    """Rounds of some kills, in both deployments by turns."""
    rounds: list[Round] = []
    left = kills
    for n in range(count := max(2, -(-kills // _KILLS_A_ROUND[log]))):
        if left <= 0:
            break
        kind = ("separate", "standalone")[n % 2]
        name = f"{log}-{n + 1}"
        shutil.rmtree(out / name, ignore_errors=True)
        done = storm_round(out / name, kind, log, f"{seed}/{name}", -(-left // (count - n)))
        rounds.append(done)
        left -= done.counting
        said = f"{name} ({kind}): {done.kills.total()} kills in {done.seconds:.0f} s, {len(done.violations)} violations"
        print(said, file=sys.stderr)
    return rounds


def report(rounds: Sequence[Round]) -> dict[str, Any]:
    """Prints the table; what the last line says."""
    kills: Counter[tuple[str, str, str]] = Counter()
    for done in rounds:
        for (process, point), count in done.kills.items():
            kills[done.log, process, point] += count
    width = max(len(point) for _, _, point in kills)
    print(f"{'log':<6} {'process':<14} {'when':<{width}} kills")
    for (log, process, point), count in sorted(kills.items()):
        print(f"{log:<6} {process:<14} {point:<{width}} {count:>5}")
    for done in rounds:
        for text in done.violations[:20]:
            print(f"VIOLATION in the round of seed {done.seed}: {text}")
    counted = sum((Counter(done.counted) for done in rounds), Counter())
    return {
        "kills": kills.total(),
        "by_log": _sums((log, n) for (log, _, _), n in kills.items()),
        "by_process": _sums((process, n) for (_, process, _), n in kills.items()),
        "at_named_points": sum(n for (_, _, point), n in kills.items() if point.removeprefix("in recovery, ") in NAMED),
        "rounds": len(rounds),
        "checks": sum(done.checks for done in rounds),
        **counted,
        "violations": sum(len(done.violations) for done in rounds),
        "seconds": round(sum(done.seconds for done in rounds), 1),
    }


def _sums(counts: Iterable[tuple[str, int]]) -> dict[str, int]:
    sums: Counter[str] = Counter()
    for name, count in counts:
        sums[name] += count
    return dict(sums)


def main(arguments: Sequence[str] | None = None) -> int:
    """0 if all is well."""
    parser = argparse.ArgumentParser(prog="fault.storm", description=__doc__)
    for log in ("file", "redis", "kafka"):
        parser.add_argument(f"--{log}", type=int, default=0, metavar="KILLS")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(".penchant/storm"))
    chosen = parser.parse_args(arguments)
    rounds = [
        done for log in ("file", "redis", "kafka") for done in storm(chosen.out, log, chosen.seed, getattr(chosen, log))
    ]
    if not rounds:
        parser.error("no kills: say --file 200, --redis 50 or --kafka 50")
    summary = {"seed": chosen.seed, **report(rounds)}
    print(json.dumps(summary))
    return 1 if summary["violations"] else 0


if __name__ == "__main__":
    sys.exit(main())
