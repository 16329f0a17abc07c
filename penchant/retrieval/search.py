"""Nearest neighbours by inner product, exactly: over a bundle's items, and over what came after it."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from penchant.types import Mask, Matrix, Rows, Vector

Search = Callable[[Vector, int, Mask], tuple[Rows, Vector]]
"""(user embedding [D], k, allowed rows) to at most k allowed rows and their inner products, best first."""


def exact_search(embeddings_MD: Matrix) -> Search:
    """The k largest inner products over every allowed row; ties go to the lower row."""

    def search(vector: Vector, k: int, allowed: Mask) -> tuple[Rows, Vector]:
        rows = np.flatnonzero(allowed[: len(embeddings_MD)])
        whole = len(rows) == len(embeddings_MD) - 1
        scores = (embeddings_MD @ vector)[rows] if whole or len(rows) > 2000 else embeddings_MD[rows] @ vector
        return best(rows, scores, k)

    return search


def best(rows: NDArray[np.integer], scores: Vector, k: int) -> tuple[Rows, Vector]:
    """The k rows with the largest scores, best first; ties go to the lower row. NaN is worse than any number."""
    scores = np.where(np.isnan(scores), -np.inf, scores)
    if 0 < k < len(rows):
        kept = scores >= np.partition(scores, len(scores) - k)[len(scores) - k]
        rows, scores = rows[kept], scores[kept]
    order = np.lexsort((rows, -scores))[:k]
    return rows[order].astype(np.uint32), scores[order].astype(np.float32)


def merged(one: tuple[Rows, Vector], other: tuple[Rows, Vector], k: int) -> tuple[Rows, Vector]:
    """The k best of two searches over different rows."""
    return best(np.concatenate([one[0], other[0]]), np.concatenate([one[1], other[1]]), k)
