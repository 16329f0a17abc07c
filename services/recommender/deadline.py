"""What is left of a request's time, and how stages share it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

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


async def limited(call: Callable[[float], Awaitable[_T]], seconds: float) -> _T:
    """The leaf's answer, given the seconds it has. Raises TimeoutError when it takes longer than it was given."""
    if seconds <= 0.0:
        raise TimeoutError
    async with asyncio.timeout(seconds):
        return await call(seconds)
