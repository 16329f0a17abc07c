"""The blend, chosen on events that the model has not seen, and what each source does alone."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from penchant.leaves import HISTORY_LENGTH
from penchant.retrieval import RetrievalSettings
from penchant.types import Matrix
from training.data.dataset import Dataset
from training.evaluation.metrics import LIST_LENGTH, hr, ndcg, ranks
from training.retrieval.sequences import Sequences, padded, sequences
from training.retrieval.trained import TrainedRetrieval

HALF_LIVES = (0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 16.0)
FLOORS = (1e-5, 1e-4, 1e-3)
TOWER_WEIGHTS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
TREND_WEIGHTS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)
_CHUNK = 128
_DENSE = 30_000_000
"""Scores of targets by items held at a time."""
_WINDOW = 50
"""Newest items that co-visitation looks at: the default of CoVisitation.scores."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The best settings, and hr@10 and ndcg@10 on the validation targets by system, seen items masked."""

    settings: RetrievalSettings
    metrics: dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True)
class _Targets:
    """T targets: the row to find, and rows[start:end] of the histories before it."""

    rows: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]


def choose_settings(
    trained: TrainedRetrieval,
    dataset: Dataset,
    before: NDArray[np.int64],
    targets: NDArray[np.int64],
    seed: int = 0,
    max_targets: int = 1500,
    max_checked: int = 300,
) -> Chosen:
    """Settings that do best in NDCG@10, seen items masked, on the history events `targets`, unseen by `trained`.

    before: indices of the events that precede them; each target is predicted from these and from the targets before
    it. The search scores the whole catalogue; what it finds is then measured by RetrievalModel.retrieve.
    """
    histories = sequences(dataset, trained.catalogue, np.union1d(before, targets))
    affordable = max(_DENSE // (trained.catalogue.count + 1), 100)
    sample = _sample(histories, targets, min(max_targets, affordable), seed)
    if len(sample.rows) == 0:
        return Chosen(trained.settings, {})
    best = _search(trained, histories, sample)
    return Chosen(best, _measured(trained.with_settings(best), histories, sample, max_checked))


def _sample(histories: Sequences, targets: NDArray[np.int64], most: int, seed: int) -> _Targets:
    """Targets with a history of one item or more that does not hold the target already."""
    starts = np.repeat(histories.indptr[:-1], histories.lengths)
    places = np.flatnonzero(np.isin(histories.events, targets))
    places = np.random.default_rng(seed).permutation(places)
    fresh = [
        p for p in places[: 2 * most].tolist()
        if p > starts[p] and histories.rows[p] not in histories.rows[starts[p] : p]
    ]  # fmt: skip
    chosen = np.sort(np.array(fresh[:most], np.int64))
    return _Targets(histories.rows[chosen], starts[chosen], chosen)


class _Scores:
    """The blend's terms over the whole catalogue for chunks of targets, and the NDCG that settings give."""

    def __init__(self, trained: TrainedRetrieval, histories: Sequences, targets: _Targets) -> None:
        self.trained, self.histories, self.targets = trained, histories, targets
        count = trained.catalogue.count + 1
        follow = trained.co_visitation
        self.followers = sparse.csr_matrix((follow.weights, follow.targets, follow.indptr), shape=(count, count))
        length = trained.recipe.history_length
        self.history = padded(histories, targets.starts, targets.ends, HISTORY_LENGTH)
        vectors = trained.user_vectors(self.history[:, -length:])
        self.dots = vectors @ trained.embeddings.T
        self.masked = np.zeros_like(self.dots)
        for i, (start, end) in enumerate(zip(targets.starts.tolist(), targets.ends.tolist(), strict=True)):
            self.masked[i, histories.rows[start:end]] = -np.inf
        self.masked[:, 0] = -np.inf
        self._followed: dict[float, Matrix] = {}

    def followed(self, half_life: float) -> Matrix:
        """Co-visitation probabilities [T, N+1] as CoVisitation.scores gives them."""
        if half_life not in self._followed:
            recent = self.history[:, -_WINDOW:]
            decay = np.exp2(-np.arange(recent.shape[1])[::-1] / half_life)
            weights = np.where(recent > 0, decay, 0.0)
            weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-30)
            owner = np.repeat(np.arange(len(recent)), recent.shape[1])
            shape = (len(recent), self.followers.shape[0])
            mixed = sparse.csr_matrix((weights.ravel(), (owner, recent.ravel())), shape=shape) @ self.followers
            self._followed = {half_life: np.asarray(mixed.todense(), np.float32)}
        return self._followed[half_life]

    def score(self, some: slice, settings: RetrievalSettings) -> Matrix:
        """The blend of some targets over all rows, -inf where the user has seen the item."""
        followed = self.followed(settings.history_half_life)[some]
        blend = settings.tower_weight * self.dots[some] + self.masked[some]
        blend += (1.0 - settings.tower_weight) * np.log(followed + np.float32(settings.floor))
        if settings.trend_weight:
            blend += settings.trend_weight * self.trained.popularity.scores[settings.trend_window]
        return blend

    def gains(self, settings: RetrievalSettings) -> NDArray[np.float64]:
        """NDCG@10 of each target, [T]."""
        found = np.zeros(len(self.dots))
        for start in range(0, len(self.dots), _CHUNK):
            some = slice(start, start + _CHUNK)
            score = self.score(some, settings)
            own = np.take_along_axis(score, self.targets.rows[some, None], axis=1)
            place = 1 + (score > own).sum(axis=1)
            found[some] = np.where(place <= 10, 1.0 / np.log2(1.0 + place), 0.0)
        return found

    def surely_better(self, gains: NDArray[np.float64], than: NDArray[np.float64]) -> bool:
        """Whether the mean difference is above its own standard error, whole users taken as one observation each."""
        difference = gains - than
        mean = float(difference.mean())
        _, user = np.unique(self.targets.starts, return_inverse=True)
        by_user = np.bincount(user, difference - mean)
        return mean > float(np.sqrt((by_user**2).sum())) / len(difference)


def _search(trained: TrainedRetrieval, histories: Sequences, targets: _Targets) -> RetrievalSettings:
    """One setting after another, twice round the weights: the terms hang together only loosely.

    A setting moves away from its default only where it gains more than the noise of the validation targets.
    """
    scores = _Scores(trained, histories, targets)
    best = trained.settings
    windows = range(-len(trained.popularity.scores), 0)

    gains = scores.gains(best)

    def better(options: Iterable[RetrievalSettings]) -> RetrievalSettings:
        nonlocal gains
        tried = [(option, scores.gains(option)) for option in options]
        option, found = max(tried, key=lambda pair: float(pair[1].mean()))
        if not scores.surely_better(found, gains):
            return best
        gains = found
        return option

    steps: tuple[Callable[[], Iterable[RetrievalSettings]], ...] = (
        lambda: (replace(best, tower_weight=w) for w in TOWER_WEIGHTS),
        lambda: (replace(best, history_half_life=h) for h in HALF_LIVES),
        lambda: (replace(best, floor=f) for f in FLOORS),
        lambda: (replace(best, trend_weight=w, trend_window=t) for t in windows for w in TREND_WEIGHTS[1:]),
        lambda: (replace(best, tower_weight=w) for w in TOWER_WEIGHTS),
        lambda: (replace(best, history_half_life=h) for h in HALF_LIVES),
    )
    for step in steps:
        best = better(step())
    return best


def _measured(
    trained: TrainedRetrieval, histories: Sequences, targets: _Targets, most: int
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
