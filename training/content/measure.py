"""Where cold items come in the order of a model that never met them: among themselves, and among all items."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from penchant.retrieval import RetrievalSettings
from penchant.types import Matrix
from training.content.held_out import Asked, Histories
from training.content.likeness import RECENT, TfidfNeighbours
from training.content.popular import PopularByThen
from training.retrieval.scoring import CatalogueScores, Targets
from training.retrieval.sequences import padded
from training.retrieval.trained import TrainedRetrieval

_DENSE = 6_000_000
"""Scores held at a time."""
POPULAR = "popular_by_then"
Places = dict[str, NDArray[np.int64]]
"""By system: the place of each target from 1, [T]."""


def among_cold(
    trained: TrainedRetrieval,
    past: Histories,
    towers: dict[str, Matrix],
    tfidf: TfidfNeighbours,
    popular: PopularByThen,
) -> tuple[Places, NDArray[np.int64]]:
    """Places of cold targets among the cold items the user has not seen, and how many those are.

    towers: embeddings [C, D] of the cold items by system.
    """
    asked, count = past.cold, len(next(iter(towers.values())))
    names = [*towers, "tfidf", f"tfidf_newest_{RECENT}"]
    found: Places = {name: np.zeros(len(asked), np.int64) for name in (POPULAR, *names)}
    choice = count - (asked.cold_ends - asked.cold_starts)
    for where, some in _blocks(asked, count):
        seen = _seen(past, some, count)
        choice[where] = count - seen.sum(axis=1)
        vectors = _user_vectors(trained, past, some)
        for name, embeddings in towers.items():
            found[name][where] = _places(vectors @ embeddings.T, some.target, seen)
        found[POPULAR][where] = _places(popular.scores(some.events), some.target, seen)
        recent = np.maximum(some.starts, some.ends - RECENT)
        for name, starts in zip(names[len(towers) :], (some.starts, recent), strict=True):
            found[name][where] = _places(tfidf.scores(past.warm.rows, starts, some.ends), some.target, seen)
    return found, choice


def among_all(trained: TrainedRetrieval, past: Histories, cold: Matrix) -> tuple[Places, Places, Places]:
    """Over the whole catalogue, seen items masked: places of the cold targets, of the warm ones, and of the warm ones
    where no cold item competes.
    """
    systems = {
        "tower": replace(trained.settings, tower_weight=1.0, trend_weight=0.0, new_lift=0.0),
        "blend": trained.settings,
    }
    count = trained.catalogue.count + 1 + len(cold)
    of_cold: Places = {name: np.zeros(len(past.cold), np.int64) for name in systems}
    of_warm: Places = {name: np.zeros(len(past.last), np.int64) for name in systems}
    alone: Places = {name: np.zeros(len(past.last), np.int64) for name in systems}
    for where, some in _blocks(past.cold, count):
        for name, (warm_TN, cold_TC) in _both(trained, past, some, cold, systems):
            own = np.take_along_axis(cold_TC, some.target[:, None], axis=1)
            of_cold[name][where] = 1 + (warm_TN > own).sum(axis=1) + (cold_TC > own).sum(axis=1)
    for where, some in _blocks(past.last, count):
        for name, (warm_TN, cold_TC) in _both(trained, past, some, cold, systems):
            own = np.take_along_axis(warm_TN, some.target[:, None], axis=1)
            alone[name][where] = 1 + (warm_TN > own).sum(axis=1)
            of_warm[name][where] = alone[name][where] + (cold_TC > own).sum(axis=1)
    return of_cold, of_warm, alone


def _both(
    trained: TrainedRetrieval, past: Histories, some: Asked, cold: Matrix, systems: dict[str, RetrievalSettings]
) -> Iterator[tuple[str, tuple[Matrix, Matrix]]]:
    """By system: scores of the warm rows [T, N+1] and of the cold items [T, C], -inf where seen."""
    scores = CatalogueScores(trained, past.warm, Targets(some.target, some.starts, some.ends))
    dots = scores.vectors @ cold.T
    dots[_seen(past, some, len(cold))] = -np.inf
    for name, settings in systems.items():
        warm = scores.score(slice(None), settings)
        yield name, (warm, scores.as_new(dots, warm, settings))


def _user_vectors(trained: TrainedRetrieval, past: Histories, some: Asked) -> Matrix:
    """Of targets with the same history, encoded once."""
    _, first, place = np.unique(some.ends, return_index=True, return_inverse=True)
    length = trained.recipe.history_length
    return trained.user_vectors(padded(past.warm, some.starts[first], some.ends[first], length))[place]


def _seen(past: Histories, some: Asked, count: int) -> NDArray[np.bool_]:
    seen = np.zeros((len(some), count), np.bool_)
    for i, (start, end) in enumerate(zip(some.cold_starts.tolist(), some.cold_ends.tolist(), strict=True)):
        seen[i, past.cold_places[start:end]] = True
    return seen


def _places(scores_TC: Matrix, targets: NDArray[np.int64], seen: NDArray[np.bool_]) -> NDArray[np.int64]:
    """From 1; of equal scores half count as better, so that nothing is won by saying nothing."""
    own = np.take_along_axis(scores_TC, targets[:, None], axis=1)
    scores = np.where(seen, -np.inf, scores_TC)
    equal = (scores == own).sum(axis=1) - 1
    return np.asarray(1 + (scores > own).sum(axis=1) + equal // 2, np.int64)


def _blocks(asked: Asked, columns: int) -> Iterator[tuple[slice, Asked]]:
    step = max(_DENSE // columns, 1)
    for first in range(0, len(asked), step):
        some = slice(first, first + step)
        yield some, asked.take(some)
