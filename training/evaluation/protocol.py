"""What is predicted, in which order, and from what: every target with the events of its user before it.

Leave-one-out predicts each user's last history event from all that came before it, the validation event included.
The time split predicts each held-out history event from all that came before it, earlier held-out ones included.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penchant.events import EVENT_TYPES
from penchant.ids import keys
from penchant.types import Keys, Times
from training.data.dataset import Dataset
from training.data.split import Split, history_mask, targets_sha256

TENANT = ""
"""Data sets live in the default tenant."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """One user's events up to the last target, in (time, order) order.

    events int64 [E]: indices into dataset.events; target_at [T]: which of them are targets, ascending;
    first_target: the place of this user's first target among all targets.
    """

    user: int
    events: NDArray[np.int64]
    target_at: NDArray[np.int64]
    first_target: int


@dataclass(frozen=True, slots=True)
class EventColumns:
    """The dataset's events as the features take them, each [E]; key 0 is an event without item."""

    item_keys: Keys
    types: NDArray[np.int64]
    values: NDArray[np.float64]
    times: Times


@dataclass(frozen=True, slots=True)
class TargetSet:
    """T targets in (user, time, order) order: events int64 [T] into dataset.events, users [T], item_keys [T]."""

    events: NDArray[np.int64]
    users: NDArray[np.int64]
    item_keys: Keys
    sha256: str

    def __len__(self) -> int:
        return len(self.events)

    @property
    def user_count(self) -> int:
        """Users with a target."""
        return len(np.unique(self.users))


def event_columns(dataset: Dataset) -> EventColumns:
    """The dataset's events with item keys and event-type codes."""
    events = dataset.events
    item_keys = np.append(keys(TENANT, dataset.item_ids), 0)
    codes = np.array([EVENT_TYPES[name].code for name in dataset.event_types], np.int64)
    return EventColumns(
        item_keys[events.items], codes[events.types], events.values.astype(np.float64), events.times.astype(np.int64)
    )


def target_set(dataset: Dataset, split: Split, max_targets: int = 0, seed: int = 0) -> TargetSet:
    """The targets of a split; with max_targets, those of a seeded sample of whole users, at most that many.

    A single user with more than max_targets is still taken whole, so that the sample is never empty.
    """
    events = dataset.events
    test = split.test
    if max_targets and len(test) > max_targets:
        users, counts = np.unique(events.users[test], return_counts=True)
        drawn = np.random.default_rng(seed).permutation(len(users))
        taken = max(1, int(np.searchsorted(np.cumsum(counts[drawn]), max_targets, side="right")))
        test = test[np.isin(events.users[test], users[drawn[:taken]])]
    test = test[np.lexsort((events.order[test], events.times[test], events.users[test]))]
    items = events.items[test]
    ids = [dataset.item_ids[i] for i in items]
    return TargetSet(
        test, events.users[test].astype(np.int64), keys(TENANT, ids), targets_sha256(dataset, replace(split, test=test))
    )


def _events_of_users(dataset: Dataset, targets: TargetSet) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Events of the users with a target, in (user, time, order) order, and of every event whether it is a target."""
    events = dataset.events
    wanted = np.zeros(len(dataset.user_ids), np.bool_)
    wanted[targets.users] = True
    mine = np.flatnonzero(wanted[events.users])
    mine = mine[np.lexsort((events.order[mine], events.times[mine], events.users[mine]))]
    is_target = np.zeros(len(events), np.bool_)
    is_target[targets.events] = True
    return mine, is_target


def timelines(dataset: Dataset, targets: TargetSet) -> Iterator[Timeline]:
    """One timeline for each user with a target, users ascending."""
    events = dataset.events
    mine, is_target = _events_of_users(dataset, targets)
    bounds = np.flatnonzero(np.diff(events.users[mine])) + 1
    first = 0
    for block in np.split(mine, bounds):
        if len(block) == 0:
            continue
        at = np.flatnonzero(is_target[block])
        yield Timeline(int(events.users[block[0]]), block[: at[-1] + 1], at, first)
        first += len(at)


@dataclass(frozen=True, slots=True)
class HistoryBefore:
    """H history events of the users with targets, each with the first of its user's T targets that comes after it.

    targets int64 [H]: places in the target set; events int64 [H]: indices into dataset.events.
    """

    targets: NDArray[np.int64]
    events: NDArray[np.int64]


def history_before(dataset: Dataset, targets: TargetSet) -> HistoryBefore:
    """What every target is predicted from: what it has here, and what its user's earlier targets have (running_sums).

    A target is history of the next one.
    """
    events = dataset.events
    mine, is_target = _events_of_users(dataset, targets)
    target_at = np.flatnonzero(is_target[mine])
    history_at = np.flatnonzero(history_mask(dataset)[mine])
    following = np.searchsorted(target_at, history_at, side="right")
    before = following < len(target_at)
    following, history = following[before], mine[history_at[before]]
    own = targets.users[following] == events.users[history]
    return HistoryBefore(following[own], history[own])


def running_sums(values_T: NDArray[Any], users_T: NDArray[np.integer]) -> NDArray[np.float64]:
    """Sums of values [T, ...] over a user's targets up to and with each; users stand together, as in a TargetSet."""
    sums = np.cumsum(values_T, axis=0, dtype=np.float64)
    if len(users_T) == 0:
        return sums
    starts = np.flatnonzero(np.append(True, users_T[1:] != users_T[:-1]))
    before = np.concatenate([np.zeros((1, *sums.shape[1:])), sums])[starts]
    return np.asarray(sums - np.repeat(before, np.diff(np.append(starts, len(users_T))), axis=0))


def user_attributes(dataset: Dataset, user: int) -> dict[str, str]:
    """The user's categorical attributes; missing ones are left out."""
    return {name: values[user] for name, values in dataset.users.categorical.items() if values[user]}
