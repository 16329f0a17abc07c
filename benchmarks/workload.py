"""Who acts on what: users and items drawn by Zipf's law, and events as the bytes that a client sends."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penchant.v1 import event_pb2

TYPES = ("view", "click", "like", "play", "skip")
_TYPE_SHARES = (0.4, 0.4, 0.1, 0.05, 0.05)
_TYPE_LAW = np.cumsum(_TYPE_SHARES)[:-1]


@dataclass(frozen=True, slots=True)
class Zipf:
    """Numbers 0..n-1, number r with probability proportional to 1 / (r + 1) ** exponent."""

    cumulative: NDArray[np.float64]

    @classmethod
    def of(cls, n: int, exponent: float) -> "Zipf":
        """The law over n numbers; exponent 0 draws all alike."""
        shares = 1.0 / np.arange(1, n + 1) ** exponent
        return cls(np.cumsum(shares) / shares.sum())

    def draw(self, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Independent draws."""
        return np.searchsorted(self.cumulative, rng.random(count)).clip(0, len(self.cumulative) - 1)


@dataclass(slots=True)
class Workload:
    """Events of a population over a bundle's items. Which item is popular has nothing to do with its row."""

    items: list[str]
    users: Zipf
    item_law: Zipf
    rng: np.random.Generator
    run: str
    """Begins every event id, so that two runs on one log share none."""
    made: int = 0

    @classmethod
    def of(cls, bundle: Path, users: int, exponent: float, seed: int) -> "Workload":
        """users: how many there are."""
        rng = np.random.default_rng(seed)
        items = json.loads((bundle / "items" / "ids.json").read_text())[1:]
        rng.shuffle(items)
        run = f"r{rng.integers(1 << 40):x}"
        return cls(items, Zipf.of(users, exponent), Zipf.of(len(items), exponent), rng, run)

    def user(self, number: int) -> str:
        """A user's id."""
        return f"bench-{number}"

    def draw_users(self, count: int) -> list[str]:
        """Ids of users who ask or act."""
        return [self.user(number) for number in self.users.draw(count, self.rng).tolist()]

    def event(self, user: str, item: str, event_type: str) -> bytes:
        """One event with an id of its own; its time is its arrival."""
        self.made += 1
        return event_pb2.Event(
            event_id=f"{self.run}-{self.made}", user_id=user, item_id=item, event_type=event_type
        ).SerializeToString()

    def event_of(self, user: str) -> bytes:
        """An event of this user on a drawn item."""
        item = self.items[int(self.item_law.draw(1, self.rng)[0])]
        return self.event(user, item, TYPES[int(np.searchsorted(_TYPE_LAW, self.rng.random()))])

    def events(self, count: int) -> list[bytes]:
        """Events of drawn users on drawn items."""
        users = self.draw_users(count)
        items = self.item_law.draw(count, self.rng).tolist()
        types = self.rng.choice(len(TYPES), count, p=_TYPE_SHARES).tolist()
        return [self.event(user, self.items[item], TYPES[t]) for user, item, t in zip(users, items, types, strict=True)]

    def requests(self, count: int, batch: int) -> list[bytes]:
        """`count` WriteEvents requests of `batch` events each, as bytes."""
        events = self.events(count * batch)
        return [request_of(events[at : at + batch]) for at in range(0, len(events), batch)]


def request_of(events: list[bytes]) -> bytes:
    """WriteEventsRequest of serialised events: field 1, each with its length."""
    return b"".join(b"\x0a" + _varint(len(event)) + event for event in events)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
