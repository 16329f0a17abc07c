"""What needs no model of the user: popular items by window, fresh ones, and neighbours in content."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penchant.features.kinds import DAY_US
from penchant.types import Matrix, Rows, Times
from training.retrieval.sequences import Sequences

WINDOWS_DAYS = (1, 7, 30)
_RECENT_SHARE = 0.1
_PRIOR_EVENTS = 200.0
"""Events of all time that smooth a window."""
_BLOCK = 1024


@dataclass(frozen=True, slots=True)
class Popularity:
    """rows uint32 [W, K], best first, 0 where a window has no more; the last window is all time.

    scores float32 [W, N+1]: log share of the window's events, of every row, smoothed by all time; the last window's
    is smoothed by one event an item.
    """

    rows: Rows
    scores: Matrix


def popularity(histories: Sequences, row_count: int, cut_us: int, has_times: bool, k: int) -> Popularity:
    """Windows of 1, 7 and 30 days before the cut and all time.

    Without times, the last tenth of each user's history (at least one event) and all time.
    """
    rows = histories.rows
    if has_times:
        recent = [histories.times > cut_us - days * DAY_US for days in WINDOWS_DAYS]
    else:
        from_end = np.repeat(histories.indptr[1:], histories.lengths) - 1 - np.arange(len(rows))
        reach = np.maximum(np.ceil(histories.lengths * _RECENT_SHARE), 1)
        recent = [from_end < np.repeat(reach, histories.lengths)]
    everything = np.ones(len(rows), np.bool_)
    counts = [np.bincount(rows[mask], minlength=row_count) for mask in (*recent, everything)]
    best = np.stack([_best(c, counts[-1], k) for c in counts])
    all_time = (counts[-1] + 1.0) / (len(rows) + row_count)
    shares = [(c + _PRIOR_EVENTS * all_time) / (c.sum() + _PRIOR_EVENTS) for c in counts[:-1]]
    return Popularity(best, np.log(np.stack([*shares, all_time])).astype(np.float32))


def _best(counts: NDArray[np.int64], ties: NDArray[np.int64], k: int) -> Rows:
    order = np.lexsort((np.arange(len(counts)), -ties, -counts))
    order = order[(counts[order] > 0) & (order > 0)][:k]
    return np.concatenate([order, np.zeros(k - len(order), np.int64)]).astype(np.uint32)


def fresh_rows(created: Times, k: int) -> Rows:
    """The k newest rows, newest first; those of unknown age are left out."""
    order = np.lexsort((np.arange(len(created)), -created))
    return order[created[order] > 0][:k].astype(np.uint32)


def content_neighbours(content: Matrix, k: int) -> Rows:
    """Each row's k nearest others by content, best first, 0 where there is none: uint32 [N+1, k]."""
    count = len(content)
    nearest = np.zeros((count, k), np.uint32)
    if not content.any():
        return nearest
    width = min(k, count - 1)
    for start in range(1, count, _BLOCK):
        block = np.arange(start, min(start + _BLOCK, count))
        similarity = content[block] @ content.T
        similarity[:, 0] = -np.inf
        similarity[np.arange(len(block)), block] = -np.inf
        best = np.sort(np.argpartition(-similarity, width - 1, axis=1)[:, :width], axis=1)
        values = np.take_along_axis(similarity, best, axis=1)
        order = np.argsort(-values, axis=1, kind="stable")
        chosen = np.where(values > 1e-6, best, 0)
        nearest[block, :width] = np.take_along_axis(chosen, order, axis=1)
    return nearest
