"""Sending events in batches over one stream, in order; a stack that is busy lets the stream wait."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from penchant.answers import Rejection, Written
from penchant.client import Client
from penchant.errors import InvalidArgument, PenchantError
from penchant.writes import EventWrite

MAX_BATCH = 1000


def send(
    client: Client, events: Iterable[EventWrite], batch: int, progress: Callable[[int], None] = lambda done: None
) -> Written:
    """What became of all events; rejections are numbered over the whole file, from 0.

    progress is told how many events were answered. Raises InvalidArgument for a batch out of bounds; what fails after
    some batches has a note of how many events are known to be in.
    """
    if not 1 <= batch <= MAX_BATCH:
        raise InvalidArgument("batch", f"is {batch}, it must be from 1 to {MAX_BATCH}")
    accepted, position, done = 0, 0, 0
    rejections: list[Rejection] = []
    sizes: list[int] = []
    try:
        for written in client.stream_events(_batches(events, batch, sizes)):
            accepted += written.accepted
            position = max(position, written.position)
            rejections += [replace(r, index=r.index + done) for r in written.rejections]
            done += sizes.pop(0)
            progress(done)
    except PenchantError as error:
        if sizes or done:
            error.add_note(f"the first {done} events were sent, of the next {sum(sizes)} nothing is known")
        raise
    return Written(accepted, tuple(rejections), position)


def _batches(events: Iterable[EventWrite], size: int, sizes: list[int]) -> Iterator[list[EventWrite]]:
    waiting = iter(events)
    while some := list(itertools.islice(waiting, size)):
        sizes.append(len(some))
        yield some
