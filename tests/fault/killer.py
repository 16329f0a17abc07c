"""Kills processes by a seeded deck of cards: every card is a way to die."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fault.crash_points import FILE_POINTS, ITEM_FILE_POINTS, POINTS, STORE_POINT
from fault.deployment import START_LIMIT_S, Deployment
from fault.history import History

from stack.redis_server import save

_LEAVES = ("recommender", "candidate_gen", "ranker")
REDIS_COMES_BACK = ("empty", "older", "just saved", "as last saved")
_REACH_LIMIT_S = 20.0


@dataclass(frozen=True, slots=True)
class Card:
    """kind is a method of Killer; what: a process, a crash point, or how Redis comes back."""

    kind: str
    what: str = ""


def deck(kind: str, log: str = "file") -> list[Card]:
    """Every way to die once or more, for a deployment of one kind."""
    cards = [Card("process", "writer")] * 3
    cards += [Card("process", leaf) for leaf in _LEAVES for _ in range(2) if kind == "separate" and log == "file"]
    cards += [Card("process", "log_redis")] * 4 if log == "redis" else []
    cards += [Card("redis", state) for state in (REDIS_COMES_BACK if log == "file" else REDIS_COMES_BACK[:2])]
    cards += [Card("point", point) for point in POINTS]
    cards += [Card("point", point) for point in (*FILE_POINTS, *ITEM_FILE_POINTS) if log == "file"]
    cards += [Card("recovery"), Card("recovery", "empty"), Card("recovery_point", "between_store_and_offset")]
    cards += [Card("recovery_point", STORE_POINT), Card("together", "redis"), Card("everything")]
    cards += [Card("together", "log_redis")] if log == "redis" else []
    return cards


def counts(log: str, process: str) -> bool:
    """Whether a kill is one of the number asked for: with Kafka only those of its client are."""
    return log != "kafka" or process in ("feature_store", "standalone")


class Killer:
    """Plays cards. Every kill goes to the history."""

    def __init__(self, deployment: Deployment, history: History, rng: random.Random, log: str = "file") -> None:
        self._deployment = deployment
        self._history = history
        self._rng = rng
        self._log = log

    def play(self, cards: Sequence[Card], kills: int, pause: Callable[[], None], pause_every: int) -> None:
        """Cards, again and again in another order, until there were so many kills; pause() now and then."""
        left: list[Card] = []
        played = 0
        while sum(counts(self._log, kill.process) for kill in self._history.kills) < kills:
            if not left:
                left = list(cards)
                self._rng.shuffle(left)
            card = left.pop()
            self._history.note("card", kind=card.kind, what_=card.what)
            getattr(self, f"_{card.kind}")(card.what)
            played += 1
            if played % pause_every == 0:
                pause()
            elif self._rng.random() < 0.7:
                self.settle()
            time.sleep(self._rng.uniform(0.3, 2.0))

    def settle(self, limit_s: float = START_LIMIT_S) -> None:
        """Until all are up and writes are acknowledged again."""
        self._deployment.wait_up(limit_s)
        before, deadline = self._history.answers, time.monotonic() + limit_s
        while self._history.answers <= before + 3:
            if time.monotonic() > deadline:
                self._history.violation(f"no write was acknowledged for {limit_s:g} s with every process up")
                return
            time.sleep(0.03)

    def _kill(self, name: str, point: str) -> None:
        if not self._deployment.kill(name):
            self._deployment.wait_spawned(name, None)
            self._deployment.kill(name)
        self._history.killed(name, point)

    def _process(self, name: str) -> None:
        self._kill(self._deployment.writer if name == "writer" else name, "any moment")

    def _point(self, point: str) -> None:
        self._deployment.arm(point, self._rng.choice((1, 1, 2, 5)))
        if self._deployment.wait_sprung(_REACH_LIMIT_S):
            self._history.killed(self._deployment.writer, point)
        else:
            self._history.note("point not reached", point=point)

    def _redis(self, state: str) -> None:
        self._prepare_redis(state)
        self._kill("redis", f"comes back {state}")

    def _prepare_redis(self, state: str) -> None:
        file = self._deployment.layout.run / "redis" / "redis.rdb"
        if state in ("older", "just saved"):
            self._deployment.wait_up()
            save(self._deployment.redis_url)
        if state == "older":
            time.sleep(self._rng.uniform(0.5, 1.5))
        if state == "empty":
            file.unlink(missing_ok=True)

    def _recovery(self, state: str) -> None:
        """Dies, and again twice while it recovers; from an empty store where asked for."""
        deployment, writer = self._deployment, self._deployment.writer
        if state:
            self._prepare_redis(state)
            self._kill("redis", f"comes back {state}")
        for again in range(3):
            before = deployment.supervisor.process(writer)["pid"]
            self._kill(writer, "during recovery" if again else "any moment")
            deployment.wait_spawned(writer, before)
            time.sleep(self._rng.uniform(0.0, 1.2))

    def _recovery_point(self, point: str) -> None:
        """The store is empty, and whoever fills it dies twice in the middle."""
        deployment, writer = self._deployment, self._deployment.writer
        self._prepare_redis("empty")
        self._kill("redis", "comes back empty")
        self._kill(writer, "any moment")
        for _ in range(2):
            deployment.arm(point, self._rng.choice((1, 2, 3)))
            if deployment.wait_sprung(_REACH_LIMIT_S):
                self._history.killed(writer, f"in recovery, {point}")

    def _together(self, server: str) -> None:
        if server == "redis":
            self._prepare_redis("older")
        for name in (server, self._deployment.writer):
            self._kill(name, "a server and the writer at once")

    def _everything(self, _: str) -> None:
        """As a machine that loses power would, but for what the kernel still writes."""
        for name in self._deployment.processes:
            self._kill(name, "all at once")
