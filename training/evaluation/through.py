"""The same evaluation through a running stack: users are replayed over gRPC and every slate is served.

Each evaluated user is written under a fresh id, "eval:<run>:<user>", so that a run neither sees nor changes what the
stack holds of its own users; the events carry {"evaluation": run} in their context, which keeps them out of item
counters and of training.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import grpc
import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp
from numpy.typing import NDArray

from penchant.bundle import current
from penchant.errors import ConfigError, PenchantError
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
from training.evaluation.metrics import LIST_LENGTH, Lists
from training.evaluation.protocol import TargetSet, Timeline, timelines, user_attributes

SERVED = {
    "ranked": recommender_service_pb2.RANKING_MODEL,
    "retrieval": recommender_service_pb2.RANKING_RETRIEVAL,
}
"""Systems that the front door serves, and how they are asked for."""
IN_FLIGHT = 8
_BATCH = 1000
_TIMEOUT_S = 30.0
_ATTEMPTS = 8
_T = TypeVar("_T")


class ServerMismatchError(PenchantError):
    """The running stack does not serve what is being evaluated."""


@dataclass(slots=True)
class Served:
    """What the front door answered: slates by mask and system, and how often each stage degraded."""

    slates: dict[str, dict[str, Lists]]
    degraded: dict[str, int] = field(default_factory=dict)
    requests: int = 0


@dataclass(frozen=True, slots=True)
class _Door:
    """The stubs of one front door, and what every call needs."""

    recommender: "recommender_service_pb2_grpc.RecommenderServiceAsyncStub"
    ingestion: "ingestion_service_pb2_grpc.IngestionServiceAsyncStub"
    metadata: tuple[tuple[str, str], ...]
    run: str
    bundle: str
    rows: dict[str, int]


async def evaluate_through(
    address: str,
    bundles: Path,
    dataset: Dataset,
    targets: TargetSet,
    table: ItemTable,
    run: str,
    token: str = "",
    progress: Callable[[int], None] = lambda done: None,
) -> Served:
    """Slates of SERVED, masked and unmasked, for every target; a user's events keep their order.

    Raises ServerMismatchError if the stack serves another bundle or refuses an event, ConfigError if it cannot be
    reached.
    """
    published = current(bundles)
    assert published is not None
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    async with grpc.aio.insecure_channel(address, options=[("grpc.max_receive_message_length", 64 << 20)]) as channel:
        await _check_bundle(channel, address, published.name, metadata)
        door = _Door(
            recommender_service_pb2_grpc.RecommenderServiceStub(channel),
            ingestion_service_pb2_grpc.IngestionServiceStub(channel),
            metadata,
            run,
            published.name,
            {item_id: row for row, item_id in enumerate(table.ids) if row},
        )
        served = Served({mask: {s: _no_slates(len(targets)) for s in SERVED} for mask in ("masked", "unmasked")})
        await _all((_replay(door, dataset, line, served, progress) for line in timelines(dataset, targets)), IN_FLIGHT)
    return served


def _no_slates(targets: int) -> Lists:
    return np.zeros((targets, LIST_LENGTH), np.int64)


async def _all(work: Iterable[Coroutine[Any, Any, None]], width: int) -> None:
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


async def _replay(
    door: _Door, dataset: Dataset, line: Timeline, served: Served, progress: Callable[[int], None]
) -> None:
    """One user's life: attributes, then for each target what came before it, the slates, and on."""
    user_id = f"eval:{door.run}:{dataset.user_ids[line.user]}"
    await _write_user(door, user_id, user_attributes(dataset, line.user))
    written = 0
    for i, at in enumerate(line.target_at.tolist()):
        token = await _write_events(door, dataset, user_id, line.events[written:at])
        written = at
        as_of = _timestamp(int(dataset.events.times[line.events[at]]))
        for mask in ("masked", "unmasked"):
            for system, ranking in SERVED.items():
                request = recommender_service_pb2.RecommendItemsRequest(
                    user_id=user_id,
                    max_items=LIST_LENGTH,
                    include_seen=mask == "unmasked",
                    ranking=ranking,
                    as_of=as_of,
                    token=token,
                    context={"evaluation": door.run},
                )
                rows = await _ask(door, request, served)
                served.slates[mask][system][line.first_target + i, : len(rows)] = rows
        progress(1)


async def _ask(
    door: _Door, request: recommender_service_pb2.RecommendItemsRequest, served: Served
) -> NDArray[np.int64]:
    answer = await _retried(door.recommender.RecommendItems, request, door)
    served.requests += 1
    for stage in answer.degraded_stages:
        served.degraded[stage] = served.degraded.get(stage, 0) + 1
    if answer.versions.bundle != door.bundle:
        raise ServerMismatchError(
            f"the stack moved from bundle {door.bundle} to {answer.versions.bundle} meanwhile: evaluate again"
        )
    # Items written after the bundle are in no list of the offline systems either: they are passed over.
    rows = [door.rows[item.item_id] for item in answer.items if item.item_id in door.rows]
    return np.array(rows[:LIST_LENGTH], np.int64)


async def _write_user(door: _Door, user_id: str, attributes: dict[str, str]) -> None:
    if not attributes:
        return
    user = event_pb2.User(
        user_id=user_id, attributes={name: event_pb2.AttributeValue(text=value) for name, value in attributes.items()}
    )
    request = ingestion_service_pb2.WriteUsersRequest(users=[user])
    answer = await _retried(door.ingestion.WriteUsers, request, door)
    _refuse(answer.rejections, user_id)


async def _write_events(
    door: _Door, dataset: Dataset, user_id: str, index: NDArray[np.int64]
) -> event_pb2.WriteToken | None:
    """Write events in order; the token of the last batch, None if there was nothing to write."""
    token = None
    for start in range(0, len(index), _BATCH):
        events = [_event(door.run, dataset, user_id, i) for i in index[start : start + _BATCH].tolist()]
        request = ingestion_service_pb2.WriteEventsRequest(events=events)
        answer = await _retried(door.ingestion.WriteEvents, request, door)
        _refuse(answer.rejections, user_id)
        token = answer.token
    return token


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


async def _retried(call: Callable[..., Any], request: Any, door: _Door) -> Any:
    """The call's answer; waits and asks again while the stack says it is too busy."""
    wait_s = 0.05
    for _ in range(_ATTEMPTS - 1):
        try:
            return await call(request, timeout=_TIMEOUT_S, metadata=door.metadata)
        except grpc.aio.AioRpcError as error:
            if error.code() != grpc.StatusCode.RESOURCE_EXHAUSTED:
                raise
        await asyncio.sleep(wait_s)
        wait_s *= 2
    return await call(request, timeout=_TIMEOUT_S, metadata=door.metadata)
