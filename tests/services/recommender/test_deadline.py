"""A stage gets its share of the time, and no more."""

import asyncio

import pytest

from services.recommender.deadline import limited


async def test_an_answer_that_waits_for_nothing_is_given_at_once() -> None:
    async def at_once(seconds: float) -> float:
        return seconds

    assert await limited(at_once, 0.5) == 0.5


async def test_an_answer_that_waits_several_times_comes_whole() -> None:
    async def waits(seconds: float) -> list[int]:
        found = []
        for i in range(3):
            await asyncio.sleep(0)
            found.append(await asyncio.wait_for(asyncio.sleep(0.001, i), 5))
        return found

    assert await limited(waits, 5.0) == [0, 1, 2]


async def test_what_takes_longer_is_cancelled_and_told_as_a_timeout() -> None:
    cancelled = []

    async def hangs(seconds: float) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    with pytest.raises(TimeoutError):
        await limited(hangs, 0.02)
    assert cancelled == [True]


async def test_a_caller_that_is_cancelled_cancels_the_leaf_s_call() -> None:
    begun = asyncio.Event()

    async def hangs(seconds: float) -> None:
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(limited(hangs, 5.0))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("waits_first", [False, True])
async def test_what_a_leaf_raises_is_raised(waits_first: bool) -> None:
    async def fails(seconds: float) -> None:
        if waits_first:
            await asyncio.sleep(0)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await limited(fails, 1.0)


async def test_without_time_nothing_is_asked() -> None:
    async def never(seconds: float) -> None:
        raise AssertionError

    with pytest.raises(TimeoutError):
        await limited(never, 0.0)
