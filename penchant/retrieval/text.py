"""What a user lately searched for or wrote, as a content vector: the item's content space, by the same hashing.

A search for a tag's value counts as the tag, so "western" finds what is tagged genre=western.
"""

from collections.abc import Mapping, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from penchant.columns import TagColumn
from penchant.content import content_vectors, tokens, words
from penchant.item_table import ItemTable
from penchant.types import Mask, Rows, Vector

WINDOW_US = 30 * 60 * 1_000_000
HALF_LIFE_US = 10 * 60 * 1_000_000
AHEAD_US = 300_000_000
LIFT = 6.0
"""Standard deviations of the scores that an item gains whose content is all that was asked for, just now."""
_LEAST_COSINE = 0.1
_LONGEST_VALUE = 4
"""Words of a tag's value."""
_known: dict[int, tuple[TagColumn, dict[str, str]]] = {}


def text_vector(texts: Sequence[tuple[int, str]], as_of_us: int, table: ItemTable) -> Vector | None:
    """Of texts with their times: a sum of unit vectors, each halved every ten minutes; at most of length 1.

    None where nothing was written in the half hour before as_of_us, or nothing that has a word.
    """
    vector = np.zeros(table.content.shape[1], np.float32)
    for time_us, text in texts:
        age_us = as_of_us - time_us
        if -AHEAD_US <= age_us <= WINDOW_US:
            vector += _unit(text, table.tags) * np.float32(2.0 ** (-max(age_us, 0) / HALF_LIFE_US))
    length = float(np.linalg.norm(vector))
    if length < 1e-3:
        return None
    fresh: Vector = vector / np.float32(max(length, 1.0))
    return fresh


def cosines(table_content: NDArray[np.float32], vector: Vector) -> Vector:
    """Of content vectors [N, C] with a text: its length is how fresh the text is. Only its few dimensions are read."""
    dims = np.flatnonzero(vector)
    likeness: Vector = np.asarray(table_content[:, dims], np.float32) @ vector[dims]
    return np.maximum(likeness, np.float32(0.0))


class ContentIndex:
    """Content vectors [N, C] by dimension: an item has a few words, and a text touches a few of its dimensions.

    Built at its first use, or by ready(). At 100,000 items a search costs 0.8 ms where columns of the matrix cost 40.
    """

    def __init__(self, content: NDArray[np.float32]) -> None:
        self._content = content
        self._by_dim: tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.float32]] | None = None

    def ready(self) -> tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.float32]]:
        """Where each dimension's entries start, and their rows and values."""
        if self._by_dim is None:
            rows, dims = np.nonzero(self._content)
            order = np.argsort(dims, kind="stable")
            starts = np.searchsorted(dims[order], np.arange(self._content.shape[1] + 1))
            values = np.asarray(self._content[rows[order], dims[order]], np.float32)
            self._by_dim = starts, rows[order].astype(np.uint32), values
        return self._by_dim

    def nearest(self, vector: Vector, late: NDArray[np.float32], allowed: Mask, k: int) -> Rows:
        """At most k allowed rows whose content is nearest to a text, best first; `late`: content of the rows behind."""
        starts, rows, values = self.ready()
        found = np.zeros(len(self._content), np.float32)
        for dim in np.flatnonzero(vector).tolist():
            entries = slice(starts[dim], starts[dim + 1])
            found[rows[entries]] += values[entries] * vector[dim]
        found = np.concatenate([found, cosines(late, vector)])[: len(allowed)]
        near = np.flatnonzero(found > _LEAST_COSINE * float(np.linalg.norm(vector)))
        near = near[allowed[near]]
        return np.asarray(near[np.lexsort((near, -found[near]))][:k], np.uint32)


def lifted(scores: Vector, content: NDArray[np.float32], vector: Vector) -> Vector:
    """Scores [B] with what the text adds to items with this content [B, C].

    The cosine counts cubed: else what has but a word in common with the text rises over what the models know better.
    """
    finite = scores[np.isfinite(scores)]
    spread = float(finite.std()) if len(finite) else 0.0
    freshness = max(float(np.linalg.norm(vector)), 1e-9)
    likeness = cosines(content, vector) ** 3 / np.float32(freshness**2)
    return (scores + np.float32(LIFT * (spread or 1.0)) * likeness).astype(np.float32)


def _unit(text: str, tags: Mapping[str, TagColumn]) -> Vector:
    said = words(text)
    phrases = {
        " ".join(said[start : start + length])
        for length in range(1, _LONGEST_VALUE + 1)
        for start in range(len(said) - length + 1)
    }
    meant: dict[str, list[str]] = {}
    for name, column in tags.items():
        values = _values(column)
        if found := [values[phrase] for phrase in sorted(phrases) if phrase in values]:
            meant[name] = found
    return np.asarray(content_vectors([tokens([text], meant)])[0], np.float32)


def _values(column: TagColumn) -> dict[str, str]:
    """A tag's values by their words in lower case; remembered for the columns that are in use."""
    known = _known.get(id(column))
    if known is None or known[0] is not column:
        if len(_known) >= 64:
            for old in list(islice(_known, 32)):
                del _known[old]
        known = _known[id(column)] = (column, {" ".join(words(value)): value for value in column.vocabulary})
    return known[1]
