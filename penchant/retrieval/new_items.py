"""Items newer than the bundle: what they are taken to be, and the places they get."""

import numpy as np
from numpy.typing import NDArray

from penchant.columns import Column
from penchant.retrieval.features import BLEND, CONTENT, DOT, RECIPROCAL_RANK
from penchant.retrieval.search import best
from penchant.types import Mask, Matrix, Rows

_LIKE = 15
"""Of the content source's places: for items newer than the bundle, which its neighbours do not know."""
_LAST = 2000
"""Items written last that are looked at for that, about 0.1 ms; the tower looks at all."""
_SHARE = 5
"""One of so many places of a blend is kept for such items: of 500 more than all sources propose."""


def made_new(features: Matrix, near: Matrix, tower_weight: float, lift: float) -> Matrix:
    """Retrieval features [n, S] of new items beside candidates of the same query [M, S] that the bundle knows.

    That nobody went on to an item yet says nothing of it: it is taken to be followed and popular as those are on
    average. Its dot, content and place are its own, and lift is added to its blend.
    """
    mean = near.mean(axis=0)
    mean[BLEND] -= tower_weight * mean[DOT]
    own = [DOT, CONTENT, RECIPROCAL_RANK]
    made = np.broadcast_to(mean, features.shape).copy()
    made[:, own] = features[:, own]
    made[:, BLEND] += tower_weight * features[:, DOT] + lift
    return np.asarray(made, np.float32)


def new_like(content: Matrix | Column, rows: NDArray[np.int64], allowed: Mask) -> Rows:
    """Of what was written last: the nearest in content to these rows together, of equals the newest first."""
    if not isinstance(content, Column) or len(content.extra) == 0:
        return np.empty(0, np.uint32)
    last = content.extra[-_LAST:]
    newest_first = np.arange(len(content) - 1, len(content) - len(last) - 1, -1)
    similarity = np.asarray(last @ content[rows].mean(axis=0))[::-1]
    like = np.flatnonzero((similarity > 1e-6) & allowed[newest_first])
    return newest_first[best(like, similarity[like], _LIKE)[0]].astype(np.uint32)


def with_new(order: NDArray[np.int64], new: NDArray[np.bool_], k: int) -> NDArray[np.int64]:
    """The first k of an order, where new items have a fifth of the places to themselves; new [B]: which candidates are.

    What nobody has met yet is blended by a guess, and the ranker cannot take up what it is not given.
    """
    kept, rest = order[:k], order[k:]
    places = k // _SHARE - int(np.count_nonzero(new[kept]))
    added = rest[new[rest]][: max(places, 0)]
    if len(added) == 0:
        return kept
    return np.concatenate([np.delete(kept, np.flatnonzero(~new[kept])[-len(added) :]), added])
