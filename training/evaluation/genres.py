"""Genre calibration: a list should hold what a user likes in the shares in which they like it. Steck, RecSys 2018.

"Genre" is any categorical or multi-valued attribute. An item's share is divided equally among its values; a taste is
the mean over the user's history, a list's profile the mean over its items, both over those items that have a value.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from penchant.columns import TagColumn
from training.evaluation.lists import membership
from training.evaluation.metrics import Lists, PerTarget

Profiles = NDArray[np.float64]
"""Shares by genre, [T, G]; rows add up to 1, or to 0 where nothing is known."""
SMOOTHING = 0.01
"""Steck's alpha: how much of the taste is mixed into the list's profile, so that a missing genre costs a finite sum."""
MAX_VALUES = 500
"""An attribute of more values is no genre: ten items cannot follow it."""
_USUAL = ("genre", "genres", "category", "categories")


def choose_attribute(tags: Mapping[str, TagColumn], asked: str | None) -> tuple[str | None, str]:
    """The attribute to calibrate by, or None and why there is none.

    Without one asked for: one that is called genre or category, else the one filled most (ties by name).
    """
    if asked is not None and asked not in tags:
        return None, f"no categorical or multi-valued attribute {asked!r}; the bundle has {', '.join(tags) or 'none'}"
    if asked is not None:
        reason = _unfit(tags[asked])
        return (None, f"{asked} {reason}") if reason else (asked, "")
    fit = [name for name in tags if not _unfit(tags[name])]
    if not fit:
        return None, "the items have no categorical or multi-valued attribute of 2 to 500 values"
    return min(fit, key=lambda name: (name.lower() not in _USUAL, -_filled(tags[name]), name)), ""


def _unfit(column: TagColumn) -> str:
    count = len(column.vocabulary)
    return "" if 2 <= count <= MAX_VALUES else f"has {count} values: genre calibration takes 2 to {MAX_VALUES}"


def _filled(column: TagColumn) -> int:
    return int(np.count_nonzero(np.diff(column.indptr)))


def item_shares(column: TagColumn) -> sparse.csr_matrix:
    """p(g|i), float64 [N+1, G]: rows add up to 1, or to 0 for an item without a value."""
    counts = np.diff(column.indptr)
    weights = np.repeat(1.0 / np.maximum(counts, 1), counts)
    shape = (len(counts), len(column.vocabulary))
    return sparse.csr_matrix((weights, column.codes.astype(np.int64), column.indptr), shape)


def list_profiles(lists_TK: Lists, shares_NG: sparse.csr_matrix, k: int) -> Profiles:
    """q(g|u) of the first k items, zeros where none has a value."""
    held = membership(lists_TK[:, :k], shares_NG.shape[0])
    return normalised(np.asarray((held @ shares_NG).toarray(), np.float64))


def normalised(weights_TG: Profiles) -> Profiles:
    """Rows divided by their sum; rows of zeros stay."""
    sums = weights_TG.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(weights_TG, sums, out=np.zeros_like(weights_TG), where=sums > 0))


def genre_kl(tastes_TG: Profiles, profiles_TG: Profiles, smoothing: float = SMOOTHING) -> PerTarget:
    """KL divergence of each list's profile from the taste in nats, in [0, log(1/smoothing)]; lower is better.

    sum_g p log(p / ((1 - smoothing) q + smoothing p)): 0 where the list has the taste's shares. NaN where either says
    nothing (a first event, items without a value).
    """
    mixed = (1.0 - smoothing) * profiles_TG + smoothing * tastes_TG
    ratio = np.divide(tastes_TG, mixed, out=np.ones_like(mixed), where=tastes_TG > 0)
    divergence = np.maximum((tastes_TG * np.log(ratio)).sum(axis=1), 0.0)
    known = (tastes_TG.sum(axis=1) > 0) & (profiles_TG.sum(axis=1) > 0)
    return np.where(known, divergence, np.nan)
