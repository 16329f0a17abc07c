"""The same evaluation through a running stack: users are replayed over gRPC and every slate is served."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from penchant.v1 import recommender_service_pb2
from training.evaluation.door import Door, run_all
from training.evaluation.metrics import LIST_LENGTH, Lists
from training.evaluation.offline import MASKS
from training.evaluation.protocol import TargetSet, Timeline, timelines

SERVED = {
    "ranked": recommender_service_pb2.RANKING_MODEL,
    "retrieval": recommender_service_pb2.RANKING_RETRIEVAL,
}
"""Systems that the front door serves, and how they are asked for."""


@dataclass(slots=True)
class Served:
    """What the front door answered: slates by mask and system, and how often each stage degraded."""

    slates: dict[str, dict[str, Lists]]
    degraded: dict[str, int] = field(default_factory=dict)
    requests: int = 0


async def evaluate_through(
    door: Door,
    targets: TargetSet,
    progress: Callable[[int], None] = lambda done: None,
    masks: Sequence[str] = MASKS,
) -> Served:
    """Slates of SERVED by mask for every target; a user's events keep their order.

    Raises ServerMismatchError if the stack refuses an event or moves on to another bundle.
    """
    served = Served({m: {s: np.zeros((len(targets), LIST_LENGTH), np.int64) for s in SERVED} for m in masks})
    await run_all(_replay(door, line, served, progress) for line in timelines(door.dataset, targets))
    served.degraded, served.requests = door.answers.degraded, door.answers.requests
    return served


async def _replay(door: Door, line: Timeline, served: Served, progress: Callable[[int], None]) -> None:
    """One user's life: attributes, then for each target what came before it, the slates, and on."""
    await door.write_user(line.user)
    token = None
    written = 0
    for i, at in enumerate(line.target_at.tolist()):
        token = await door.write_events(line.user, line.events[written:at]) or token
        written = at
        as_of_us = int(door.dataset.events.times[line.events[at]])
        for mask in served.slates:
            for system, ranking in SERVED.items():
                rows, _ = await door.ask(line.user, as_of_us, token, ranking, include_seen=mask == "unmasked")
                served.slates[mask][system][line.first_target + i, : len(rows)] = rows
        progress(1)
