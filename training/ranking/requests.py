"""Which moments ranking learns from: the held-back events as targets, and the slates that were shown."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.data.dataset import Dataset
from training.data.split import Split, history_mask
from training.ranking.recipe import RankingRecipe

SLATE_GAP_US = 30 * 60 * 1_000_000


@dataclass(frozen=True, slots=True)
class HeldBack:
    """Events by their index into dataset.events, each in time order.

    before: what retrieval's first stage is trained on. train, valid: targets of the two parts. slates_train,
    slates_valid: the exposures of whole slates, a list of slates each.
    """

    before: NDArray[np.int64]
    train: NDArray[np.int64]
    valid: NDArray[np.int64]
    slates_train: list[NDArray[np.int64]]
    slates_valid: list[NDArray[np.int64]]


def hold_back(dataset: Dataset, split: Split, recipe: RankingRecipe, seed: int) -> HeldBack:
    """Cut the ranking slice off what may be trained on; the split's validation part chooses, it trains nothing.

    Time split: the newest slice_share of the training events. Leave-one-out: each user's newest slice_items, as long
    as two older ones remain. More than max_requests targets are thinned to a sample of whole users.
    """
    history = history_mask(dataset)
    targets = split.train[history[split.train]]
    if split.protocol == "leave-one-out":
        taken = _newest_of_each(dataset, targets, recipe.slice_items)
        before = np.setdiff1d(split.train, taken)
    else:
        first = targets[int(len(targets) * (1 - recipe.slice_share))] if len(targets) else 0
        before, taken = split.train[split.train < first], targets[targets >= first]
    valid = split.valid[history[split.valid]]
    slates_train, slates_valid = _slates_of_parts(dataset, split, taken, valid)
    return HeldBack(
        before,
        sample_of_users(dataset, taken, recipe.max_requests, seed),
        sample_of_users(dataset, valid, recipe.max_valid_requests, seed),
        _some(slates_train, recipe.max_slates, seed),
        _some(slates_valid, recipe.max_slates // 4, seed),
    )


def sample_of_users(dataset: Dataset, index: NDArray[np.int64], most: int, seed: int) -> NDArray[np.int64]:
    """At most about `most` of the events, in time order: all of a drawn user's, but never more than a tenth of one."""
    if len(index) <= most:
        return index
    rng = np.random.default_rng(seed)
    users = dataset.events.users[index]
    drawn = rng.permutation(len(dataset.user_ids))
    # Heavy users are thinned, so that no one is the sample.
    order = rng.permutation(len(index))
    order = order[np.argsort(users[order], kind="stable")]
    start = np.searchsorted(users[order], users[order], side="left")
    kept = order[np.arange(len(order)) - start < max(most // 10, 1)]
    rank = np.empty(len(drawn), np.int64)
    rank[drawn] = np.arange(len(drawn))
    kept = kept[np.argsort(rank[users[kept]], kind="stable")][:most]
    return np.sort(index[kept])


def slates_between(dataset: Dataset, index: NDArray[np.int64], most: int, seed: int) -> list[NDArray[np.int64]]:
    """At most `most` slates whose exposures are all among the events `index`."""
    among = np.zeros(len(dataset.events), np.bool_)
    among[index] = True
    # Of a large log only what may belong to them is looked at.
    since_us = int(dataset.events.times[index].min()) - SLATE_GAP_US if len(index) else 0
    return _some([slate for slate in _slates(dataset, since_us) if among[slate].all()], most, seed)


def _newest_of_each(dataset: Dataset, targets: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    events = dataset.events
    order = targets[np.lexsort((events.order[targets], events.times[targets], events.users[targets]))]
    users = events.users[order]
    from_end = np.searchsorted(users, users, side="right") - 1 - np.arange(len(order))
    from_start = np.arange(len(order)) - np.searchsorted(users, users, side="left")
    return np.sort(order[(from_end < count) & (from_start >= 2)])


def _slates_of_parts(
    dataset: Dataset, split: Split, train: NDArray[np.int64], valid: NDArray[np.int64]
) -> tuple[list[NDArray[np.int64]], list[NDArray[np.int64]]]:
    """Slates that lie in the training and in the validation part of the held-back events.

    In time these are the slates from the part's first target on; where each user's last events are held back, those
    from the user's own first target on.
    """
    never = np.iinfo(np.int64).max
    users, times = dataset.events.users, dataset.events.times
    starts = {"train": np.full(len(dataset.user_ids), never), "valid": np.full(len(dataset.user_ids), never)}
    for name, part in (("train", train), ("valid", valid)):
        if split.protocol == "leave-one-out":
            np.minimum.at(starts[name], users[part], times[part])
        elif len(part):
            starts[name][:] = times[part[0]]
    allowed = np.zeros(len(users), np.bool_)
    allowed[split.train] = True
    allowed[split.valid] = True
    by_part: dict[str, list[NDArray[np.int64]]] = {"train": [], "valid": []}
    for slate in _slates(dataset):
        user, time = users[slate[0]], times[slate[0]]
        if not allowed[slate].all() or time < starts["train"][user]:
            continue
        by_part["valid" if time >= starts["valid"][user] else "train"].append(slate)
    return by_part["train"], by_part["valid"]


def _slates(dataset: Dataset, since_us: int | None = None) -> list[NDArray[np.int64]]:
    """The exposures of each slate; without numbers of slates, each user's are cut where the position falls back.

    since_us: those from then on.
    """
    events = dataset.events
    if events.impressions is None:
        return []
    chosen = events.impressions & (events.items >= 0)
    shown = np.flatnonzero(chosen if since_us is None else chosen & (events.times >= since_us))
    shown = shown[np.lexsort((events.order[shown], events.times[shown], events.users[shown]))]
    if events.slates is not None:
        shown = shown[events.slates[shown] >= 0]
        shown = shown[np.lexsort((np.arange(len(shown)), events.slates[shown], events.users[shown]))]
        starts = np.diff(events.slates[shown]) != 0
    elif events.slate_positions is not None:
        shown = shown[events.slate_positions[shown] >= 0]
        starts = np.diff(events.slate_positions[shown]) <= 0
        starts |= np.diff(events.times[shown]) > SLATE_GAP_US
    else:
        return []
    if len(shown) == 0:
        return []
    return np.split(shown, np.flatnonzero(starts | (np.diff(events.users[shown]) != 0)) + 1)


def _some(slates: list[NDArray[np.int64]], most: int, seed: int) -> list[NDArray[np.int64]]:
    if len(slates) <= most:
        return slates
    chosen = np.sort(np.random.default_rng(seed).permutation(len(slates))[:most])
    return [slates[i] for i in chosen]
