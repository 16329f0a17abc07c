"""What is left of a request's time, and how stages share it."""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from types import coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")
_RESERVE = 0.1
_LEAST_RESERVE_S = 0.01
_MOST_RESERVE_S = 0.25


class Deadline:
    """Counts down from `seconds`; a tenth is kept back, so that the answer still comes after the last stage fails."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._end = clock() + seconds - min(max(seconds * _RESERVE, _LEAST_RESERVE_S), _MOST_RESERVE_S)

    def left_s(self, share: float = 1.0) -> float:
        """Seconds that a stage may take, never negative; share < 1 leaves the rest to the stages after it."""
        return max(self._end - self._clock(), 0.0) * share


async def limited(call: Callable[[float], Coroutine[Any, Any, _T]], seconds: float) -> _T:
    """The leaf's answer, given the seconds it has. Raises TimeoutError when it takes longer than it was given.

    A leaf that is called directly and waits for nothing needs no clock: its first step is its last.
    """
    if seconds <= 0.0:
        raise TimeoutError
    running = call(seconds)
    try:
        waits_for = running.send(None)
    except StopIteration as done:
        answer: _T = done.value
        return answer
    async with asyncio.timeout(seconds):
        return await _resumed(running, waits_for)


@coroutine
def _resumed(running: Coroutine[Any, Any, _T], waits_for: Any) -> Generator[Any, Any, _T]:
    """The rest of a coroutine whose first step was taken."""
    try:
        while True:
            try:
                sent = yield waits_for
            except BaseException as error:
                waits_for = running.throw(error)
            else:
                waits_for = running.send(sent)
    except StopIteration as done:
        answer: _T = done.value
        return answer
