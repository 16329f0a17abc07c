"""A stream of batches: taken in order, answered in order, with a bounded number of batches between the two."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias, TypeVar

from penchant.errors import Overloaded

AHEAD = 8
"""Batches of one stream that may wait for their answer; beyond it nothing is read, and gRPC holds the sender back."""
_LONGEST_WAIT_S = 1.0
Request = TypeVar("Request")
Response = TypeVar("Response")
Answer: TypeAlias = Callable[[], Awaitable[Response]]
"""Waits for what a batch that was begun becomes."""


async def answered_in_order(
    requests: AsyncIterator[Request], begin: Callable[[Request], Answer[Response]]
) -> AsyncIterator[Response]:
    """Begin each request in turn, and answer each in turn.

    What begin() raises ends the stream, after the answers before. While it raises Overloaded the stream waits and
    reads nothing more: what came later may not overtake.
    """
    answers: asyncio.Queue[Answer[Response] | None] = asyncio.Queue(AHEAD)

    async def read() -> None:
        try:
            async for request in requests:
                await answers.put(await _begun(request, begin))
        except Exception:
            await answers.put(None)
            raise
        await answers.put(None)

    reading = asyncio.create_task(read())
    try:
        while (answer := await answers.get()) is not None:
            yield await answer()
        await reading
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def _begun(request: Request, begin: Callable[[Request], Answer[Response]]) -> Answer[Response]:
    while True:
        try:
            return begin(request)
        except Overloaded as error:
            await asyncio.sleep(min(error.retry_delay_ms / 1000, _LONGEST_WAIT_S))
