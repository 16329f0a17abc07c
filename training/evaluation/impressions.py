"""What was shown and what came of it, in columns: from a data set's exposures, or from a running stack's logs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penchant.errors import ConfigError
from training.data.dataset import Dataset
from training.data.split import history_mask
from training.evaluation.protocol import event_columns
from training.learning.exposures import ExposureJournal, Shown
from training.learning.journal import Journal
from training.learning.reading import LogFollower
from training.ranking.tasks import Task, outcomes


@dataclass(frozen=True, slots=True)
class Impressions:
    """I items as they were shown, each [I]: users, slates and positions from 0 (-1 where not known), what followed."""

    users: NDArray[np.int64]
    slates: NDArray[np.int64]
    positions: NDArray[np.int64]
    clicked: NDArray[np.bool_]
    purchased: NDArray[np.bool_]
    click_types: tuple[str, ...]
    """What counts as a click."""

    def __len__(self) -> int:
        return len(self.users)


def click_types(dataset: Dataset) -> tuple[str, ...]:
    """Clicks where the data has any, else every act that enters histories; purchases only where nothing else is."""
    there = np.unique(dataset.events.types[history_mask(dataset)]).tolist()
    names = [dataset.event_types[t] for t in there]
    if "click" in names:
        return ("click",)
    return tuple(name for name in names if name != "purchase") or tuple(names)


def dataset_impressions(dataset: Dataset, part: NDArray[np.int64]) -> Impressions | None:
    """The exposures among the events `part`; None without any.

    An act counts for the slate that it names; where acts name none, for what the same user was shown of the item in the
    half hour before, as in training.
    """
    events = dataset.events
    if events.impressions is None:
        return None
    shown = part[events.impressions[part] & (events.items[part] >= 0)]
    if len(shown) == 0:
        return None
    clicks = click_types(dataset)
    slates = np.full(len(shown), -1, np.int64) if events.slates is None else events.slates[shown]
    positions = np.full(len(shown), -1) if events.slate_positions is None else events.slate_positions[shown]
    return Impressions(
        events.users[shown].astype(np.int64), slates, positions.astype(np.int64),
        _followed(dataset, shown, clicks), _followed(dataset, shown, ("purchase",)), clicks,
    )  # fmt: skip


def _followed(dataset: Dataset, shown: NDArray[np.int64], types: Sequence[str]) -> NDArray[np.bool_]:
    events = dataset.events
    acts = _acts(dataset, types)
    if events.slates is not None and (events.slates[acts] >= 0).any():
        return _among(events.slates[shown], events.items[shown], events.slates[acts], events.items[acts])
    labels = np.zeros(len(events), np.float32)
    labels[acts] = 1.0
    return outcomes(dataset, Task("", "act", labels), shown, np.ones(len(events), np.bool_)) > 0


def _acts(dataset: Dataset, types: Sequence[str]) -> NDArray[np.int64]:
    wanted = np.array([name in types for name in dataset.event_types] or [False])
    return np.flatnonzero(wanted[dataset.events.types] & (dataset.events.items >= 0))


def _among(
    slates: NDArray[np.int64], items: NDArray[np.integer], of_slates: NDArray[np.int64], of_items: NDArray[np.integer]
) -> NDArray[np.bool_]:
    """Whether each (slate, item) is one of the others; slate -1 never is."""
    _, slate = np.unique(np.concatenate([slates, of_slates]), return_inverse=True)
    _, item = np.unique(np.concatenate([items, of_items]), return_inverse=True)
    pair = slate * (int(item.max(initial=0)) + 1) + item
    return np.asarray(np.isin(pair[: len(slates)], pair[len(slates) :][of_slates >= 0]) & (slates >= 0))


def served_impressions(log: str, exposures: Path) -> tuple[Dataset, Impressions | None]:
    """A running stack's event log as a data set, and the newest slates of its exposure log.

    An event counts for the slate whose recommendation_id it echoes. Raises ConfigError without a folder of exposures
    or for a URL that names no log, LogError for a damaged one.
    """
    if not exposures.is_dir():
        raise ConfigError(f"--exposures {exposures} is no folder: name the exposure log of the recommender")
    journal, held = Journal(None), ExposureJournal(exposures)
    follower = LogFollower(log)
    try:
        follower.read(journal)
    finally:
        follower.close()
    held.read()
    dataset = journal.view().dataset
    return dataset, _of_slates(dataset, held.held, journal.user_places())


def _of_slates(dataset: Dataset, shown: Sequence[Shown], places: dict[int, int]) -> Impressions | None:
    """Every slate, of strangers (user -1) too: those that nobody acts on count most of all."""
    lengths = [len(one.item_keys) for one in shown]
    if sum(lengths) == 0:
        return None
    slates = np.repeat(np.array([one.slate for one in shown]), lengths)
    items = np.concatenate([one.item_keys for one in shown])
    keys, events = event_columns(dataset).item_keys, dataset.events
    clicks = click_types(dataset)

    def followed(types: Sequence[str]) -> NDArray[np.bool_]:
        acts = _acts(dataset, types)
        if events.slates is None:
            return np.zeros(len(slates), np.bool_)
        return _among(slates, items, events.slates[acts], keys[acts])

    return Impressions(
        np.repeat(np.array([places.get(one.user_key, -1) for one in shown], np.int64), lengths), slates,
        np.concatenate([np.arange(n) for n in lengths]), followed(clicks), followed(("purchase",)), clicks,
    )  # fmt: skip
