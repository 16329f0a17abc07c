"""Clients that write and read while processes die, and hold every answer against what they know."""

import random
import threading
import time
from typing import Any

import grpc
from fault.history import Attempt, History, SentEvent

from penchant.v1 import event_pb2, ingestion_service_pb2, recommender_service_pb2
from penchant.v1.ingestion_service_pb2_grpc import IngestionServiceStub
from penchant.v1.recommender_service_pb2_grpc import RecommenderServiceStub

OPTIONS = (
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
)
USERS, ITEMS = 300, 60
KINDS = ("click", "view", "rating", "purchase", "impression", "like", "skip", "search", "comment", "hide", "dislike")
WEIGHTS = (40, 14, 14, 5, 10, 5, 3, 3, 3, 2, 1)
_WITHOUT_ITEM = ("search", "comment")


class Gate:
    """Where clients stand still while the checker looks."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._closed = False
        self._standing = 0

    def pass_(self) -> None:
        """Of a client between two calls."""
        with self._changed:
            self._standing += 1
            self._changed.notify_all()
            while self._closed:
                self._changed.wait()
            self._standing -= 1

    def close(self, clients: int) -> None:
        """Returns once all of them stand."""
        with self._changed:
            self._closed = True
            while self._standing < clients:
                self._changed.wait()

    def open(self) -> None:
        """They go on."""
        with self._changed:
            self._closed = False
            self._changed.notify_all()


class StormClient(threading.Thread):
    """Writes batches, again until they are acknowledged, and asks for slates in between."""

    def __init__(self, name: str, address: str, seed: str, history: History, gate: Gate) -> None:
        super().__init__(name=name, daemon=True)
        self.stop = False
        self._history = history
        self._gate = gate
        self._rng = random.Random(f"{seed}/{name}")
        self._channel = grpc.insecure_channel(address, OPTIONS)
        self._ingestion: Any = IngestionServiceStub(self._channel)
        self._recommender: Any = RecommenderServiceStub(self._channel)
        self._count = 0
        self._again: list[SentEvent] = []
        """Sent, with an event_id, and not acknowledged."""
        self._through = 0
        self._token = 0

    def run(self) -> None:
        """Until told to stop."""
        try:
            while not self.stop:
                self._gate.pass_()
                self._act()
                time.sleep(self._rng.uniform(0.0, 0.06))
        except Exception as error:  # a client that is gone would make everything look well
            self._history.violation(f"client {self.name} ended by {error!r}")
            raise
        finally:
            self._channel.close()

    def _act(self) -> None:
        draw = self._rng.random()
        if draw < 0.45:
            self.write_events()
        elif draw < 0.55:
            self._stream_events()
        elif draw < 0.59:
            self._write_users()
        elif draw < 0.62:
            self._write_items()
        elif draw < 0.65:
            self._merge()
        else:
            self._read()

    def write_events(self) -> Attempt:
        """One batch."""
        batch = self._batch()
        attempt = self._history.begin(self.name, "events", tuple(event.mark for event in batch))
        request = ingestion_service_pb2.WriteEventsRequest(events=[event.to_proto() for event in batch])
        answer = self._call(attempt, self._ingestion.WriteEvents, request)
        if answer is None:
            self._send_again(batch)
        else:
            self._answered(attempt, answer)
        return attempt

    def _stream_events(self) -> None:
        """Some batches ahead of their answers; where the stream breaks, nothing is known of the rest."""
        batches = [self._batch() for _ in range(self._rng.randrange(2, 7))]
        attempts = [self._history.begin(self.name, "events", tuple(e.mark for e in batch)) for batch in batches]
        requests = [
            ingestion_service_pb2.StreamEventsRequest(events=[event.to_proto() for event in batch]) for batch in batches
        ]
        answered = 0
        try:
            for answer in self._ingestion.StreamEvents(iter(requests), timeout=8.0):
                self._answered(attempts[answered], answer)
                answered += 1
            if answered < len(batches):
                self._history.violation(f"{self.name}: a stream of {len(batches)} ended well after {answered} answers")
        except grpc.RpcError as error:
            for attempt, batch in zip(attempts[answered:], batches[answered:], strict=True):
                self._failed(attempt, error)
                self._send_again(batch)

    def _batch(self) -> list[SentEvent]:
        """New events, those that failed before, and now and then what was acknowledged long ago."""
        rng = self._rng
        batch = [self._event() for _ in range(rng.choice((1, 1, 5, 20, 60)))]
        for event in batch:
            self._history.mean(event)
        with_id = [event for event in batch if event.event_id]
        if self._again and rng.random() < 0.8:
            batch, self._again = [*self._again[:200], *batch], self._again[200:]
        if rng.random() < 0.1:
            known = list(self._history.recent)
            batch += [event for event in rng.sample(known, min(3, len(known))) if event.event_id]
        if with_id and rng.random() < 0.05:
            batch.append(rng.choice(with_id))
        return batch

    def _answered(self, attempt: Attempt, answer: Any) -> None:
        if answer.accepted != len(attempt.marks) or answer.rejections:
            said = f"{answer.accepted} of {len(attempt.marks)} accepted: {answer.rejections}"
            self._history.violation(f"{self.name}: {said}")
        self._token = answer.token.position
        self._history.acknowledged(attempt, self._token)

    def _send_again(self, batch: list[SentEvent]) -> None:
        """Later, what has an id; the rest may be lost or in the log, and is not sent again."""
        waiting = {event.mark: event for event in [*self._again, *batch] if event.event_id}
        self._again = list(waiting.values())
        time.sleep(self._rng.uniform(0.02, 0.2))

    def _event(self) -> SentEvent:
        rng = self._rng
        self._count += 1
        mark = f"{self.name}-{self._count}"
        kind = rng.choices(KINDS, WEIGHTS)[0]
        at_us = time.time_ns() // 1000
        late = rng.random()
        if late < 0.15:
            at_us -= rng.randrange(40 * 86_400_000_000)
        elif late < 0.25:
            at_us -= at_us % 10_000_000  # many events of one time: then arrival decides
        signed_in = rng.random() < 0.9
        return SentEvent(
            mark,
            mark if rng.random() < 0.8 else "",
            f"u{rng.randrange(USERS)}" if signed_in else "",
            "" if signed_in else f"a{rng.randrange(USERS)}",
            "" if kind in _WITHOUT_ITEM else f"i{rng.randrange(ITEMS)}",
            kind,
            rng.randrange(1, 11) / 2 if kind == "rating" else None,
            f"words {rng.randrange(100)}" if kind in _WITHOUT_ITEM else "",
            at_us,
            2 if rng.random() < 0.03 else 0,
            rng.random() < 0.03,
        )

    def _write_users(self) -> None:
        """Attributes are replaced as a whole, so every attempt has a mark of its own."""
        self._count += 1
        mark = f"{self.name}-user-{self._count}"
        user = event_pb2.User(user_id=f"u{self._rng.randrange(USERS)}")
        user.attributes["mark"].text = mark
        user.attributes["plan"].text = self._rng.choice(("free", "paid"))
        attempt = self._history.begin(self.name, "users", (mark,))
        request = ingestion_service_pb2.WriteUsersRequest(users=[user])
        if self._call(attempt, self._ingestion.WriteUsers, request) is not None:
            self._history.acknowledged(attempt, -1)

    def _write_items(self) -> None:
        self._count += 1
        mark = f"{self.name}-item-{self._count}"
        item = event_pb2.Item(item_id=f"n{self._rng.randrange(20)}", available=self._rng.random() < 0.8)
        item.attributes["mark"].text = mark
        item.attributes["genre"].text = self._rng.choice(("comedy", "drama", "western"))
        attempt = self._history.begin(self.name, "items", (mark,))
        request = ingestion_service_pb2.WriteItemsRequest(items=[item])
        answer = self._call(attempt, self._ingestion.WriteItems, request)
        if answer is not None:
            self._history.acknowledged(attempt, answer.item_table_position)

    def _merge(self) -> None:
        """Somebody signs in; now and then two users are one. What was merged elsewhere before is refused."""
        rng = self._rng
        who = f"a{rng.randrange(USERS)}" if rng.random() < 0.9 else f"u{rng.randrange(USERS)}"
        into = f"u{rng.randrange(USERS)}"
        if who == into:
            return
        field = "anonymous_id" if who.startswith("a") else "user_id"
        merge = event_pb2.IdentityMerge(into_user_id=into, **{field: who})
        attempt = self._history.begin(self.name, "merges", (who, into))
        request = ingestion_service_pb2.MergeIdentitiesRequest(merge=merge)
        answer = self._call(attempt, self._ingestion.MergeIdentities, request)
        if answer is not None:
            self._history.acknowledged(attempt, answer.token.position)

    def _call(self, attempt: Attempt, method: Any, request: Any) -> Any:
        """The answer, or None where there is none: noted."""
        try:
            return method(request, timeout=5.0)
        except grpc.RpcError as error:
            self._failed(attempt, error)
            return None

    def _failed(self, attempt: Attempt, error: grpc.RpcError) -> None:
        """Only what a client may send again is a good reason."""
        code, said = error.code(), error.details() or ""
        self._history.failed(attempt, f"{code.name}: {said[:120]}")
        refused = code is grpc.StatusCode.INVALID_ARGUMENT and attempt.kind != "merges"
        if refused or code in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN):
            self._history.violation(f"{self.name}: {attempt.kind} answered {code.name}: {said}")

    def _read(self) -> None:
        history, rng = self._history, self._rng
        user = f"u{rng.randrange(USERS)}"
        if history.hidden and rng.random() < 0.7:
            user = rng.choice([*history.hidden.copy(), *history.merged.copy().values()])
        token = rng.choice((0, self._token, history.token))
        hidden, taken = history.left_out(user)
        request = recommender_service_pb2.RecommendItemsRequest(
            user_id=user if user.startswith("u") else "",
            anonymous_id=user if user.startswith("a") else "",
            max_items=rng.choice((10, 1000)),
            include_seen=rng.random() < 0.7,
        )
        if token:
            request.token.position = token
        try:
            slate = self._recommender.RecommendItems(request, timeout=3.0)
        except grpc.RpcError as error:
            history.note("read failed", client=self.name, code=error.code().name)
            return
        degraded = list(slate.degraded_stages)
        through = slate.versions.events_applied_through
        history.reads += 1
        history.note(
            "read", client=self.name, user=user, token=token, satisfied=slate.token_satisfied, through=through,
            degraded=degraded, table=slate.versions.item_table_position,
        )  # fmt: skip
        if any(stage.startswith("hydrate_query") for stage in degraded):
            history.degraded_reads += 1
            return
        items = {item.item_id for item in slate.items}
        shown = taken & items
        if shown and not request.include_seen and not any(stage.startswith("filter_seen") for stage in degraded):
            history.violation(f"{self.name}: {user} acted on {sorted(shown)} and is shown them, undegraded")
        shown = hidden & items
        if shown:
            history.violation(f"{self.name}: {user} hid {sorted(shown)} and is shown them, undegraded", through=through)
        if token and slate.token_satisfied and through < token:
            history.violation(f"{self.name}: token {token} said to be satisfied at {through}")
        if token and not slate.token_satisfied:
            history.unsatisfied_reads += 1
        if through < self._through:
            history.violation(f"{self.name}: events_applied_through went from {self._through} back to {through}")
        self._through = max(self._through, through)
