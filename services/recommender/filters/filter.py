"""What a filter is, and how a row of them runs."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from penchant.types import Keys, Mask
from services.recommender.query import Pool, Query, Removed, kept


class Filter(Protocol):
    """Says which candidates may stay. One that protects fails closed, any other fails open."""

    name: str
    protects: bool

    def allowed(self, query: Query, pool: Pool) -> Mask:
        """bool [B]; the pool is left as it is."""
        ...


def run_filters(filters: Sequence[Filter], query: Query, pool: Pool) -> tuple[Pool, Removed]:
    """What passes every filter, and what each removed (an item counts for the first that removes it)."""
    removed: dict[str, Keys] = {}
    for one in filters:
        try:
            mask = one.allowed(query, pool)
        except Exception as error:
            query.degraded.failed(f"filter_{one.name}", error)
            mask = np.full(len(pool), not one.protects)
        if not mask.all():
            removed[one.name] = pool.keys[~mask]
            pool = kept(pool, mask)
    return pool, Removed(removed)


def is_among(keys_B: Keys, sorted_keys: Keys) -> Mask:
    """bool [B]: whether each key is one of the sorted ones."""
    if len(sorted_keys) == 0:
        return np.zeros(len(keys_B), np.bool_)
    place = np.minimum(np.searchsorted(sorted_keys, keys_B), len(sorted_keys) - 1)
    return np.asarray(sorted_keys[place] == keys_B)
