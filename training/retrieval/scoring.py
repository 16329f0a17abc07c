"""The blend over the whole catalogue for many targets at once: what is searched for settings, and what is compared."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from penchant.leaves import HISTORY_LENGTH
from penchant.retrieval import RetrievalSettings
from penchant.types import Matrix
from training.evaluation.metrics import ndcg
from training.retrieval.sequences import Sequences, padded
from training.retrieval.trained import TrainedRetrieval

_CHUNK = 128
_WINDOW = 50
"""Newest items that co-visitation looks at: the default of CoVisitation.scores."""


@dataclass(frozen=True, slots=True)
class Targets:
    """T targets: the row to find, and rows[start:end] of the histories before it."""

    rows: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]


class CatalogueScores:
    """The blend's terms over the whole catalogue for chunks of targets, and the NDCG that settings give."""

    def __init__(self, trained: TrainedRetrieval, histories: Sequences, targets: Targets) -> None:
        self.trained, self.histories, self.targets = trained, histories, targets
        count = trained.catalogue.count + 1
        follow = trained.co_visitation
        self.followers = sparse.csr_matrix((follow.weights, follow.targets, follow.indptr), shape=(count, count))
        length = trained.recipe.history_length
        self.history = padded(histories, targets.starts, targets.ends, HISTORY_LENGTH)
        self.vectors = trained.user_vectors(self.history[:, -length:])
        self.dots = self.vectors @ trained.embeddings.T
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

    def score(self, some: slice, settings: RetrievalSettings, masked: bool = True) -> Matrix:
        """The blend of some targets over all rows; -inf for row 0 and, if masked, where the user has seen the item."""
        followed = self.followed(settings.history_half_life)[some]
        blend = settings.tower_weight * self.dots[some]
        if masked:
            blend += self.masked[some]
        else:
            blend[:, 0] = -np.inf
        blend += (1.0 - settings.tower_weight) * np.log(followed + np.float32(settings.floor))
        if settings.trend_weight:
            blend += settings.trend_weight * self.trained.popularity.scores[settings.trend_window]
        return blend

    def as_new(self, dots_TC: Matrix, known_TN: Matrix, settings: RetrievalSettings) -> Matrix:
        """The blend of C items newer than the bundle, [T, C], from their own dots and the blend of the known rows.

        As penchant.retrieval.new_items.made_new has it: for all but the dot they are what the tower's candidates are
        on average. A dot of -inf stays that: the user has seen the item.
        """
        near = min(settings.quotas["two_tower"], known_TN.shape[1] - 1)
        nearest = np.argpartition(-(self.dots + self.masked), near - 1, axis=1)[:, :near]
        rest = np.take_along_axis(known_TN - settings.tower_weight * self.dots, nearest, axis=1)
        counted = np.isfinite(rest)
        mean = np.where(counted, rest, 0.0).sum(axis=1) / np.maximum(counted.sum(axis=1), 1)
        counted = np.isfinite(dots_TC)
        blend = mean[:, None] + settings.tower_weight * np.where(counted, dots_TC, 0.0) + settings.new_lift
        return np.where(counted, blend, -np.inf).astype(np.float32)

    def places(self, settings: RetrievalSettings, masked: bool = True) -> NDArray[np.int64]:
        """Place of each target in the order of the whole catalogue, from 1, [T]; equal scores count for the target."""
        found = np.zeros(len(self.dots), np.int64)
        for start in range(0, len(self.dots), _CHUNK):
            some = slice(start, start + _CHUNK)
            score = self.score(some, settings, masked)
            own = np.take_along_axis(score, self.targets.rows[some, None], axis=1)
            found[some] = 1 + (score > own).sum(axis=1)
        return found

    def gains(self, settings: RetrievalSettings) -> NDArray[np.float64]:
        """NDCG@10 of each target, [T], seen items masked."""
        return ndcg(self.places(settings), 10)

    def surely_better(self, gains: NDArray[np.float64], than: NDArray[np.float64]) -> bool:
        """Whether the mean difference is above its own standard error, whole users taken as one observation each."""
        difference = gains - than
        mean = float(difference.mean())
        _, user = np.unique(self.targets.starts, return_inverse=True)
        by_user = np.bincount(user, difference - mean)
        return mean > float(np.sqrt((by_user**2).sum())) / len(difference)
