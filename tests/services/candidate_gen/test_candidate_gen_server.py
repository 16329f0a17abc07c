"""Candidate generation over a real channel: what it is asked and told, and the items it follows."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from penchant.errors import InvalidArgument, UnknownBundle
from penchant.ids import key, keys
from penchant.item_table import ItemChange, ItemTable
from penchant.leaves import UserState
from penchant.v1 import candidate_gen_service_pb2 as messages
from penchant.v1 import candidate_gen_service_pb2_grpc as rpc
from penchant.v1 import candidate_pb2, feature_store_service_pb2, feature_store_service_pb2_grpc
from services.candidate_gen.__main__ import main
from services.candidate_gen.config import CandidateGenSettings
from services.runtime.channels import open_channel, token_metadata
from services.runtime.wire import candidates_from_proto, item_change_to_proto, pack, unpack, user_state_to_proto
from services.runtime.wire_errors import error_of

TOKEN = "a token of the feature store"


@dataclass
class FakeFeatureStore(feature_store_service_pb2_grpc.FeatureStoreServiceServicer):
    """Tells of the changes in `changes`; a broken connection is the test's to make."""

    changes: list[ItemChange] = field(default_factory=list)
    asked_from: list[int] = field(default_factory=list)
    snapshot_next: bool = False
    breaks: asyncio.Event = field(default_factory=asyncio.Event)

    async def WatchItems(self, request: Any, context: Any) -> Any:  # noqa: N802
        assert dict(context.invocation_metadata())["authorization"] == f"Bearer {TOKEN}"
        self.asked_from.append(request.from_position)
        told = request.from_position
        self.breaks.clear()
        while not self.breaks.is_set():
            new = [c for c in self.changes if c.position > told or self.snapshot_next]
            if new:
                told = new[-1].position
                yield feature_store_service_pb2.WatchItemsResponse(
                    snapshot=self.snapshot_next, changes=[item_change_to_proto(c) for c in new], position=told
                )
                self.snapshot_next = False
            await asyncio.sleep(0.01)
        await context.abort(grpc.StatusCode.UNAVAILABLE, "gone for a moment")


@pytest.fixture
async def store() -> AsyncIterator[tuple[FakeFeatureStore, str]]:
    fake = FakeFeatureStore()
    server = grpc.aio.server()
    feature_store_service_pb2_grpc.add_FeatureStoreServiceServicer_to_server(fake, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield fake, f"127.0.0.1:{port}"
    await server.stop(None)


@pytest.fixture
async def stub(pristine: Path, store: tuple[FakeFeatureStore, str]) -> AsyncIterator[rpc.CandidateGenServiceStub]:
    stop, port = asyncio.Event(), asyncio.get_running_loop().create_future()
    settings = CandidateGenSettings(
        port=0, bundles=pristine, feature_store=store[1], feature_store_token=TOKEN, log_level="error"
    )
    serving = asyncio.create_task(main(settings, stop, port.set_result))
    async with open_channel(f"127.0.0.1:{await port}") as channel:
        yield rpc.CandidateGenServiceStub(channel)
    stop.set()
    await serving


def request(state: UserState | None = None, **options: Any) -> messages.RetrieveCandidatesRequest:
    user = user_state_to_proto(state or UserState(key("", "nobody")))
    return messages.RetrieveCandidatesRequest(
        **{"bundle_version": "walks-1", "user": user, "max_candidates": 20, "as_of_us": 1, **options}
    )


async def until(condition: Callable[[], Any]) -> None:
    for _ in range(3000):
        if await condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not come about")


async def test_candidates_come_over_the_wire(stub: Any, pristine: Path) -> None:
    history = keys("", ["i10", "i12", "i14"])
    state = UserState(
        key("", "u1"), True, history, np.arange(3), np.full(3, 2), np.full(3, np.nan, np.float32), np.sort(history)
    )
    response = await stub.RetrieveCandidates(request(state), timeout=60)
    found = candidates_from_proto(response.candidates)
    ids = ItemTable.open(pristine / "walks-1").ids
    assert len(found.rows) == 20
    assert not {"i10", "i12", "i14"} & {ids[row] for row in found.rows}
    assert len({"i15", "i16", "i17", "i18"} & {ids[row] for row in found.rows[:6]}) >= 2
    assert list(response.degraded_sources) == []


async def test_similar_users_come_over_the_wire(stub: Any) -> None:
    history = keys("", ["i10", "i12"])
    state = UserState(key("", "u1"), True, history, np.arange(2), np.full(2, 2), np.zeros(2, np.float32))
    response = await stub.RetrieveCandidates(request(state, similar_users=True, max_candidates=3), timeout=60)
    assert len(unpack(response.similar_user_keys, np.int64, "")) == 3
    assert len(unpack(response.similar_user_scores, np.float32, "")) == 3


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"max_candidates": 0}, "max_candidates"),
        ({"max_candidates": 4_000_000_000}, "max_candidates"),
        ({"excluded_keys": b"1234567"}, "excluded_keys"),
        ({"excluded_keys": bytes(8 * 20_001)}, "excluded_keys"),
        ({"caller_keys": b"1"}, "caller_keys"),
        ({"similar_to_keys": b"123"}, "similar_to_keys"),
        ({"sources": ["guess"]}, "sources[0]"),
        ({"filter": candidate_pb2.ItemFilter(conditions=[{"attribute": ""}])}, "filter.conditions[0].attribute"),
        ({"filter": candidate_pb2.ItemFilter(conditions=[{"attribute": "genre"}])}, "filter.conditions[0]"),
        (
            {"filter": candidate_pb2.ItemFilter(conditions=[{"attribute": "price", "minimum": float("nan")}])},
            "filter.conditions[0].minimum",
        ),
        (
            {"filter": candidate_pb2.ItemFilter(conditions=[{"attribute": "hue", "any_of": ["red"]}])},
            "filter.conditions[0].attribute",
        ),
    ],
)
async def test_a_bad_request_is_refused_with_its_field(stub: Any, options: dict[str, Any], field: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.RetrieveCandidates(request(**options), timeout=60)
    error = error_of(caught.value)
    assert isinstance(error, InvalidArgument)
    assert error.field == field


async def test_columns_of_a_user_that_are_not_aligned_are_refused(stub: Any) -> None:
    bad = request()
    bad.user.history_keys = pack(np.arange(3), np.int64)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.RetrieveCandidates(bad, timeout=60)
    assert str(error_of(caught.value)) == "user.history_times: 0 values for 3 history_keys"


async def test_an_unknown_bundle_is_a_failed_precondition(stub: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.RetrieveCandidates(request(bundle_version="v9"), timeout=60)
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert isinstance(error_of(caught.value), UnknownBundle)


async def test_it_follows_the_items_over_broken_connections_and_snapshots(
    stub: Any, store: tuple[FakeFeatureStore, str]
) -> None:
    fake, _ = store

    async def all_keys() -> set[int]:
        response = await stub.RetrieveCandidates(request(max_candidates=2000), timeout=60)
        found = candidates_from_proto(response.candidates)
        return set(found.keys.tolist()) or set(found.rows.tolist())

    async def holds(item: str) -> bool:
        return key("", item) in await all_keys()

    before = await all_keys()
    fake.changes.append(ItemChange(1, key("", "n1"), "n1", attributes={"genre": "drama"}))
    await until(lambda: holds("n1"))
    fake.breaks.set()
    fake.changes.append(ItemChange(2, key("", "n2"), "n2", attributes={"genre": "drama"}))
    await until(lambda: holds("n2"))
    assert fake.asked_from == [0, 1]
    # The store has lost its log and begins anew, at lower positions: what it no longer knows is gone here too.
    fake.changes[:] = [ItemChange(1, key("", "n3"), "n3", attributes={"price": 1.0})]
    fake.snapshot_next = True
    fake.breaks.set()
    await until(lambda: holds("n3"))
    assert not await holds("n1")
    assert not await holds("n2")
    assert len(await all_keys()) == len(before) + 1


def test_tokens_are_sent_only_where_there_is_one() -> None:
    assert token_metadata("") == ()
