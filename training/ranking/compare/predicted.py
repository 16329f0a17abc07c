"""What each contestant says of the held-out samples."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from penchant.types import Matrix
from training.learning.book import Book
from training.ranking.compare.collected import Collected
from training.ranking.model import task_scores
from training.ranking.recipe import RankingRecipe
from training.ranking.samples import Samples
from training.ranking.train import Progress as Told
from training.ranking.train import TrainedRanker, dense_of, logits_of, platt, train_ranker
from training.ranking.trees import booster, tree_rows

JUDGED = ("requests", "slates")


@dataclass(frozen=True, slots=True)
class Predicted:
    """Scores [R, C, 1 + T] of the requests and of the slates, `engage` first; NaN where nothing is asked."""

    requests: Matrix
    slates: Matrix


def by_ranker(found: Collected, recipe: RankingRecipe, seed: int, told: Told) -> tuple[TrainedRanker, Predicted]:
    """Train one ranker and ask it."""
    train, valid = found.books["train"], found.books["valid"]
    trained = train_ranker(
        train.samples,
        valid.samples,
        train.features,
        found.known["train"],
        found.schema,
        found.tasks,
        recipe,
        seed,
        told,
    )
    return trained, Predicted(*(_ranked(trained, found.books[part], found.known[part]) for part in JUDGED))


def _ranked(trained: TrainedRanker, book: Book, known: Matrix) -> Matrix:
    model = trained.model
    learned = model.known
    model.known = torch.from_numpy(known)
    try:
        return task_scores(trained.outputs, logits_of(model, book.samples, book.features))
    finally:
        model.known = learned


def by_trees(found: Collected, recipe: RankingRecipe, seed: int, told: Told) -> Predicted:
    """Boosted trees on the dense features of the same samples, one model an output, calibrated as rankers are."""
    train, valid = found.books["train"], found.books["valid"]
    given = {part: np.full((*_shape(found, part), 1 + len(found.tasks)), np.nan, np.float32) for part in JUDGED}
    rows, chosen, weights = tree_rows(train.samples, train.features, recipe.tree_rows, seed)
    model = booster(recipe, seed).fit(rows, chosen, sample_weight=weights)
    for part in JUDGED:
        book = found.books[part]
        asked = book.samples.weights > 0
        if asked.any():
            given[part][asked, 0] = _log_odds(model, _rows(book, asked))
    for t, task in enumerate(found.tasks):
        told((1 + t) / (1 + len(found.tasks)))
        known = ~np.isnan(train.samples.labels[..., t])
        labels = train.samples.labels[known, t]
        if len(np.unique(labels)) < 2:
            continue
        number = task.kind == "number"
        model = booster(recipe, seed, number).fit(
            _rows(train, known), labels, sample_weight=np.maximum(train.samples.weights[known], 1.0)
        )
        slope, offset = (1.0, 0.0) if number else _calibration(model, valid, t)
        for part in JUDGED:
            book = found.books[part]
            asked = ~np.isnan(book.samples.labels[..., t])
            if not asked.any():
                continue
            said = model.predict(_rows(book, asked)) if number else _log_odds(model, _rows(book, asked))
            given[part][asked, 1 + t] = said if number else 1 / (1 + np.exp(-(slope * said + offset)))
    told(1.0)
    return Predicted(*(given[part] for part in JUDGED))


def _shape(found: Collected, part: str) -> tuple[int, int]:
    rows = found.samples(part).rows
    return rows.shape[0], rows.shape[1]


def _calibration(model: Any, valid: Book, task: int) -> tuple[float, float]:
    known = ~np.isnan(valid.samples.labels[..., task])
    if not known.any():
        return 1.0, 0.0
    return platt(
        _log_odds(model, _rows(valid, known)), valid.samples.labels[known, task],
        np.maximum(valid.samples.weights[known], 1.0),
    )  # fmt: skip


def _log_odds(model: Any, rows: Matrix) -> NDArray[np.float32]:
    return np.asarray(model.decision_function(rows), np.float32)


def _rows(book: Book, asked: NDArray[np.bool_]) -> Matrix:
    """penchant.ranking.feature_rows of the places asked for."""
    samples: Samples = book.samples
    some = np.flatnonzero(asked.any(axis=1))
    inside = asked[some]
    request = np.repeat(np.arange(len(some)), inside.sum(axis=1))
    dense = dense_of(samples, book.features, some)[inside]
    return np.concatenate([samples.user_dense[some][request], dense], axis=1).astype(np.float32)
