"""The front door over a real channel, fakes behind it: what goes wrong is said with the field and the bound."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from penchant.client import AsyncClient
from penchant.errors import InvalidArgument, Overloaded, ServiceUnavailable
from penchant.v1 import event_pb2, ingestion_service_pb2, ingestion_service_pb2_grpc
from penchant.v1 import recommender_service_pb2 as messages
from penchant.v1 import recommender_service_pb2_grpc as rpc
from penchant.writes import EventWrite
from services.recommender.config import FrontDoorSettings
from services.recommender.server import SERVICES, IngestionForwarder, RecommenderServicer, register_recommender
from services.recommender.status import front_door_status
from services.runtime.channels import open_channel
from services.runtime.policy_file import DEFAULT_POLICY, PolicyFile
from services.runtime.server import serve

NOW_US = 1_700_000_000_000_000


class Ingestion(ingestion_service_pb2_grpc.IngestionServiceServicer):
    """Takes every event, and is too busy for those of "busy"."""

    async def WriteEvents(self, request: Any, context: Any) -> Any:  # noqa: N802
        if request.events[0].user_id == "busy":
            raise Overloaded("the backlog is full", 250)
        await asyncio.sleep(20.0 if request.events[0].user_id == "slow" else 0.0)
        return ingestion_service_pb2.WriteEventsResponse(
            accepted=len(request.events), token=event_pb2.WriteToken(position=5)
        )


async def started(name: str, register: Any, status: Any) -> tuple[asyncio.Task[None], asyncio.Event, int]:
    stop, port = asyncio.Event(), asyncio.get_running_loop().create_future()
    settings = FrontDoorSettings(port=0, drain_s=0.0)
    task = asyncio.create_task(
        serve(name, settings, register, status, lambda: True, SERVICES, stop, listening=port.set_result)
    )
    return task, stop, await asyncio.wait_for(port, 10)


@pytest.fixture
async def address(world: Any) -> AsyncIterator[str]:
    """Of a front door over the world's fakes, forwarding to an ingestion service."""
    policy = PolicyFile(DEFAULT_POLICY, time.monotonic)
    servicer = RecommenderServicer(world.door, policy, lambda: NOW_US)

    def status() -> Any:
        return front_door_status(world.door, policy, 0, None, "")

    store, stop_store, store_port = await started(
        "feature_store",
        lambda server: ingestion_service_pb2_grpc.add_IngestionServiceServicer_to_server(Ingestion(), server),
        status,
    )
    channel = open_channel(f"127.0.0.1:{store_port}")
    forwarder = IngestionForwarder(channel, (), 1.0)

    def register(server: grpc.aio.Server) -> None:
        register_recommender(servicer, server)
        forwarder.register(server)

    door, stop_door, port = await started("recommender", register, status)
    yield f"127.0.0.1:{port}"
    stop_door.set()
    await door
    await channel.close()
    stop_store.set()
    await store


async def test_a_slate_comes_with_everything_it_was_made_of(world: Any, address: str) -> None:
    async with AsyncClient(address) as client:
        slate = await client.recommend_items(3, user_id="ann")
        again = await client.recommend_items(3, user_id="ann")
    table = world.catalogues["b1"].table
    assert [i.item_id for i in slate.items] == [table.ids[r] for r in (20, 19, 18)]
    first = slate.items[0]
    assert (first.score, first.position, first.propensity) == (40.0, 0, 1.0)
    assert first.sources == ("two_tower", "co_visitation")
    assert first.task_scores == {"like": 20.0, "buy": 10.0}
    assert (slate.versions.bundle, slate.versions.events_applied_through) == ("b1", 7)
    assert slate.versions.policy
    assert slate.recommendation_id
    assert slate.recommendation_id != again.recommendation_id


async def test_as_of_reaches_the_store_and_absent_means_now(world: Any, address: str) -> None:
    async with AsyncClient(address) as client:
        await client.recommend_items(3, user_id="ann", as_of=datetime(2020, 1, 1, tzinfo=UTC))
        await client.recommend_items(3, user_id="ann", token=4)
    assert world.store.asked == [(1_577_836_800_000_000, 0), (NOW_US, 4)]


async def test_a_request_without_a_deadline_gets_the_policys(world: Any, address: str) -> None:
    world.ranker.delay_s = 10.0
    started_at = time.monotonic()
    async with grpc.aio.insecure_channel(address) as channel:
        answer = await rpc.RecommenderServiceStub(channel).RecommendItems(
            messages.RecommendItemsRequest(user_id="ann", max_items=3)
        )
    assert time.monotonic() - started_at < 5.0
    assert list(answer.degraded_stages) == ["score:deadline"]
    assert not answer.items[0].task_scores


async def test_the_callers_deadline_is_kept(world: Any, address: str) -> None:
    world.store.delay_s = world.retrieval.delay_s = world.ranker.delay_s = 10.0
    async with AsyncClient(address, deadline_s=2.0) as client:
        slate = await client.recommend_items(3, user_id="ann")
    assert len(slate.items) == 3


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"max_items": 0}, "max_items"),
        ({"max_items": 1001}, "max_items"),
        ({"user_id": "x" * 257}, "user_id"),
        ({"user_id": "a\0b"}, "user_id"),
        ({"anonymous_id": "x" * 257}, "anonymous_id"),
        ({"device_id": "x" * 257}, "device_id"),
        ({"session_id": "x" * 257}, "session_id"),
        ({"tenant": "x" * 65}, "tenant"),
        ({"placement": "x" * 65}, "placement"),
        ({"excluded_item_ids": ["i"] * 10_001}, "excluded_item_ids"),
        ({"excluded_item_ids": ["i", "x" * 257]}, "excluded_item_ids[1]"),
        ({"candidate_item_ids": ["i"] * 1001}, "candidate_item_ids"),
        ({"context": {str(i): "" for i in range(33)}}, "context"),
        ({"sources": ["magic"]}, "sources[0]"),
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
        ({"as_of": Timestamp(seconds=-1)}, "as_of"),
        ({"as_of": Timestamp(seconds=4_000_000_000)}, "as_of"),
        ({"as_of": Timestamp(seconds=1, nanos=-5)}, "as_of"),
        ({"token": event_pb2.WriteToken(position=-1)}, "token.position"),
        ({"ranking": 9}, "ranking"),
        ({"filter": {"conditions": [{"attribute": "weight", "any_of": ["1"]}]}}, "filter.conditions[0].attribute"),
        ({"filter": {"conditions": [{"attribute": "", "any_of": ["1"]}]}}, "filter.conditions[0].attribute"),
        ({"filter": {"conditions": [{"attribute": "colour"}]}}, "filter.conditions[0]"),
        (
            {"filter": {"conditions": [{"attribute": "price", "minimum": float("nan")}]}},
            "filter.conditions[0].minimum",
        ),
        (
            {"filter": {"conditions": [{"attribute": "price", "maximum": float("inf")}]}},
            "filter.conditions[0].maximum",
        ),
        ({"filter": {"conditions": [{"attribute": "c", "any_of": ["1"]}] * 33}}, "filter.conditions"),
    ],
)
async def test_what_is_out_of_bounds_is_invalid_by_field(address: str, fields: dict[str, Any], field: str) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        request = messages.RecommendItemsRequest(**{"user_id": "ann", "max_items": 3, **fields})
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await rpc.RecommenderServiceStub(channel).RecommendItems(request)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details().startswith(field)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"item_id": ""}, "item_id"),
        ({"item_id": "x" * 257}, "item_id"),
        ({"max_items": 0}, "max_items"),
        ({"excluded_item_ids": ["i"] * 10_001}, "excluded_item_ids"),
    ],
)
async def test_similar_items_have_bounds_too(address: str, fields: dict[str, Any], field: str) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        request = messages.RecommendSimilarItemsRequest(**{"item_id": "i1", "max_items": 3, **fields})
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await rpc.RecommenderServiceStub(channel).RecommendSimilarItems(request)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details().startswith(field)


async def test_similar_users_have_bounds_too(address: str) -> None:
    async with AsyncClient(address) as client:
        with pytest.raises(InvalidArgument, match="user_id"):
            await client.recommend_similar_users("")
        with pytest.raises(InvalidArgument, match="max_users"):
            await client.recommend_similar_users("ann", 0)
        with pytest.raises(InvalidArgument):
            await client.recommend_similar_users("ann", -1)


async def test_ten_thousand_exclusions_and_empty_ones_are_fine(address: str) -> None:
    async with AsyncClient(address) as client:
        excluded = [f"i{n}" for n in range(1, 20)] + [""] + [f"none{n}" for n in range(9_980)]
        slate = await client.recommend_items(30, user_id="ann", excluded=excluded)
    assert [i.item_id for i in slate.items] == ["i20"]


async def test_similar_items_over_the_wire(address: str) -> None:
    async with AsyncClient(address) as client:
        slate = await client.recommend_similar_items("i3", 5)
        unknown = await client.recommend_similar_items("nothing", 5)
    assert len(slate.items) == len(unknown.items) == 5
    assert "i3" not in {i.item_id for i in slate.items}
    assert unknown.degraded_stages == ("retrieve:unknown item, popular ones instead",)


async def test_events_are_forwarded_and_the_answer_comes_back(address: str) -> None:
    async with AsyncClient(address) as client:
        written = await client.write_events([EventWrite(user_id="ann", item_id="i1", event_type="click")] * 2)
    assert (written.accepted, written.position) == (2, 5)


async def test_a_forwarded_refusal_keeps_its_code_and_delay(address: str) -> None:
    async with AsyncClient(address) as client:
        with pytest.raises(Overloaded) as caught:
            await client.write_events([EventWrite(user_id="busy", event_type="click")])
    assert caught.value.retry_delay_ms == 250


async def test_a_forwarded_call_ends_with_the_callers_deadline(address: str) -> None:
    started_at = time.monotonic()
    async with AsyncClient(address, deadline_s=0.2) as client:
        with pytest.raises(ServiceUnavailable):
            await client.write_events([EventWrite(user_id="slow", event_type="click")])
    assert time.monotonic() - started_at < 5.0


async def test_status_names_the_bundle_and_counts(address: str) -> None:
    async with AsyncClient(address) as client:
        await client.recommend_items(3, user_id="ann")
        status = await client.status()
    assert status.bundle_versions == ("b1",)
    assert status.metrics["slates_answered"] == 1.0
    assert status.events_applied_through == 7
    assert status.policy_version


async def test_times_of_the_client_are_exact_to_the_microsecond(world: Any, address: str) -> None:
    time_ = datetime(2021, 2, 3, 4, 5, 6, 789_123, tzinfo=UTC) + timedelta(0)
    async with AsyncClient(address) as client:
        await client.recommend_items(1, user_id="ann", as_of=time_)
    assert world.store.asked[0][0] == 1_612_325_106_789_123
