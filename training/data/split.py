"""What is trained on, what is held out: leave-one-out and the global time split."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penchant.errors import ConfigError
from penchant.events import EVENT_TYPES
from training.data.dataset import Dataset

PROTOCOLS = ("leave-one-out", "time-split", "none")


@dataclass(frozen=True, slots=True)
class Split:
    """Indices into dataset.events, each in time order. train and valid are disjoint and precede test."""

    protocol: str
    train: NDArray[np.int64]
    valid: NDArray[np.int64]
    test: NDArray[np.int64]
    """Held-out target events: history events alone."""
    held_out: NDArray[np.int64]
    """Every event after the cut, targets included, in time order."""
    cut_us: int
    """Newest time before the held-out part."""


def default_protocol(dataset: Dataset) -> str:
    """The honest one for production where there are times, the published tables' one where there are none."""
    return "time-split" if dataset.has_times else "leave-one-out"


def history_mask(dataset: Dataset) -> NDArray[np.bool_]:
    """Events that enter histories, bool [E]."""
    by_type = np.array([EVENT_TYPES[t].in_history for t in dataset.event_types], np.bool_)
    return np.asarray(by_type[dataset.events.types] & (dataset.events.items >= 0))


def split(dataset: Dataset, protocol: str, test_fraction: float = 0.2, valid_fraction: float = 0.1) -> Split:
    """Cut a dataset. Raises ConfigError for an unknown protocol."""
    events = dataset.events
    history = history_mask(dataset)
    everything = np.arange(len(events), dtype=np.int64)
    match protocol:
        case "leave-one-out":
            from_end = _place_from_end(dataset, history)
            length = np.bincount(events.users[history], minlength=len(dataset.user_ids))
            eligible = history & (length[events.users] >= 3)
            test = np.flatnonzero(eligible & (from_end == 0))
            valid = np.flatnonzero(eligible & (from_end == 1))
            train = np.setdiff1d(everything, np.union1d(test, valid))
            cut = int(events.times.max()) if len(events) else 0
            return Split(protocol, train, valid, test, test, cut)
        case "time-split":
            targets = np.flatnonzero(history)
            if len(targets) < 10:
                raise ConfigError(f"{dataset.name} holds {len(targets)} history events: a time split needs 10 or more")
            first_test = int(targets[int(len(targets) * (1 - test_fraction))])
            first_valid = int(targets[int(len(targets) * (1 - test_fraction) * (1 - valid_fraction))])
            held_out = everything[first_test:]
            return Split(
                protocol, everything[:first_valid], everything[first_valid:first_test], held_out[history[held_out]],
                held_out, int(events.times[max(first_test - 1, 0)]),
            )  # fmt: skip
        case "none":
            targets = np.flatnonzero(history)
            if len(targets) == 0:
                raise ConfigError(f"{dataset.name} holds no history events (click, like, purchase, rating, play)")
            first_valid = int(targets[int(len(targets) * (1 - valid_fraction))])
            empty = np.empty(0, np.int64)
            return Split(
                protocol, everything[:first_valid], everything[first_valid:], empty, empty, int(events.times.max())
            )
    raise ConfigError(f"unknown protocol {protocol!r}: one of {', '.join(PROTOCOLS)}")


def _place_from_end(dataset: Dataset, history: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For history events their place from the end of their user's history (0 is last), -1 elsewhere."""
    events = dataset.events
    index = np.flatnonzero(history)
    order = index[np.lexsort((events.order[index], events.times[index], events.users[index]))]
    users = events.users[order]
    ends = np.searchsorted(users, users, side="right")
    place = np.full(len(events), -1, np.int64)
    place[order] = ends - 1 - np.arange(len(order))
    return place


def targets_sha256(dataset: Dataset, split: Split) -> str:
    """Checksum over (user id, item id) of the targets in (user, time, order) order: equal sums, equal tables."""
    events = dataset.events
    test = split.test[np.lexsort((events.order[split.test], events.times[split.test], events.users[split.test]))]
    digest = hashlib.sha256()
    for i in test:
        digest.update(f"{dataset.user_ids[events.users[i]]}\0{dataset.item_ids[events.items[i]]}\n".encode())
    return digest.hexdigest()
