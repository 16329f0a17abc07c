"""The items of a world: topics, factors, quality, arrivals and deaths, and the attributes that carry all that.

Items are numbered by topic, so that one running sum of weights is enough to draw from any topic; their ids are not.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.data.generator.settings import GeneratorSettings
from training.data.generator.words import words

TOPIC_DIM = 12
STYLE_DIM = 4
FACTOR_DIM = TOPIC_DIM + STYLE_DIM + 2
"""Topic, style (the brand's) and price (level and its square): taste is one inner product."""
DAY_US = 86_400_000_000
SUCCESSORS = 6
_TOPIC_WORDS = 10

Factors = NDArray[np.float32]
Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Topics:
    """T topics: unit centres float32 [T, TOPIC_DIM], categories [T], neighbours [T, 2], weights [T], words by topic."""

    centres: Factors
    category: Numbers
    neighbours: Numbers
    weight: NDArray[np.float64]
    words: list[list[str]]
    category_names: list[str]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """N items ascending by topic; items of topic t are first[t] to first[t + 1].

    factors [N, FACTOR_DIM]; quality [N]; successors [N, SUCCESSORS]: what people go on to; born_us, dies_us [N].
    """

    topics: Topics
    ids: list[str]
    topic: Numbers
    first: Numbers
    factors: Factors
    quality: NDArray[np.float32]
    successors: Numbers
    born_us: Numbers
    dies_us: Numbers
    brand: list[str]
    price: NDArray[np.float32]
    price_band: list[str]
    tags: list[str]
    title: list[str]
    description: list[str]

    def __len__(self) -> int:
        return len(self.ids)

    def alive(self, time_us: int) -> NDArray[np.bool_]:
        """Items that can be shown at a time, bool [N]."""
        return np.asarray((self.born_us <= time_us) & (time_us < self.dies_us))


def make_catalogue(settings: GeneratorSettings, rng: np.random.Generator) -> Catalogue:
    """All items that will ever live."""
    count = settings.items
    topics = _topics(int(np.clip(count // 40, 4, 5_000)), rng)
    share = topics.weight**0.5
    topic = np.sort(rng.choice(len(share), count, p=share / share.sum()))
    first = np.searchsorted(topic, np.arange(len(share) + 1))
    brand, style = _brands(topics.category[topic], rng)
    price_level = rng.standard_normal(count).astype(np.float32)
    direction = _unit(topics.centres[topic] + 0.8 * _unit(rng.standard_normal((count, TOPIC_DIM))))
    factors = np.concatenate([direction, style, price_level[:, None], price_level[:, None] ** 2], axis=1)
    quality = rng.standard_normal(count).astype(np.float32)
    born, dies = _lives(settings, rng)
    base_price = np.exp(rng.normal(3.0, 0.7, len(topics.category_names)))[topics.category[topic]]
    bands = np.array(["budget", "low", "middle", "high", "luxury"])
    tags, title, description = _texts(topics, topic, brand, direction, rng)
    return Catalogue(
        topics,
        [f"i{n:0{len(str(count))}d}" for n in rng.permutation(count).tolist()],
        topic,
        first,
        factors.astype(np.float32),
        quality,
        _successors(topic, first, quality, topics, rng),
        born,
        dies,
        brand,
        np.round(base_price * np.exp(0.6 * price_level), 2).astype(np.float32),
        bands[np.digitize(price_level, [-1.2, -0.4, 0.4, 1.2])].tolist(),
        tags,
        title,
        description,
    )


def _unit(vectors: NDArray[np.floating]) -> Factors:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True), np.float32)


def _topics(count: int, rng: np.random.Generator) -> Topics:
    categories = int(np.clip(count // 5, 2, 60))
    category = np.arange(count) % categories
    middles = _unit(rng.standard_normal((categories, TOPIC_DIM)))
    centres = _unit(middles[category] + 0.9 * _unit(rng.standard_normal((count, TOPIC_DIM))))
    neighbours = np.empty((count, 2), np.int64)
    for start in range(0, count, 512):
        similar = centres[start : start + 512] @ centres.T
        similar[np.arange(len(similar)), np.arange(start, start + len(similar))] = -np.inf
        neighbours[start : start + 512] = np.argpartition(-similar, 1, axis=1)[:, :2]
    weight = rng.permutation(1.0 / np.arange(1, count + 1) ** 0.9)
    vocabulary = words(rng, count * _TOPIC_WORDS + categories)
    return Topics(
        centres, category, neighbours, weight / weight.sum(),
        [vocabulary[t * _TOPIC_WORDS : (t + 1) * _TOPIC_WORDS] for t in range(count)],
        vocabulary[count * _TOPIC_WORDS :],
    )  # fmt: skip


def _brands(category: Numbers, rng: np.random.Generator) -> tuple[list[str], Factors]:
    """A brand an item, six brands a category, the first ones largest; and the style that the brand stands for."""
    per_category = 6
    count = (int(category.max()) + 1) * per_category
    names = [word.capitalize() for word in words(rng, count)]
    styles = _unit(rng.standard_normal((count, STYLE_DIM)))
    size = 1.0 / np.arange(1, per_category + 1)
    chosen = category * per_category + rng.choice(per_category, len(category), p=size / size.sum())
    return [names[b] for b in chosen.tolist()], styles[chosen]


def _lives(settings: GeneratorSettings, rng: np.random.Generator) -> tuple[Numbers, Numbers]:
    """Birth and death in microseconds. Those there at the start were born up to a year before and outlive it."""
    span_us = settings.days * DAY_US
    arrives = rng.random(settings.items) < settings.arriving
    born = np.where(arrives, rng.random(settings.items) * span_us, -rng.random(settings.items) * 365 * DAY_US)
    lives = rng.exponential(settings.item_life_days * DAY_US, settings.items) + 7 * DAY_US
    dies = np.maximum(born, 0) + lives
    start = settings.start_us
    return (born // 1_000_000 * 1_000_000).astype(np.int64) + start, dies.astype(np.int64) + start


def _successors(
    topic: Numbers, first: Numbers, quality: NDArray[np.float32], topics: Topics, rng: np.random.Generator
) -> Numbers:
    """What people go on to after an item: mostly good ones of its own topic, some of a neighbouring one."""
    count = len(topic)
    side = topics.neighbours[topic][np.arange(count)[:, None], rng.integers(0, 2, (count, SUCCESSORS))]
    own = rng.random((count, SUCCESSORS)) < 0.7
    chosen = np.where(own, topic[:, None], side)
    chosen = np.where(first[chosen + 1] > first[chosen], chosen, topic[:, None])
    running = np.cumsum(np.exp(quality.astype(np.float64)))
    low = np.where(first[chosen] > 0, running[first[chosen] - 1], 0.0)
    drawn = low + rng.random(chosen.shape) * (running[first[chosen + 1] - 1] - low)
    return np.asarray(np.minimum(np.searchsorted(running, drawn, side="right"), count - 1), np.int64)


def _texts(
    topics: Topics, topic: Numbers, brand: list[str], direction: Factors, rng: np.random.Generator
) -> tuple[list[str], list[str], list[str]]:
    """Tags, title and description: words of the topic, of the item's two strongest factors, and some of nothing."""
    count = len(topic)
    moods = words(rng, 2 * TOPIC_DIM)
    filler = words(rng, 200)
    strongest = np.argsort(-np.abs(direction), axis=1)[:, :2]
    signed = 2 * strongest + (np.take_along_axis(direction, strongest, axis=1) > 0)
    picks = rng.integers(0, _TOPIC_WORDS, (count, 5)).tolist()
    fillers = rng.integers(0, len(filler), (count, 4)).tolist()
    tags, title, description = [], [], []
    for t, name, (a, b), pick, fill in zip(topic.tolist(), brand, signed.tolist(), picks, fillers, strict=True):
        own = topics.words[t]
        tags.append("|".join(dict.fromkeys((own[0], own[pick[0]], moods[a], moods[b]))))
        title.append(f"{name} {own[pick[1]]} {own[pick[2]]} {moods[a]}")
        description.append(
            f"{filler[fill[0]]} {own[pick[3]]} {filler[fill[1]]} {moods[b]} {own[pick[4]]} {filler[fill[2]]} "
            f"{topics.category_names[int(topics.category[t])]} {filler[fill[3]]}"
        )
    return tags, title, description
