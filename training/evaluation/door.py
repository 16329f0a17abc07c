"""A front door seen by an evaluation: users under ids of the run, events in order, slates as item-table rows.

Each user is written under a fresh id, "eval:<run>:<user>", so that a run neither sees nor changes what the stack holds
of its own users; the events carry {"evaluation": run} in their context, which keeps them out of item counters and of
training.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp
from numpy.typing import NDArray

from penchant.bundle import current
from penchant.errors import BundleMismatch, ConfigError, PenchantError
from penchant.item_table import ItemTable
from penchant.v1 import (
    event_pb2,
    ingestion_service_pb2,
    ingestion_service_pb2_grpc,
    recommender_service_pb2,
    recommender_service_pb2_grpc,
    status_service_pb2,
    status_service_pb2_grpc,
)
from training.data.dataset import Dataset
from training.evaluation.metrics import LIST_LENGTH
from training.evaluation.protocol import user_attributes

IN_FLIGHT = 8
_BATCH = 1000
_TIMEOUT_S = 30.0
_ATTEMPTS = 8


class ServerMismatchError(PenchantError):
    """The running stack does not serve what is being evaluated."""


@dataclass(slots=True)
class Answers:
    """What the slates said of themselves: how often each stage degraded, and how many there were."""

    degraded: dict[str, int] = field(default_factory=dict)
    requests: int = 0


@dataclass(frozen=True, slots=True)
class Door:
    """One front door, for one run over one dataset."""

    recommender: "recommender_service_pb2_grpc.RecommenderServiceAsyncStub"
    ingestion: "ingestion_service_pb2_grpc.IngestionServiceAsyncStub"
    metadata: tuple[tuple[str, str], ...]
    run: str
    bundle: str
    dataset: Dataset
    rows: dict[str, int]
    answers: Answers = field(default_factory=Answers)

    def user_id(self, user: int) -> str:
        """The id that the dataset's user goes by in this run."""
        return f"eval:{self.run}:{self.dataset.user_ids[user]}"

    async def write_user(self, user: int) -> None:
        """Write the user's attributes. Raises ServerMismatchError if they are refused."""
        attributes = user_attributes(self.dataset, user)
        if not attributes:
            return
        message = event_pb2.User(
            user_id=self.user_id(user),
            attributes={name: event_pb2.AttributeValue(text=value) for name, value in attributes.items()},
        )
        request = ingestion_service_pb2.WriteUsersRequest(users=[message])
        answer = await self._retried(self.ingestion.WriteUsers, request)
        _refuse(answer.rejections, message.user_id)

    async def write_events(self, user: int, index: NDArray[np.int64]) -> event_pb2.WriteToken | None:
        """Write events in order; the token of the last batch, None if there was nothing to write."""
        token = None
        user_id = self.user_id(user)
        for start in range(0, len(index), _BATCH):
            events = [_event(self.run, self.dataset, user_id, i) for i in index[start : start + _BATCH].tolist()]
            request = ingestion_service_pb2.WriteEventsRequest(events=events)
            answer = await self._retried(self.ingestion.WriteEvents, request)
            _refuse(answer.rejections, user_id)
            token = answer.token
        return token

    async def ask(
        self,
        user: int,
        as_of_us: int,
        token: event_pb2.WriteToken | None,
        ranking: "recommender_service_pb2.Ranking",
        *,
        include_seen: bool = False,
        sources: Sequence[str] = (),
    ) -> tuple[NDArray[np.int64], recommender_service_pb2.RecommendItemsResponse]:
        """Rows int64 of one slate of LIST_LENGTH, and the answer. Raises ServerMismatchError if the bundle moved on."""
        request = recommender_service_pb2.RecommendItemsRequest(
            user_id=self.user_id(user),
            max_items=LIST_LENGTH,
            include_seen=include_seen,
            ranking=ranking,
            sources=sources,
            as_of=_timestamp(as_of_us),
            token=token,
            context={"evaluation": self.run},
        )
        answer = await self._retried(self.recommender.RecommendItems, request)
        self.answers.requests += 1
        for stage in answer.degraded_stages:
            self.answers.degraded[stage] = self.answers.degraded.get(stage, 0) + 1
        if answer.versions.bundle != self.bundle:
            raise ServerMismatchError(
                f"the stack moved from bundle {self.bundle} to {answer.versions.bundle} meanwhile: evaluate again"
            )
        # Items written after the bundle are in no list of the offline systems either: they are passed over.
        rows = [self.rows[item.item_id] for item in answer.items if item.item_id in self.rows]
        return np.array(rows[:LIST_LENGTH], np.int64), answer

    async def _retried(self, call: Callable[..., Any], request: Any) -> Any:
        """The call's answer; waits and asks again while the stack says it is too busy."""
        wait_s = 0.05
        for _ in range(_ATTEMPTS - 1):
            try:
                return await call(request, timeout=_TIMEOUT_S, metadata=self.metadata)
            except grpc.aio.AioRpcError as error:
                if error.code() != grpc.StatusCode.RESOURCE_EXHAUSTED:
                    raise
            await asyncio.sleep(wait_s)
            wait_s *= 2
        return await call(request, timeout=_TIMEOUT_S, metadata=self.metadata)


@asynccontextmanager
async def open_door(
    address: str, bundles: Path, dataset: Dataset, table: ItemTable, run: str, token: str = ""
) -> AsyncIterator[Door]:
    """A door to a running stack that serves the bundle which `bundles` publishes.

    Raises BundleMismatch if none is published, ServerMismatchError if the stack serves another, ConfigError if it
    cannot be reached.
    """
    published = current(bundles)
    if published is None:
        raise BundleMismatch(f"{bundles} publishes no bundle: train one with `python -m training fit`")
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    async with grpc.aio.insecure_channel(address, options=[("grpc.max_receive_message_length", 64 << 20)]) as channel:
        await _check_bundle(channel, address, published.name, metadata)
        yield Door(
            recommender_service_pb2_grpc.RecommenderServiceStub(channel),
            ingestion_service_pb2_grpc.IngestionServiceStub(channel),
            metadata,
            run,
            published.name,
            dataset,
            {item_id: row for row, item_id in enumerate(table.ids) if row},
        )


async def run_all(work: Iterable[Coroutine[Any, Any, None]], width: int = IN_FLIGHT) -> None:
    """Run coroutines, `width` at a time, in order; the first failure ends it all."""
    waiting: Iterator[Coroutine[Any, Any, None]] = iter(work)

    async def worker() -> None:
        for one in waiting:
            await one

    workers = [asyncio.ensure_future(worker()) for _ in range(width)]
    try:
        await asyncio.gather(*workers)
    finally:
        for one in workers:
            one.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


async def _check_bundle(
    channel: grpc.aio.Channel, address: str, expected: str, metadata: tuple[tuple[str, str], ...]
) -> None:
    stub = status_service_pb2_grpc.StatusServiceStub(channel)
    try:
        status = await stub.GetStatus(status_service_pb2.GetStatusRequest(), timeout=10.0, metadata=metadata)
    except grpc.aio.AioRpcError as error:
        raise ConfigError(
            f"no stack answers at {address} ({error.code().name}: {error.details()}): start one with `make up`"
        ) from None
    newest = status.bundle_versions[0] if status.bundle_versions else "none"
    if newest != expected:
        why = f" (refused: {status.refused_bundle})" if status.refused_bundle else ""
        raise ServerMismatchError(
            f"{address} serves bundle {newest}{why}, --bundles publishes {expected}: point both at the same folder"
        )


def _event(run: str, dataset: Dataset, user_id: str, i: int) -> event_pb2.Event:
    events = dataset.events
    item, value = int(events.items[i]), float(events.values[i])
    message = event_pb2.Event(
        user_id=user_id,
        item_id=dataset.item_ids[item] if item >= 0 else "",
        event_type=dataset.event_types[events.types[i]],
        event_time=_timestamp(int(events.times[i])),
        context={"evaluation": run},
    )
    if value == value:
        message.value = value
    if events.texts is not None:
        message.text = str(events.texts[i])
    if events.slate_positions is not None and events.slate_positions[i] >= 0:
        message.position = int(events.slate_positions[i])
    return message


def _refuse(rejections: Sequence[event_pb2.Rejection], user_id: str) -> None:
    if rejections:
        first = rejections[0]
        raise ServerMismatchError(
            f"{len(rejections)} writes of {user_id} were refused, the first: {first.field}: {first.reason}"
        )


def _timestamp(time_us: int) -> Timestamp:
    return Timestamp(seconds=time_us // 1_000_000, nanos=time_us % 1_000_000 * 1000)
