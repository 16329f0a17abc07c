"""When people come: which sessions start on a day, what they are after, and whether that shifts half-way."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.data.generator.catalogue import DAY_US, Numbers
from training.data.generator.people import INTERESTS, People, draw_topics

HOUR_US = DAY_US // 24
_HOURS = np.array([2, 1, 1, 1, 1, 2, 4, 6, 7, 6, 6, 7, 8, 7, 6, 6, 7, 9, 11, 13, 14, 13, 9, 5], np.float64)
_WEEKDAYS = np.array([0.9, 0.9, 0.95, 1.0, 1.05, 1.15, 1.05])
_MOST_A_DAY = 6
_STAYS_AWAY, _GOES_AWAY = 0.94, 0.08
MAX_SLATES = 50
EXPLORES = -1
"""The interest slot of a session that is after something new to the user."""


@dataclass(slots=True)
class Sessions:
    """B sessions, ascending by (user, start). shift_at: the slate from which shift_topic holds, -1 for never."""

    ids: Numbers
    users: Numbers
    start_us: Numbers
    slates: Numbers
    slot: Numbers
    topic: Numbers
    shift_at: Numbers
    shift_topic: Numbers
    shift_us: Numbers
    end_us: Numbers

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, index: NDArray[np.bool_]) -> "Sessions":
        """The chosen sessions."""
        return Sessions(*(getattr(self, name)[index] for name in self.__slots__))

    def columns(self) -> dict[str, Numbers]:
        """As the truth writes them."""
        return {
            "session": self.ids, "user": self.users, "start_us": self.start_us, "end_us": self.end_us,
            "slates": self.slates, "interest": self.slot, "topic": self.topic, "shift_us": self.shift_us,
            "shift_topic": self.shift_topic,
        }  # fmt: skip


def visits(people: People, day: int, day_us: int, wanted: float, rng: np.random.Generator) -> tuple[Numbers, Numbers]:
    """About `wanted` visits of a day: users and start_us [B], ascending by (user, start).

    People come in spells: who was here yesterday is likelier to come today, so return times have a long tail.
    """
    draw = rng.random(len(people))
    people.away = np.where(people.away, draw < _STAYS_AWAY, draw < _GOES_AWAY)
    here = ~people.away & (people.joined_us < day_us + DAY_US)
    if not here.any():
        here = people.joined_us < day_us + DAY_US
    activity = np.where(here, people.activity, 0.0)
    rate = wanted * float(_WEEKDAYS[day % 7]) / max(activity.sum(), 1e-9)
    counts = np.minimum(rng.poisson(np.minimum(rate * activity, _MOST_A_DAY)), _MOST_A_DAY)
    users = np.repeat(np.arange(len(people)), counts)
    hours = np.cumsum(_HOURS / _HOURS.sum())
    hour = np.searchsorted(hours, rng.random(len(users)), side="right").clip(0, 23)
    start = day_us + ((hour + rng.random(len(users))) * HOUR_US).astype(np.int64)
    start = np.maximum(start, people.joined_us[users])
    order = np.lexsort((start, users))
    return users[order], start[order]


def open_sessions(
    people: People,
    users: Numbers,
    start_us: Numbers,
    first_id: int,
    shift_share: float,
    trend: NDArray[np.float64],
    rng: np.random.Generator,
) -> Sessions:
    """What each visit is after. trend [T]: running sum of what is in fashion, which explorers follow."""
    count = len(users)
    slates = np.clip(np.exp(rng.normal(1.6, 1.0, count)), 1, MAX_SLATES).astype(np.int64)
    weights = np.cumsum(people.weights[users], axis=1)
    slot = (rng.random((count, 1)) > weights[:, :-1]).sum(axis=1)
    slot = np.where(rng.random(count) < 0.4, people.slot[users], slot)
    explores = rng.random(count) < 0.06
    topic = np.where(explores, _fashion(trend, count, rng), people.interests[users, slot])
    shifts = rng.random(count) < shift_share
    slates = np.where(shifts, np.maximum(slates, 4), slates)
    shift_at = np.where(shifts, 1 + (rng.random(count) * (slates - 2)).astype(np.int64), -1)
    other = people.interests[users, (slot + rng.integers(1, INTERESTS, count)) % INTERESTS]
    new = draw_topics(people.age_topics, people.age_band[users], rng)
    target = np.where(rng.random(count) < 0.5, other, new)
    # A shift to the topic one is already after is none: take the next one.
    target = np.where(target == topic, (target + 1) % len(trend), target)
    people.slot[users] = np.where(explores, people.slot[users], slot)
    return Sessions(
        first_id + np.arange(count), users, start_us, slates, np.where(explores, EXPLORES, slot), topic, shift_at,
        np.where(shifts, target, -1), np.full(count, -1, np.int64), start_us.copy(),
    )  # fmt: skip


def _fashion(trend: NDArray[np.float64], count: int, rng: np.random.Generator) -> Numbers:
    drawn = np.searchsorted(trend, rng.random(count) * trend[-1], side="right")
    return np.asarray(np.minimum(drawn, len(trend) - 1), np.int64)
