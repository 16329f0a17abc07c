"""Counts of what people went on to after an item."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from penchant.retrieval.co_visitation import CoVisitation
from training.retrieval.sequences import Sequences

REACH = 10
"""Followers that count: the next ten, each by 1 / distance."""
_CHUNK = 2_000_000


def count_co_visitation(histories: Sequences, row_count: int, followers: int) -> CoVisitation:
    """Row i: the items that came within REACH after item i, weighed by 1 / distance and divided so as to add up to 1.

    row_count is N + 1. Only the `followers` strongest of each row are kept; what goes stays in the divisor.
    """
    rows, users = histories.rows, histories.users
    total = sparse.csr_matrix((row_count, row_count), dtype=np.float64)
    for start in range(0, len(rows), _CHUNK):
        stop = min(start + _CHUNK, len(rows))
        sources, targets, weights = [], [], []
        for distance in range(1, REACH + 1):
            source = np.arange(start, min(stop, len(rows) - distance))
            source = source[(users[source] == users[source + distance]) & (rows[source] != rows[source + distance])]
            sources.append(rows[source])
            targets.append(rows[source + distance])
            weights.append(np.full(len(source), 1.0 / distance))
        shape = (row_count, row_count)
        triples = (np.concatenate(weights), (np.concatenate(sources), np.concatenate(targets)))
        total = total + sparse.coo_matrix(triples, shape=shape).tocsr()
    total.sort_indices()
    mass = np.asarray(total.sum(axis=1)).ravel()
    owner = np.repeat(np.arange(row_count), np.diff(total.indptr))
    weights_all = total.data / mass[owner]
    kept = _strongest(owner, weights_all, total.indptr, followers)
    counts = np.bincount(owner[kept], minlength=row_count)
    return CoVisitation(
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        total.indices[kept].astype(np.uint32),
        weights_all[kept].astype(np.float32),
    )


def _strongest(
    owner: NDArray[np.int64], weights: NDArray[np.float64], indptr: NDArray[np.integer], k: int
) -> NDArray[np.int64]:
    """Places of each row's k largest weights, ascending; ties go to the lower target."""
    if len(weights) == 0 or np.diff(indptr).max() <= k:
        return np.arange(len(weights))
    order = np.lexsort((np.arange(len(weights)), -weights, owner))
    rank = np.arange(len(order)) - np.asarray(indptr, np.int64)[owner[order]]
    return np.sort(order[rank < k])
