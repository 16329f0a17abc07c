"""Everything the clients did and were told, in memory for the checker and as JSON lines for people."""

import json
import threading
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from penchant.events import EVENT_TYPES
from penchant.v1 import event_pb2


@dataclass(frozen=True, slots=True)
class SentEvent:
    """One event as its client means it. mark is its own whatever else is equal; event_id is the mark, or empty."""

    mark: str
    event_id: str
    user_id: str
    anonymous_id: str
    item_id: str
    event_type: str
    value: float | None
    text: str
    event_time_us: int
    consent: int = 0
    evaluation: bool = False

    def to_proto(self) -> event_pb2.Event:
        """As it is sent."""
        message = event_pb2.Event(
            event_id=self.event_id,
            session_id=self.mark,
            user_id=self.user_id,
            anonymous_id=self.anonymous_id,
            item_id=self.item_id,
            event_type=self.event_type,
            value=self.value,
            text=self.text,
            consent=self.consent,
            context={"evaluation": "storm"} if self.evaluation else {},
        )
        message.event_time.FromMicroseconds(self.event_time_us)
        return message


@dataclass(slots=True)
class Attempt:
    """One call of a client with what it wrote (marks), and the answer. token 0: it was not acknowledged."""

    client: str
    kind: str
    """events, users, items or merges."""
    marks: tuple[str, ...]
    began: float
    ended: float = 0.0
    token: int = 0
    failed: str = ""


@dataclass(slots=True)
class Kill:
    """One process that was killed. point: a named crash point, or when."""

    process: str
    point: str
    at: float = field(default_factory=time.monotonic)


class History:
    """Safe to use from any thread."""

    def __init__(self, path: Path, **about: Any) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.events: dict[str, SentEvent] = {}
        """By mark: everything that any client ever tried to write."""
        self.attempts: list[Attempt] = []
        self.kills: list[Kill] = []
        self.violations: list[str] = []
        self.recent: deque[SentEvent] = deque(maxlen=300)
        """For clients that send again what another one sent."""
        self.hidden: dict[str, set[str]] = {}
        """By user: items whose hide was acknowledged; anonymous ids begin with "a"."""
        self.taken: dict[str, set[str]] = {}
        """The same of items that were engaged with: they do not come again unless asked for."""
        self.merged: dict[str, str] = {}
        """Acknowledged merges of one identity into a user."""
        self.token = 0
        """The newest acknowledged."""
        self.answers = 0
        """Writes that were acknowledged."""
        self.reads = 0
        self.degraded_reads = 0
        self.unsatisfied_reads = 0
        self._file = path.open("w")
        self._lock = threading.Lock()
        self.note("begins", **about)

    def note(self, what: str, **about: Any) -> None:
        """A line of the file."""
        line = json.dumps({"t": round(time.monotonic(), 4), "what": what, **about})
        with self._lock:
            self._file.write(line + "\n")

    def violation(self, text: str, **about: Any) -> None:
        """Something that must never be."""
        self.violations.append(text)
        self.note("VIOLATION", text=text, **about)
        self._file.flush()

    def mean(self, event: SentEvent) -> None:
        """A client is about to send a new event."""
        with self._lock:
            self.events[event.mark] = event
        self.recent.append(event)
        self.note("event", **{name: value for name, value in asdict(event).items() if value})

    def begin(self, client: str, kind: str, marks: tuple[str, ...]) -> Attempt:
        """A call begins."""
        attempt = Attempt(client, kind, marks, time.monotonic())
        with self._lock:
            self.attempts.append(attempt)
        self.note("attempt", client=client, kind=kind, marks=marks)
        return attempt

    def acknowledged(self, attempt: Attempt, token: int) -> None:
        """It was answered."""
        attempt.ended = time.monotonic()
        attempt.token = token
        with self._lock:
            self.answers += 1
            if attempt.kind == "events":
                self.token = max(self.token, token)
            for mark in attempt.marks:
                event = self.events.get(mark)
                kind = None if event is None else EVENT_TYPES[event.event_type]
                if event is None or kind is None or not (kind.hides or kind.in_history):
                    continue
                by_user = self.hidden if kind.hides else self.taken
                by_user.setdefault(event.user_id or event.anonymous_id, set()).add(event.item_id)
            if attempt.kind == "merges":
                self.merged[attempt.marks[0]] = attempt.marks[1]
        self.note("acknowledged", client=attempt.client, began=round(attempt.began, 4), token=token)

    def left_out(self, who: str) -> tuple[set[str], set[str]]:
        """Items that were hidden, and items that were engaged with, by whoever is known to be the same as `who`."""
        with self._lock:
            root = self._root(who)
            return (
                {item for one, items in self.hidden.items() if self._root(one) == root for item in items},
                {item for one, items in self.taken.items() if self._root(one) == root for item in items},
            )

    def _root(self, who: str) -> str:
        while who in self.merged:
            who = self.merged[who]
        return who

    def failed(self, attempt: Attempt, why: str) -> None:
        """It failed: what it wrote may be there or not."""
        attempt.ended = time.monotonic()
        attempt.failed = why
        self.note("failed", client=attempt.client, began=round(attempt.began, 4), why=why)

    def killed(self, process: str, point: str) -> None:
        """A process is dead."""
        self.kills.append(Kill(process, point))
        self.note("killed", process=process, point=point)

    def close(self) -> None:
        """The file is whole."""
        self._file.close()
