"""The ranker over a real channel."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from penchant.errors import BundleMismatch, InvalidArgument, UnknownBundle
from penchant.ids import key
from penchant.leaves import Candidates, UserState
from penchant.retrieval import RETRIEVAL_FEATURES, SOURCES
from penchant.v1 import ranker_service_pb2 as messages
from penchant.v1 import ranker_service_pb2_grpc as rpc
from services.ranker.__main__ import main
from services.ranker.config import RankerSettings
from services.runtime.channels import open_channel
from services.runtime.wire import candidates_to_proto, pack, unpack, user_state_to_proto
from services.runtime.wire_errors import error_of


@pytest.fixture
async def stub(pristine: Path) -> AsyncIterator[rpc.RankerServiceStub]:
    stop, port = asyncio.Event(), asyncio.get_running_loop().create_future()
    settings = RankerSettings(port=0, bundles=pristine, feature_store="", log_level="error")
    serving = asyncio.create_task(main(settings, stop, port.set_result))
    async with open_channel(f"127.0.0.1:{await port}") as channel:
        yield rpc.RankerServiceStub(channel)
    stop.set()
    await serving


def request(rows: list[int], **options: Any) -> messages.RankCandidatesRequest:
    features = np.random.default_rng(0).random((len(rows), len(RETRIEVAL_FEATURES)), np.float32)
    block = Candidates(
        np.array(rows, np.uint32), features[:, 0], np.ones(len(rows), np.uint32), features, SOURCES
    )  # fmt: skip
    return messages.RankCandidatesRequest(
        **{
            "bundle_version": "walks-1",
            "user": user_state_to_proto(UserState(key("", "nobody"))),
            "candidates": candidates_to_proto(block),
            "as_of_us": 1,
            **options,
        }
    )


async def test_scores_come_over_the_wire(stub: Any) -> None:
    response = await stub.RankCandidates(request([5, 1, 9], return_features=True), timeout=60)
    assert list(response.tasks) == ["engage"]
    assert len(unpack(response.scores, np.float32, "")) == 3
    assert len(unpack(response.features, np.float32, "")) % 3 == 0
    assert len(response.features) > 0
    empty = await stub.RankCandidates(request([]), timeout=60)
    assert empty.scores == b""
    assert list(empty.tasks) == ["engage"]


async def failure(stub: Any, message: messages.RankCandidatesRequest) -> Exception:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.RankCandidates(message, timeout=60)
    return error_of(caught.value)


async def test_bad_columns_are_refused_with_their_field(stub: Any) -> None:
    for name, data in (("rows", b"12"), ("scores", b"1234"), ("features", b"12345678"), ("keys", bytes(8))):
        message = request([5, 1, 9])
        setattr(message.candidates, name, data)
        error = await failure(stub, message)
        assert isinstance(error, InvalidArgument)
        assert error.field == f"candidates.{name}"
    beyond = await failure(stub, request([1, 4_000_000_000]))
    assert str(beyond).startswith("candidates.rows: row 4000000000 is beyond")
    miscounted = request([5, 1, 9])
    miscounted.candidates.count = 2**32 - 1
    assert str(await failure(stub, miscounted)).startswith("candidates.rows: 3 values, but count is")


async def test_a_user_of_another_schema_and_an_unknown_bundle_are_failed_preconditions(stub: Any) -> None:
    message = request([1])
    message.user.dense = pack(np.zeros(2), np.float32)
    assert isinstance(await failure(stub, message), BundleMismatch)
    assert isinstance(await failure(stub, request([1], bundle_version="v9")), UnknownBundle)
