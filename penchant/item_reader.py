"""What the item tower reads of an item: words, tags and numbers, in blocks of their own.

The same for the items of a data set and for those written to the running service. Blocks of their own, because in one
block with a plot's hundred words an item's two genres would hardly count.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import xxhash

from penchant.content import tag_values, words
from penchant.item_media import open_encoders
from penchant.types import Matrix, Vector

FILE = "retrieval/item_reader.json"
WORDS = 1024
TAGS = 256
_DECILES = np.linspace(0.0, 1.0, 11)


class ItemEncoder(Protocol):
    """A further block of content: what a trained model makes of an attribute, such as a text, a picture or a sound."""

    @property
    def name(self) -> str:
        """Its own among the encoders of a bundle."""

    @property
    def width(self) -> int:
        """W."""

    def vectors(self, items: Sequence[Mapping[str, Any]]) -> Matrix:
        """Of N items' attributes, float32 [N, W] of unit length; zeros for an item that has nothing to encode."""


@dataclass(frozen=True, slots=True)
class ItemReader:
    """Names of the attributes that are read as words and as tags, and of each number its places on the scale."""

    texts: tuple[str, ...]
    tags: tuple[str, ...]
    numbers: Mapping[str, tuple[float, ...]]
    """Ascending; a value is read as how near it is to the two places about it, so that no more than order counts."""
    encoders: tuple[ItemEncoder, ...] = ()
    """Their blocks come last, in this order."""

    @classmethod
    def of(cls, texts: Iterable[str], tags: Iterable[str], numbers: Mapping[str, Vector]) -> "ItemReader":
        """Attributes by name; of numbers their values, NaN where missing, of which the places are the deciles."""
        places = {name: np.unique(np.quantile(v[~np.isnan(v)], _DECILES)) for name, v in numbers.items() if _any(v)}
        return cls(tuple(texts), tuple(tags), {name: tuple(p.tolist()) for name, p in places.items()})

    @property
    def blocks(self) -> tuple[int, ...]:
        """Widths of the blocks, in order: words, tags, each number's, each encoder's."""
        numbers = (len(places) for places in self.numbers.values())
        return (WORDS, TAGS, *numbers, *(encoder.width for encoder in self.encoders))

    @property
    def width(self) -> int:
        """C."""
        return sum(self.blocks)

    def vectors(self, items: Iterable[Mapping[str, Any]]) -> Matrix:
        """Of N items' attributes, float32 [N, C]; zeros where nothing is said. A name that is not known is not read."""
        items = list(items)
        if not items:
            return np.zeros((0, self.width), np.float32)
        plain = np.stack([self._vector(item) for item in items])
        return np.concatenate([plain, *(encoder.vectors(items) for encoder in self.encoders)], axis=1)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON."""
        return {
            "texts": list(self.texts),
            "tags": list(self.tags),
            "numbers": {n: list(p) for n, p in self.numbers.items()},
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "ItemReader":
        """From to_json()'s output."""
        return cls(tuple(raw["texts"]), tuple(raw["tags"]), {n: tuple(p) for n, p in raw["numbers"].items()})

    @classmethod
    def open(cls, folder: Path) -> "ItemReader | None":
        """A bundle folder's; None in one from before there were readers."""
        path = folder / FILE
        if not path.exists():
            return None
        return replace(cls.from_json(json.loads(path.read_text())), encoders=open_encoders(folder))

    def _vector(self, item: Mapping[str, Any]) -> Vector:
        said = Counter(word for name in self.texts for text in tag_values(item.get(name)) for word in words(text))
        tags = Counter(f"{name}={value}" for name in self.tags for value in tag_values(item.get(name)))
        blocks = [_hashed(said, WORDS), _hashed(tags, TAGS)]
        blocks += [_near(item.get(name), places) for name, places in self.numbers.items()]
        return np.concatenate(blocks).astype(np.float32)


def _any(values: Vector) -> bool:
    return bool((~np.isnan(values)).any())


@lru_cache(maxsize=1 << 17)
def _digest(token: str) -> int:
    return xxhash.xxh3_64_intdigest(token.encode())


def _hashed(counts: Mapping[str, int], width: int) -> Vector:
    """Unit length, each token by the square root of its count in a signed bucket (Weinberger et al., ICML 2009)."""
    vector = np.zeros(width, np.float32)
    for token, count in counts.items():
        digest = _digest(token)
        vector[digest % width] += (1.0 if digest >> 63 else -1.0) * float(count) ** 0.5
    norm = float(np.linalg.norm(vector))
    return vector / norm if norm > 0 else vector


def _near(value: Any, places: Sequence[float]) -> Vector:
    """Weights of the places, adding up to 1: linear between two of them; zeros for what is no number."""
    weights = np.zeros(len(places), np.float32)
    try:
        number = float(value)
    except (TypeError, ValueError):
        return weights
    if not np.isfinite(number):
        return weights
    at = float(np.interp(number, places, np.arange(len(places))))
    below = int(at)
    weights[below] = 1.0 - (at - below)
    if at > below:
        weights[below + 1] = at - below
    return weights
