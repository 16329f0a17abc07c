"""What each user did, as rows in time order, and the windows of it that a tower is trained on."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.catalogue import Catalogue
from training.data.dataset import Dataset
from training.data.split import history_mask


@dataclass(frozen=True, slots=True)
class Sequences:
    """User u's rows are rows[indptr[u]:indptr[u + 1]], oldest first, none of them 0; users as in the data set."""

    rows: NDArray[np.int64]
    times: NDArray[np.int64]
    events: NDArray[np.int64]
    """Which event of the data set each row is."""
    indptr: NDArray[np.int64]

    @property
    def users(self) -> NDArray[np.int64]:
        """The user of each row."""
        return np.repeat(np.arange(len(self.indptr) - 1), np.diff(self.indptr))

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Rows of each user."""
        return np.diff(self.indptr)


def sequences(dataset: Dataset, catalogue: Catalogue, index: NDArray[np.int64]) -> Sequences:
    """Histories made of the events `index` alone: those that enter histories and whose item has a row."""
    events = dataset.events
    index = index[history_mask(dataset)[index]]
    index = index[catalogue.rows(events.items[index]) > 0]
    index = index[np.lexsort((events.order[index], events.times[index], events.users[index]))]
    counts = np.bincount(events.users[index], minlength=len(dataset.user_ids))
    return Sequences(
        catalogue.rows(events.items[index]), events.times[index], index, np.concatenate([[0], np.cumsum(counts)])
    )  # fmt: skip


def newest(histories: Sequences, users: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """The newest `length` rows of each user, int64 [len(users), length], left-padded with 0."""
    return padded(histories, histories.indptr[users], histories.indptr[users + 1], length)


def padded(histories: Sequences, starts: NDArray[np.int64], ends: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """rows[start:end] of each pair, its newest `length`, left-padded with 0: int64 [len(starts), length]."""
    place = ends[:, None] - length + np.arange(length)
    inside = place >= starts[:, None]
    if len(histories.rows) == 0:
        return np.zeros(place.shape, np.int64)
    return np.where(inside, histories.rows[np.where(inside, place, 0)], 0)


def epoch_windows(
    histories: Sequences, length: int, share: float, generator: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(starts, ends) of windows of at most length + 1 rows, one for every `length` rows of each user.

    A user's first window ends at the end of the history, or, by chance `share`, anywhere; the others end anywhere.
    """
    counts = histories.lengths
    able = np.flatnonzero(counts >= 2)
    repeats = np.maximum(1, np.round(counts[able] / length)).astype(np.int64)
    users = np.repeat(able, repeats)
    first = np.ones(len(users), np.bool_)
    first[1:] = users[1:] != users[:-1]
    anywhere = ~first | (generator.random(len(users)) < share)
    drawn = 2 + np.floor(generator.random(len(users)) * (counts[users] - 1)).astype(np.int64)
    ends = np.where(anywhere, drawn, counts[users])
    begin = histories.indptr[users]
    return begin + np.maximum(ends - length - 1, 0), begin + ends


def batches(
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    windows: int,
    positions: int,
    generator: np.random.Generator,
) -> Iterator[NDArray[np.int64]]:
    """Places of windows of about equal length together, at least `windows` a batch, the batches in random order."""
    lengths = ends - starts
    order = np.lexsort((generator.random(len(lengths)), lengths))
    found = []
    at = len(order)
    while at > 0:
        size = max(windows, positions // int(lengths[order[at - 1]]))
        found.append(order[max(at - size, 0) : at])
        at -= size
    for i in generator.permutation(len(found)):
        yield found[i]
