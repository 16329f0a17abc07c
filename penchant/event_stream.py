"""Batches of events over one stream: sent ahead of their answers, answered in order.

What was yielded is durable; an error after that says nothing of the batches that were still waiting.
"""

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from queue import SimpleQueue
from typing import Any, TypeVar

import grpc

from penchant.errors import ServiceUnavailable
from penchant.rpc_errors import error_of

AHEAD = 8
"""Batches that may wait for their answer."""
_ENDED = "UNAVAILABLE: the stream ended before every batch was answered"
Batch = TypeVar("Batch")


def stream(
    begin: Callable[[Iterator[Any]], Any], batches: Iterable[Batch], request: Callable[[Batch], Any], patience_s: float
) -> Iterator[Any]:
    """One response a batch. begin opens the call; patience_s: how long to wait for an answer that is owed.

    The batches are drawn in the caller's thread, at most AHEAD before the answers.
    """
    outgoing: SimpleQueue[Any] = SimpleQueue()
    call = begin(iter(outgoing.get, None))
    owed = 0
    try:
        for batch in batches:
            outgoing.put(request(batch))
            owed += 1
            if owed > AHEAD:
                yield _next(call, patience_s)
                owed -= 1
        outgoing.put(None)
        for _ in range(owed):
            yield _next(call, patience_s)
    finally:
        outgoing.put(None)
        call.cancel()


def _next(call: Any, patience_s: float) -> Any:
    given_up = threading.Event()

    def give_up() -> None:
        given_up.set()
        call.cancel()

    timer = threading.Timer(patience_s, give_up)
    timer.daemon = True
    timer.start()
    try:
        return next(call)
    except StopIteration:
        raise ServiceUnavailable(_ENDED) from None
    except grpc.RpcError as error:
        raise (_late(patience_s) if given_up.is_set() else error_of(error)) from None
    finally:
        timer.cancel()


async def stream_async(
    begin: Callable[[], Any],
    batches: Iterable[Batch] | AsyncIterable[Batch],
    request: Callable[[Batch], Any],
    patience_s: float,
) -> AsyncGenerator[Any, None]:
    """The same for asyncio; an answer is yielded when it comes, also while the next batch is waited for."""
    room = asyncio.Semaphore(AHEAD)
    owed = asyncio.Semaphore(0)
    call = begin()

    async def write() -> None:
        try:
            async for batch in _each(batches):
                await room.acquire()
                await call.write(request(batch))
                owed.release()
        finally:
            owed.release()
            with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError, grpc.aio.UsageError):
                await call.done_writing()

    writing = asyncio.create_task(write())
    try:
        while True:
            await owed.acquire()
            reading = asyncio.ensure_future(call.read())
            done, _ = await asyncio.wait({reading}, timeout=patience_s)
            if not done:
                raise _late(patience_s)
            answer = reading.result()
            if answer is grpc.aio.EOF:
                break
            room.release()
            yield answer
        if not (await asyncio.wait({writing}, timeout=patience_s))[0]:
            raise ServiceUnavailable(_ENDED)
        await writing
    except grpc.aio.AioRpcError as error:
        raise error_of(error) from None
    finally:
        writing.cancel()
        call.cancel()
        await asyncio.gather(writing, return_exceptions=True)


async def _each(batches: Iterable[Batch] | AsyncIterable[Batch]) -> AsyncIterator[Batch]:
    if isinstance(batches, AsyncIterable):
        async for batch in batches:
            yield batch
    else:
        for batch in batches:
            yield batch


def _late(patience_s: float) -> ServiceUnavailable:
    return ServiceUnavailable(f"DEADLINE_EXCEEDED: no answer within {patience_s:g} s", "DEADLINE_EXCEEDED")
