"""An item's content vector: hashed words and tags, the same for bundled items and for those written later."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import xxhash

from penchant.types import Matrix

CONTENT_DIM = 256
_WORD = re.compile(r"\w+")


def _slot(token: str) -> tuple[int, float]:
    """Bucket and sign of a token: the signed hashing trick (Weinberger et al., ICML 2009)."""
    digest = xxhash.xxh3_64_intdigest(token.encode())
    return digest % CONTENT_DIM, 1.0 if digest >> 63 else -1.0


def words(text: str) -> list[str]:
    """The text's words, in lower case."""
    return _WORD.findall(text.lower())


def tokens(texts: Iterable[str], tags: Mapping[str, Sequence[str]]) -> list[str]:
    """Tokens of one item: lower-case words of its texts, and name=value for each tag."""
    said = [word for text in texts for word in words(text)]
    return said + [f"{name}={value}" for name, values in sorted(tags.items()) for value in values]


def content_vectors(items: Iterable[Sequence[str]]) -> Matrix:
    """Content vectors float32 [N, CONTENT_DIM] of N token lists, L2-normalised; an item without tokens is zeros.

    Tags weigh twice a word; repeats count with the square root of their number.
    """
    rows = []
    for item in items:
        vector = np.zeros(CONTENT_DIM, np.float32)
        counts: dict[str, int] = {}
        for token in item:
            counts[token] = counts.get(token, 0) + 1
        for token, count in counts.items():
            place, sign = _slot(token)
            vector[place] += sign * (2.0 if "=" in token else 1.0) * float(count) ** 0.5
        norm = float(np.linalg.norm(vector))
        rows.append(vector / norm if norm > 0 else vector)
    return np.stack(rows).astype(np.float32) if rows else np.zeros((0, CONTENT_DIM), np.float32)


def item_tokens(attributes: Mapping[str, Any], tags: Collection[str], texts: Collection[str]) -> list[str]:
    """Tokens of an item as it was written: `tags` as name=value, `texts` as words, what the schema has not, not at all.

    The order of the texts is of no account, so an item gets the vector it would get in training.
    """
    said = [word for name in texts if name in attributes for word in tag_values(attributes[name])]
    return tokens(said, {name: tag_values(attributes[name]) for name in tags if name in attributes})


def tag_values(value: Any) -> list[str]:
    """A written attribute as tags: a list's distinct values in order, a lone value as one, nothing for null or ""."""
    values = value if isinstance(value, list | tuple) else [value]
    return list(
        dict.fromkeys(f"{v:g}" if isinstance(v, float) else str(v) for v in values if v is not None and v != "")
    )
