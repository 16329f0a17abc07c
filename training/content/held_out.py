"""Items held wholly out of training: which, what is left of the data set, and the events that ask for them."""

from collections.abc import Collection
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from penchant.errors import ConfigError
from training.catalogue import Catalogue
from training.data.dataset import Attributes, Dataset
from training.data.split import history_mask
from training.retrieval.sequences import Sequences

LEAST_EVENTS = 5
"""History events that an item needs to be held out: one that hardly anybody met tells little."""


def draw_cold(dataset: Dataset, share: float, seed: int) -> NDArray[np.int64]:
    """Items to hold out, ascending: so large a share of those with LEAST_EVENTS or more. Raises ConfigError."""
    counts = np.bincount(dataset.events.items[history_mask(dataset)], minlength=len(dataset.item_ids))
    able = np.flatnonzero(counts >= LEAST_EVENTS)
    size = round(share * len(able))
    if size < 1 or size >= len(able):
        raise ConfigError(
            f"--share {share} of the {len(able)} items of {dataset.name} with {LEAST_EVENTS} events or more is {size}: "
            "some must be held out, and some left"
        )
    return np.sort(np.random.default_rng(seed).choice(able, size, replace=False))


def without_items(dataset: Dataset, items: NDArray[np.int64]) -> Dataset:
    """The data set as if these items had never been: no event, nothing written of them."""
    gone = np.zeros(len(dataset.item_ids) + 1, np.bool_)
    gone[items] = True
    return replace(
        dataset,
        events=dataset.events.take(~gone[dataset.events.items]),
        items=_blank(dataset.items, gone[:-1]),
    )


def _blank(attributes: Attributes, gone: NDArray[np.bool_]) -> Attributes:
    def texts(column: list[str]) -> list[str]:
        return ["" if away else value for value, away in zip(column, gone, strict=True)]

    return Attributes(
        categorical={name: texts(column) for name, column in attributes.categorical.items()},
        multi={
            name: [() if away else value for value, away in zip(column, gone, strict=True)]
            for name, column in attributes.multi.items()
        },
        numeric={name: np.where(gone, np.float32(np.nan), column) for name, column in attributes.numeric.items()},
        text={name: texts(column) for name, column in attributes.text.items()},
        image={name: texts(column) for name, column in attributes.image.items()},
        audio={name: texts(column) for name, column in attributes.audio.items()},
    )


def with_only(dataset: Dataset, names: Collection[str]) -> Dataset:
    """The data set with no other item attributes than these."""
    kept = {f.name: {n: c for n, c in getattr(dataset.items, f.name).items() if n in names} for f in fields(Attributes)}
    return replace(dataset, items=Attributes(**kept))


@dataclass(frozen=True, slots=True)
class Asked:
    """T targets and what their users had before them; histories and cold_places are those of Histories.

    target [T]: the row to find, or, of a cold item, its place among the cold ones. users [T]: whose it is.
    starts, ends [T]: into the histories' rows. cold_starts, cold_ends [T]: into cold_places. events [T]: theirs.
    """

    target: NDArray[np.int64]
    users: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    cold_starts: NDArray[np.int64]
    cold_ends: NDArray[np.int64]
    events: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.target)

    def take(self, some: NDArray[np.int64] | NDArray[np.bool_] | slice) -> "Asked":
        """The chosen targets."""
        return Asked(*(getattr(self, f.name)[some] for f in fields(self)))


@dataclass(frozen=True, slots=True)
class Histories:
    """What everybody did, the warm part as rows and the cold part as places among the cold items, in time order."""

    warm: Sequences
    cold_places: NDArray[np.int64]
    cold: Asked
    """Every first act of a user on a cold item, after one known item or more."""
    last: Asked
    """The events of the warm data set that were asked for, told by their order in it."""
    left_out: dict[str, int]
    """Acts on cold items that are no targets, by reason."""


def histories(
    dataset: Dataset, catalogue: Catalogue, cold_items: NDArray[np.int64], last_orders: NDArray[np.int64]
) -> Histories:
    """Histories of the whole data set over a catalogue that does not hold the cold items.

    last_orders: EventTable.order of events on warm items to be found as well.
    """
    events = dataset.events
    place = np.full(len(dataset.item_ids), -1, np.int64)
    place[cold_items] = np.arange(len(cold_items))
    index = np.flatnonzero(history_mask(dataset))
    index = index[np.lexsort((events.order[index], events.times[index], events.users[index]))]
    rows, places, users = catalogue.rows(events.items[index]), place[events.items[index]], events.users[index]
    warm, cold = rows > 0, places >= 0
    warm_before: NDArray[np.int64] = np.cumsum(warm) - warm
    cold_before: NDArray[np.int64] = np.cumsum(cold) - cold
    first = np.searchsorted(users, users, side="left")
    asked = Asked(
        np.where(cold, places, rows), users.astype(np.int64),
        warm_before[first], warm_before, cold_before[first], cold_before, index,
    )  # fmt: skip
    counts = np.bincount(users[warm], minlength=len(dataset.user_ids))
    sequences = Sequences(
        rows[warm], events.times[index[warm]], index[warm], np.concatenate([[0], np.cumsum(counts)])
    )  # fmt: skip
    known = asked.ends > asked.starts
    again = np.ones(len(index), np.bool_)
    again[np.unique(users.astype(np.int64) * len(place) + events.items[index], return_index=True)[1]] = False
    last = warm & np.isin(events.order[index], last_orders)
    return Histories(
        sequences, places[cold], asked.take(cold & known & ~again), asked.take(last & known & ~again),
        {"without_history": int((cold & ~known).sum()), "seen_before": int((cold & known & again).sum())},
    )  # fmt: skip
