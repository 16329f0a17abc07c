"""The blend, chosen on events that the model has not seen, and what each source does alone."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from penchant.leaves import HISTORY_LENGTH
from penchant.retrieval import RetrievalSettings
from training.checkpoint import Checkpoint
from training.data.dataset import Dataset
from training.evaluation.metrics import LIST_LENGTH, hr, ndcg, ranks
from training.retrieval.lift import chosen_lift
from training.retrieval.scoring import CatalogueScores, Targets
from training.retrieval.sequences import Sequences, padded, sequences
from training.retrieval.trained import TrainedRetrieval

HALF_LIVES = (0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 16.0)
FLOORS = (1e-5, 1e-4, 1e-3)
TOWER_WEIGHTS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
TREND_WEIGHTS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)
_Step = Callable[[RetrievalSettings], list[RetrievalSettings]]
"""The settings to try, from the best so far."""
_DENSE = 30_000_000
"""Scores of targets by items held at a time."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The best settings, and hr@10 and ndcg@10 on the validation targets by system, seen items masked."""

    settings: RetrievalSettings
    metrics: dict[str, dict[str, float]]


def kept_choice(checkpoint: Checkpoint, choose: Callable[[], Chosen]) -> Chosen:
    """What an earlier process chose, else chosen now and kept."""
    state = checkpoint.load()
    if state is not None:
        return Chosen(RetrievalSettings.from_json(json.loads(state["settings"])), json.loads(state["metrics"]))
    chosen = choose()
    checkpoint.save({"settings": json.dumps(chosen.settings.to_json()), "metrics": json.dumps(chosen.metrics)})
    return chosen


def choose_settings(
    trained: TrainedRetrieval,
    dataset: Dataset,
    before: NDArray[np.int64],
    targets: NDArray[np.int64],
    seed: int = 0,
    max_targets: int = 1500,
    max_weighed: int = 6000,
    max_checked: int = 300,
) -> Chosen:
    """Settings that do best in NDCG@10, seen items masked, on the history events `targets`, unseen by `trained`.

    before: indices of the events that precede them; each target is predicted from these and from the targets before
    it. The search scores the whole catalogue; the tower's weight, on which most depends, is chosen again on max_weighed
    targets. What it finds is then measured by RetrievalModel.retrieve.
    """
    histories = sequences(dataset, trained.catalogue, np.union1d(before, targets))
    affordable = max(_DENSE // (trained.catalogue.count + 1), 100)
    sample = _sample(histories, targets, min(max_targets, affordable), seed)
    if len(sample.rows) == 0:
        return Chosen(trained.settings, {})
    scores = CatalogueScores(trained, histories, sample)
    best = _search(scores, trained.settings, _steps(range(-len(trained.popularity.scores), 0)))
    more = _sample(histories, targets, min(max_weighed, affordable), seed)
    if len(more.rows) > len(sample.rows):
        best = _search(CatalogueScores(trained, histories, more), best, [_tower_weights])
    best = replace(best, new_lift=chosen_lift(trained, scores, best, seed))
    return Chosen(best, _measured(trained.with_settings(best), histories, sample, max_checked))


def _sample(histories: Sequences, targets: NDArray[np.int64], most: int, seed: int) -> Targets:
    """Targets with a history of one item or more that does not hold the target already."""
    starts = np.repeat(histories.indptr[:-1], histories.lengths)
    places = np.flatnonzero(np.isin(histories.events, targets))
    places = np.random.default_rng(seed).permutation(places)
    fresh = [
        p for p in places[: 2 * most].tolist()
        if p > starts[p] and histories.rows[p] not in histories.rows[starts[p] : p]
    ]  # fmt: skip
    chosen = np.sort(np.array(fresh[:most], np.int64))
    return Targets(histories.rows[chosen], starts[chosen], chosen)


def _steps(windows: range) -> tuple[_Step, ...]:
    """Twice round the weights: the terms hang together only loosely."""
    return (
        _tower_weights,
        _half_lives,
        lambda best: [replace(best, floor=f) for f in FLOORS],
        lambda best: [replace(best, trend_weight=w, trend_window=t) for t in windows for w in TREND_WEIGHTS[1:]],
        _tower_weights,
        _half_lives,
    )


def _tower_weights(best: RetrievalSettings) -> list[RetrievalSettings]:
    return [replace(best, tower_weight=w) for w in TOWER_WEIGHTS]


def _half_lives(best: RetrievalSettings) -> list[RetrievalSettings]:
    return [replace(best, history_half_life=h) for h in HALF_LIVES]


def _search(scores: CatalogueScores, best: RetrievalSettings, steps: Iterable[_Step]) -> RetrievalSettings:
    """One setting after another; each moves only where that gains more than the noise of the targets."""
    gains = scores.gains(best)
    for step in steps:
        tried = [(option, scores.gains(option)) for option in step(best)]
        option, found = max(tried, key=lambda pair: float(pair[1].mean()))
        if scores.surely_better(found, gains):
            best, gains = option, found
    return best


def _measured(
    trained: TrainedRetrieval, histories: Sequences, targets: Targets, most: int
) -> dict[str, dict[str, float]]:
    """The served retrieval on the first `most` targets: the blend and each source alone."""
    model = trained.model()
    length = trained.recipe.history_length
    some = np.arange(min(most, len(targets.rows)))
    vectors = trained.user_vectors(padded(histories, targets.starts[some], targets.ends[some], length))
    systems: dict[str, tuple[str, ...]] = {
        "blend": (), "two_tower": ("two_tower",), "co_visitation": ("co_visitation",), "popular": ("popular",),
    }  # fmt: skip
    lists = {name: np.zeros((len(some), LIST_LENGTH), np.int64) for name in systems}
    allowed = np.ones(trained.catalogue.count + 1, np.bool_)
    allowed[0] = False
    for i in some.tolist():
        history = histories.rows[targets.starts[i] : targets.ends[i]]
        allowed[history] = False
        for name, sources in systems.items():
            block, _ = model.retrieve(history[-HISTORY_LENGTH:], allowed, LIST_LENGTH, sources, user_vector=vectors[i])
            lists[name][i, : len(block.rows)] = block.rows
        allowed[history] = True
    found = {name: ranks(rows, targets.rows[some]) for name, rows in lists.items()}
    return {name: {"hr@10": float(hr(r, 10).mean()), "ndcg@10": float(ndcg(r, 10).mean())} for name, r in found.items()}
