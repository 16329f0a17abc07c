"""Event ids seen lately, so that an event sent twice counts once."""

from collections import OrderedDict

import xxhash

from penchant.events import Event


class RecentEvents:
    """Remembers the ids of events for `horizon` log positions; a repeat after that counts again."""

    def __init__(self, horizon: int) -> None:
        self.horizon = horizon
        # A plain dict looks for its first entry past all that were deleted: 300 us an event once the horizon is full.
        self._positions: OrderedDict[bytes, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._positions)

    def position(self, event: Event) -> int:
        """Log position of the earlier event of this id; 0 if there is none."""
        return self._positions.get(_digest(event), 0) if event.event_id else 0

    def remember(self, event: Event, position: int) -> None:
        """Note an event that the log holds; positions rise."""
        if not event.event_id:
            return
        self._positions[_digest(event)] = position
        oldest = position - self.horizon
        while (first := next(iter(self._positions))) and self._positions[first] <= oldest:
            del self._positions[first]


def _digest(event: Event) -> bytes:
    return xxhash.xxh3_128_digest(f"{event.tenant}\0{event.event_id}".encode())
