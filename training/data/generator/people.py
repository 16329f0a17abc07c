"""The users of a world: interests that drift, style, price level, activity and what is known of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.data.generator.catalogue import DAY_US, FACTOR_DIM, STYLE_DIM, TOPIC_DIM, Factors, Numbers, Topics
from training.data.generator.settings import GeneratorSettings

INTERESTS = 3
_DRIFT_A_DAY = 1 / 25
"""Chance that a user's tastes move on a day."""
_SEEN_BITS = 2048
_REMEMBERED = 600
"""Engagements after which people come back to what they knew, at most; with few items it is a third of them."""
AGE_BANDS = ("under 25", "25 to 39", "40 to 59", "60 and over")
COUNTRIES = ("DE", "FR", "GB", "IT", "PL", "US")
DEVICES = ("phone", "tablet", "web")


@dataclass(slots=True)
class People:
    """U users, mutable: drift changes interests [U, INTERESTS] (topics) and offset [U, TOPIC_DIM].

    weights [U, INTERESTS] add up to 1; style [U, STYLE_DIM]; price_level [U]; activity [U], mean 1; joined_us,
    free_from_us (when the last session was over) and last_item (-1: none) [U]; slot [U]: the interest of the last
    session; seen: a bit set a user of hashed items; engagements [U]: how many went in since it was empty.
    """

    ids: list[str]
    age_band: NDArray[np.int64]
    country: NDArray[np.int64]
    device: NDArray[np.int64]
    interests: Numbers
    weights: NDArray[np.float64]
    offset: Factors
    style: Factors
    price_level: NDArray[np.float32]
    activity: NDArray[np.float64]
    joined_us: Numbers
    free_from_us: Numbers
    last_item: Numbers
    slot: Numbers
    away: NDArray[np.bool_]
    seen: NDArray[np.uint8]
    engagements: Numbers
    remembered: int
    age_topics: NDArray[np.float64]
    """[age bands, T]: running sums of what each age band takes to."""

    def __len__(self) -> int:
        return len(self.ids)

    def taste(self, users: Numbers, topic: Numbers, topics: Topics) -> Factors:
        """What users want of an item while they are after a topic, float32 [B, FACTOR_DIM]: times an item's factors."""
        wanted = topics.centres[topic] + 0.5 * self.offset[users]
        wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
        level = self.price_level[users]
        taste = np.empty((len(users), FACTOR_DIM), np.float32)
        taste[:, :TOPIC_DIM] = 5.0 * wanted
        taste[:, TOPIC_DIM : TOPIC_DIM + STYLE_DIM] = 1.7 * self.style[users]
        taste[:, -2] = 0.9 * level
        taste[:, -1] = -0.45
        return taste

    def has_seen(self, users: Numbers, items: Numbers) -> NDArray[np.bool_]:
        """Whether users [B] engaged with items [B, M] before; now and then wrongly true, as with any bit set."""
        place = _place(items)
        return np.asarray((self.seen[users[:, None], place >> 3] >> (place & 7).astype(np.uint8)) & 1 == 1)

    def mark_seen(self, users: Numbers, items: Numbers) -> None:
        """Remember engagements, users [B] and items [B]; who has too many to remember forgets them all."""
        np.add.at(self.engagements, users, 1)
        full = np.unique(users[self.engagements[users] > self.remembered])
        self.seen[full] = 0
        self.engagements[full] = 0
        place = _place(items)
        np.bitwise_or.at(self.seen, (users, place >> 3), np.left_shift(1, place & 7).astype(np.uint8))

    def drift(self, rng: np.random.Generator, topics: Topics) -> tuple[Numbers, Numbers]:
        """Move the tastes of some users by a day; the users and the interest that was replaced."""
        movers = np.flatnonzero(rng.random(len(self)) < _DRIFT_A_DAY)
        place = rng.integers(0, INTERESTS, len(movers))
        near = topics.neighbours[self.interests[movers, place], rng.integers(0, 2, len(movers))]
        far = draw_topics(self.age_topics, self.age_band[movers], rng)
        self.interests[movers, place] = np.where(rng.random(len(movers)) < 0.6, near, far)
        step = rng.standard_normal((len(movers), TOPIC_DIM)).astype(np.float32) / np.float32(TOPIC_DIM**0.5)
        self.offset[movers] = 0.8 * self.offset[movers] + 0.6 * step
        return movers, place


def make_people(settings: GeneratorSettings, topics: Topics, rng: np.random.Generator) -> People:
    """All users that will ever come."""
    count = settings.users
    age_band = rng.choice(len(AGE_BANDS), count, p=[0.3, 0.35, 0.25, 0.1])
    leaning = np.exp(rng.standard_normal((len(AGE_BANDS), len(topics.category_names))))[:, topics.category]
    weight = leaning * topics.weight
    age_topics = np.cumsum(weight / weight.sum(axis=1, keepdims=True), axis=1)
    interests = np.stack([draw_topics(age_topics, age_band, rng) for _ in range(INTERESTS)], axis=1)
    weights = rng.gamma(np.array([4.0, 2.0, 1.0]), size=(count, INTERESTS))
    activity = np.exp(rng.normal(0.0, 0.9, count))
    joined = np.where(rng.random(count) < 0.65, 0.0, rng.random(count) * settings.days * DAY_US)
    start = settings.start_us
    return People(
        [f"u{n:0{len(str(count))}d}" for n in range(count)],
        age_band,
        rng.choice(len(COUNTRIES), count, p=[0.3, 0.15, 0.15, 0.1, 0.1, 0.2]),
        rng.choice(len(DEVICES), count, p=[0.6, 0.1, 0.3]),
        interests,
        weights / weights.sum(axis=1, keepdims=True),
        (rng.standard_normal((count, TOPIC_DIM)) / TOPIC_DIM**0.5).astype(np.float32),
        rng.standard_normal((count, STYLE_DIM)).astype(np.float32),
        rng.normal(0.0, 0.8, count).astype(np.float32),
        activity / activity.mean(),
        joined.astype(np.int64) + start,
        np.full(count, start, np.int64),
        np.full(count, -1, np.int64),
        np.zeros(count, np.int64),
        rng.random(count) < 0.4,
        np.zeros((count, _SEEN_BITS // 8), np.uint8),
        np.zeros(count, np.int64),
        min(_REMEMBERED, settings.items // 3),
        age_topics,
    )


def draw_topics(age_topics: NDArray[np.float64], age_band: NDArray[np.int64], rng: np.random.Generator) -> Numbers:
    """A topic for each of B users of an age band, int64 [B]."""
    drawn = rng.random(len(age_band))
    chosen = np.empty(len(age_band), np.int64)
    for band in range(len(age_topics)):
        mine = age_band == band
        chosen[mine] = np.searchsorted(age_topics[band], drawn[mine], side="right")
    return np.asarray(np.minimum(chosen, age_topics.shape[1] - 1), np.int64)


def _place(items: Numbers) -> Numbers:
    return np.asarray((items * 2654435761 >> 8) % _SEEN_BITS, np.int64)
