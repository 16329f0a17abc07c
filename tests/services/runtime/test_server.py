"""A server's door: tokens, bytes that are no message, sizes, deadlines, health, and a clean stop."""

import asyncio
import re
import socket
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from penchant.errors import (
    ConfigError,
    InvalidArgument,
    Overloaded,
    PenchantError,
    ServiceUnavailable,
    StoreUnavailable,
    UnknownBundle,
)
from penchant.v1 import feature_store_service_pb2 as store
from penchant.v1 import feature_store_service_pb2_grpc as store_rpc
from penchant.v1 import ranker_service_pb2 as ranker
from penchant.v1 import ranker_service_pb2_grpc as ranker_rpc
from penchant.v1 import status_service_pb2, status_service_pb2_grpc
from services.runtime.channels import open_channel, token_metadata
from services.runtime.config import ServerSettings
from services.runtime.deadline import seconds_left
from services.runtime.door import DoorInterceptor
from services.runtime.metrics import CallMetrics
from services.runtime.server import serve
from services.runtime.status import StatusSnapshot
from services.runtime.wire_errors import DETAILS, error_of

RANK = "/penchant.v1.RankerService/RankCandidates"
Answer = Callable[[ranker.RankCandidatesRequest, Any], Any]


class Ranker(ranker_rpc.RankerServiceServicer):
    """Answers, or fails, as the test says."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer

    async def RankCandidates(self, request: ranker.RankCandidatesRequest, context: Any) -> Any:  # noqa: N802
        answer = self.answer(request, context)
        return await answer if asyncio.iscoroutine(answer) else answer


class Items(store_rpc.FeatureStoreServiceServicer):
    """One change, then silence."""

    async def WatchItems(self, request: Any, context: Any) -> AsyncIterator[store.WatchItemsResponse]:  # noqa: N802
        yield store.WatchItemsResponse(position=1)
        await asyncio.sleep(60)


def tasks(request: ranker.RankCandidatesRequest, context: Any) -> ranker.RankCandidatesResponse:
    return ranker.RankCandidatesResponse(tasks=["like"])


@asynccontextmanager
async def running(
    answer: Answer = tasks, ready: Callable[[], bool] = lambda: True, **settings: Any
) -> AsyncIterator[tuple[str, asyncio.Event, asyncio.Task[None]]]:
    """A real server on a free port; its address, what stops it, and its task."""
    stop = asyncio.Event()
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def register(server: grpc.aio.Server) -> None:
        ranker_rpc.add_RankerServiceServicer_to_server(Ranker(answer), server)
        store_rpc.add_FeatureStoreServiceServicer_to_server(Items(), server)

    chosen = ServerSettings(**{"port": 0, "drain_s": 2.0, **settings})
    task = asyncio.create_task(
        serve(
            "ranker", chosen, register, lambda: StatusSnapshot(("v2", "v1"), refused_bundle="v3 is broken"), ready,
            ("penchant.v1.RankerService", "penchant.v1.FeatureStoreService"), stop, port.set_result,
        )
    )  # fmt: skip
    await asyncio.wait({task, port}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    try:
        yield f"{chosen.host}:{port.result()}", stop, task
    finally:
        stop.set()
        await task


async def rank(address: str, request: Any = None, timeout: float | None = 60, **options: Any) -> Any:
    async with open_channel(address) as channel:
        stub = ranker_rpc.RankerServiceStub(channel)
        return await stub.RankCandidates(request or ranker.RankCandidatesRequest(), timeout=timeout, **options)


async def failure(address: str, **options: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await rank(address, **options)
    return caught.value


def fails_with(error: Exception) -> Answer:
    def answer(request: ranker.RankCandidatesRequest, context: Any) -> Any:
        raise error

    return answer


async def health(address: str, service: str = "") -> int:
    async with open_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        return (await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=60)).status


async def until_serving(address: str) -> None:
    for _ in range(1000):
        if await health(address) == health_pb2.HealthCheckResponse.SERVING:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not become ready")


async def test_it_answers_and_tells_its_health_and_status() -> None:
    async with running() as (address, _, _):
        assert list((await rank(address)).tasks) == ["like"]
        await until_serving(address)
        assert await health(address, "penchant.v1.RankerService") == health_pb2.HealthCheckResponse.SERVING
        async with open_channel(address) as channel:
            stub = status_service_pb2_grpc.StatusServiceStub(channel)
            status = await stub.GetStatus(status_service_pb2.GetStatusRequest())
        assert status.service == "ranker"
        assert list(status.bundle_versions) == ["v2", "v1"]
        assert status.refused_bundle == "v3 is broken"
        assert status.metrics["calls_finished"] >= 1


async def test_health_is_not_serving_until_it_is_ready() -> None:
    state = {"ready": False}
    async with running(ready=lambda: state["ready"]) as (address, _, _):
        assert await health(address) == health_pb2.HealthCheckResponse.NOT_SERVING
        assert await health(address, "liveness") == health_pb2.HealthCheckResponse.SERVING
        state["ready"] = True
        await until_serving(address)


async def test_reflection_lists_the_services() -> None:
    async with running() as (address, _, _), open_channel(address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
        names = {s.name async for answer in call for s in answer.list_services_response.service}
        assert {"penchant.v1.RankerService", "penchant.v1.StatusService", "grpc.health.v1.Health"} <= names


async def test_without_the_token_nothing_but_health_is_answered() -> None:
    async with running(token="open sesame") as (address, _, _):
        assert list((await rank(address, metadata=token_metadata("open sesame"))).tasks) == ["like"]
        assert await health(address) in (1, 2)
        basic = (("authorization", "Basic open sesame"),)
        for metadata in ((), token_metadata("open"), token_metadata("open sesame!"), basic):
            error = await failure(address, metadata=metadata)
            assert error.code() is grpc.StatusCode.UNAUTHENTICATED
            assert "open sesame" not in (error.details() or "")
        async with open_channel(address) as channel:
            stub = reflection_pb2_grpc.ServerReflectionStub(channel)
            with pytest.raises(grpc.aio.AioRpcError):
                await anext(aiter(stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest()]))))
        assert isinstance(error_of(await failure(address)), ServiceUnavailable)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidArgument("max_items", "is 0, at least 1"), grpc.StatusCode.INVALID_ARGUMENT),
        (UnknownBundle("bundle 'x' is not held here"), grpc.StatusCode.FAILED_PRECONDITION),
        (StoreUnavailable("redis did not answer"), grpc.StatusCode.UNAVAILABLE),
        (Overloaded("the queue is full", 250), grpc.StatusCode.RESOURCE_EXHAUSTED),
    ],
)
async def test_an_error_crosses_the_wire_and_comes_back_as_itself(error: PenchantError, code: grpc.StatusCode) -> None:
    async with running(fails_with(error)) as (address, _, _):
        raised = await failure(address)
    assert raised.code() is code
    back = error_of(raised)
    assert type(back) is type(error)
    assert str(back) == str(error)
    if isinstance(error, Overloaded):
        assert isinstance(back, Overloaded)
        assert back.retry_delay_ms == 250
    if isinstance(error, InvalidArgument):
        assert isinstance(back, InvalidArgument)
        assert back.field == "max_items"
    status = status_pb2.Status.FromString(dict(raised.trailing_metadata() or ())[DETAILS])
    info = error_details_pb2.ErrorInfo()
    status.details[-1].Unpack(info)
    assert info.domain == "penchant"


async def test_a_bug_is_internal_and_shows_no_inside() -> None:
    async with running(fails_with(RuntimeError("secret inside"))) as (address, _, _):
        error = await failure(address)
    assert error.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in (error.details() or "")
    assert "Traceback" not in (error.details() or "")


async def test_bytes_that_are_no_message_are_an_invalid_argument() -> None:
    async with running() as (address, _, _), open_channel(address) as channel:
        call = channel.unary_unary(RANK)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(b"\xff\xff\xff\xff not a message", timeout=60)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert isinstance(error_of(caught.value), InvalidArgument)


async def test_a_message_beyond_the_bound_is_refused_and_the_server_lives() -> None:
    async with running(max_message_bytes=10_000) as (address, _, _):
        error = await failure(address, request=ranker.RankCandidatesRequest(bundle_version="x" * 20_000))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert list((await rank(address)).tasks) == ["like"]


async def test_calls_beyond_the_bound_are_refused_at_once() -> None:
    go_on = asyncio.Event()

    async def slow(request: Any, context: Any) -> ranker.RankCandidatesResponse:
        await go_on.wait()
        return ranker.RankCandidatesResponse(tasks=["done"])

    async with running(slow, max_concurrent_calls=2) as (address, _, _):
        calls = {asyncio.create_task(rank(address, timeout=60)) for _ in range(6)}
        refused: set[asyncio.Task[Any]] = set()
        while len(refused) < 4:
            finished, calls = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
            refused |= finished
        for task in refused:
            error = task.exception()
            assert isinstance(error, grpc.aio.AioRpcError)
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert isinstance(error_of(error), Overloaded)
        go_on.set()
        assert [list(answer.tasks) for answer in await asyncio.gather(*calls)] == [["done"], ["done"]]


async def test_the_caller_s_deadline_arrives_and_without_one_the_default_does() -> None:
    seen = []

    def note(request: Any, context: Any) -> ranker.RankCandidatesResponse:
        seen.append(seconds_left(context, 7.0))
        return ranker.RankCandidatesResponse()

    async with running(note) as (address, _, _):
        await rank(address, timeout=60)
        await rank(address, timeout=None)
    assert 7 < seen[0] < 62  # gRPC rounds up
    assert seen[1] == 7.0


class LateContext:
    """A call whose caller has gone."""

    def __init__(self) -> None:
        self.aborted: grpc.StatusCode | None = None

    def time_remaining(self) -> float:
        return -0.1

    def code(self) -> Any:
        return self.aborted

    async def abort(self, code: grpc.StatusCode, details: str) -> None:
        self.aborted = code
        raise grpc.aio.AbortError


async def test_a_call_whose_deadline_has_passed_is_not_begun() -> None:
    metrics, begun = CallMetrics(), []

    async def handler(request: bytes, context: Any) -> bytes:
        begun.append(request)
        return b""

    async def continuation(details: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(handler)

    details = type("Details", (), {"method": "/a/B", "invocation_metadata": ()})()
    wrapped = await DoorInterceptor("", metrics).intercept_service(continuation, details)
    context = LateContext()
    with pytest.raises(grpc.aio.AbortError):
        await wrapped.unary_unary(b"", context)
    assert context.aborted is grpc.StatusCode.DEADLINE_EXCEEDED
    assert begun == []
    assert metrics.numbers() == {"calls_finished": 1.0, "calls_failed": 1.0}


async def test_metrics_are_served_where_they_are_asked_for() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        metrics_port = probe.getsockname()[1]
    async with running(metrics_port=metrics_port) as (address, _, _):
        await rank(address)
        url = f"http://127.0.0.1:{metrics_port}/metrics"
        counted = re.compile(re.escape(f'penchant_calls_total{{code="OK",method="{RANK}"}} ') + r"[1-9]")
        for _ in range(100):
            text = await asyncio.to_thread(lambda: urllib.request.urlopen(url, timeout=60).read().decode())
            if counted.search(text):
                break
            await asyncio.sleep(0.1)  # A call is counted once it has ended, after its caller has the answer.
    # Not "1.0": a Feast imported by an earlier test shares the values of equal names between registries.
    assert counted.search(text)
    assert f'penchant_call_seconds_count{{method="{RANK}"}} ' in text


async def test_a_deadline_ends_a_call_on_the_minimal_channel() -> None:
    async def never(request: Any, context: Any) -> ranker.RankCandidatesResponse:
        await asyncio.sleep(30)
        return ranker.RankCandidatesResponse()

    async with running(never, drain_s=0.1) as (address, _, _):
        error = await failure(address, timeout=0.2)
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_it_stops_cleanly_while_a_stream_is_open_and_a_call_runs() -> None:
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def slow(request: Any, context: Any) -> ranker.RankCandidatesResponse:
        arrived.set()
        await go_on.wait()
        return ranker.RankCandidatesResponse(tasks=["done"])

    async with running(slow, drain_s=60) as (address, stop, task), open_channel(address) as channel:
        stream = store_rpc.FeatureStoreServiceStub(channel).WatchItems(store.WatchItemsRequest())
        assert (await stream.read()).position == 1
        call = asyncio.create_task(rank(address))
        await arrived.wait()
        stop.set()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stream.read()
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        go_on.set()
        assert list((await call).tasks) == ["done"]
        await asyncio.wait_for(task, 30)


async def test_a_port_that_is_taken_is_a_sentence() -> None:
    async with running() as (address, _, _):
        port = int(address.rsplit(":", 1)[1])
        with pytest.raises(ConfigError, match="taken"):
            async with running(port=port):
                pass
