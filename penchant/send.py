"""Sending events in batches, in order, and waiting while the stack says it is too busy."""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from penchant.answers import Rejection, Written
from penchant.client import Client
from penchant.errors import InvalidArgument, Overloaded, PenchantError
from penchant.writes import EventWrite

MAX_BATCH = 1000
_ATTEMPTS = 6


def send(
    client: Client, events: Iterable[EventWrite], batch: int, sleep: Callable[[float], None] = time.sleep
) -> Written:
    """What became of all events; rejections are numbered over the whole file, from 0.

    Raises InvalidArgument for a batch out of bounds, Overloaded when the stack stays too busy; what fails after some
    batches has a note of how many events were sent.
    """
    if not 1 <= batch <= MAX_BATCH:
        raise InvalidArgument("batch", f"is {batch}, it must be from 1 to {MAX_BATCH}")
    accepted, position, done = 0, 0, 0
    rejections: list[Rejection] = []
    for some in _batches(events, batch):
        try:
            written = _written(client, some, sleep)
        except PenchantError as error:
            if done:
                error.add_note(f"the first {done} events were sent")
            raise
        accepted += written.accepted
        position = max(position, written.position)
        rejections += [replace(r, index=r.index + done) for r in written.rejections]
        done += len(some)
    return Written(accepted, tuple(rejections), position)


def _written(client: Client, events: list[EventWrite], sleep: Callable[[float], None]) -> Written:
    for attempt in range(_ATTEMPTS - 1):
        try:
            return client.write_events(events)
        except Overloaded as error:
            sleep(error.retry_delay_ms / 1000 * 2**attempt)
    return client.write_events(events)


def _batches(events: Iterable[EventWrite], size: int) -> Iterator[list[EventWrite]]:
    waiting = iter(events)
    while some := list(itertools.islice(waiting, size)):
        yield some
