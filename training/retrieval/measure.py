"""What a trained retrieval and the baselines are worth on held-out events, exactly and over the full catalogue."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from training.catalogue import Catalogue
from training.data.dataset import Dataset
from training.evaluation.classical import CLASSICAL
from training.evaluation.metrics import hr, mrr, ndcg
from training.evaluation.protocol import TargetSet
from training.retrieval.scoring import CatalogueScores, Targets
from training.retrieval.sequences import Sequences, sequences
from training.retrieval.trained import TrainedRetrieval

METRICS = ("hr@10", "ndcg@10", "hr@50", "hr@200", "mrr")
MASKS = ("masked", "unmasked")
_DENSE = 20_000_000
"""Scores of targets by items held at a time."""

Places = dict[str, dict[str, NDArray[np.int64]]]
"""By mask, then by system: the place of each target from 1 [T], 0 for what the catalogue does not hold."""


def places(
    trained: TrainedRetrieval, dataset: Dataset, before: NDArray[np.int64], targets: TargetSet, alone: str, blend: str
) -> Places:
    """Places under the tower (by the name `alone`), under the served blend (`blend`) and under co_visitation.

    before: indices of the events that precede the targets; each target is predicted from these and earlier targets.
    """
    settings = replace(trained.settings, trend_weight=0.0)
    systems = {
        alone: replace(settings, tower_weight=1.0),
        blend: trained.settings,
        "co_visitation": replace(settings, tower_weight=0.0),
    }
    found: Places = {m: {s: np.zeros(len(targets), np.int64) for s in systems} for m in MASKS}
    histories = sequences(dataset, trained.catalogue, np.union1d(before, targets.events))
    for where, some in _blocks(histories, targets, trained.catalogue):
        scores = CatalogueScores(trained, histories, some)
        for mask in MASKS:
            for system, chosen in systems.items():
                found[mask][system][where] = scores.places(chosen, mask == "masked")
    return found


def baseline_places(dataset: Dataset, catalogue: Catalogue, before: NDArray[np.int64], targets: TargetSet) -> Places:
    """Places under all-time popularity and under every classical model that the data set allows."""
    histories = sequences(dataset, catalogue, np.union1d(before, targets.events))
    seen = sequences(dataset, catalogue, before)
    shape = (len(dataset.user_ids), catalogue.count + 1)
    interactions = _ones(seen.users, seen.rows, shape)
    popular = np.bincount(seen.rows, minlength=catalogue.count + 1).astype(np.float32)
    allowed = [name for name, model in CLASSICAL.items() if model.left_out(*shape) is None]
    models = {name: CLASSICAL[name].fit(interactions) for name in allowed}
    found: Places = {m: {s: np.zeros(len(targets), np.int64) for s in ("popularity", *models)} for m in MASKS}
    for where, some in _blocks(histories, targets, catalogue):
        lengths = some.ends - some.starts
        owner = np.repeat(np.arange(len(lengths)), lengths)
        offsets = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        had = _ones(owner, histories.rows[np.repeat(some.starts, lengths) + offsets], (len(lengths), shape[1]))
        for name in found["masked"]:
            scores = models[name].scores(had) if name in models else np.tile(popular, (len(lengths), 1))
            scores[:, 0] = -np.inf
            found["unmasked"][name][where] = _place(scores, some.rows)
            scores[had.nonzero()] = -np.inf
            found["masked"][name][where] = _place(scores, some.rows)
    return found


def metrics(places_T: NDArray[np.int64]) -> dict[str, float]:
    """METRICS by name; mrr is cut at 50, as everywhere."""
    cut = np.where(places_T <= 50, places_T, 0)
    values = (hr(places_T, 10), ndcg(places_T, 10), hr(places_T, 50), hr(places_T, 200), mrr(cut))
    return {name: float(v.mean()) if len(v) else 0.0 for name, v in zip(METRICS, values, strict=True)}


def _blocks(
    histories: Sequences, targets: TargetSet, catalogue: Catalogue
) -> Iterator[tuple[NDArray[np.int64], Targets]]:
    """The targets that the catalogue holds, in parts: their places among the targets, and what they are."""
    order = np.argsort(targets.events, kind="stable")
    at = np.flatnonzero(np.isin(histories.events, targets.events))
    where = order[np.searchsorted(targets.events[order], histories.events[at])]
    starts = np.repeat(histories.indptr[:-1], histories.lengths)
    step = max(_DENSE // (catalogue.count + 1), 1)
    for first in range(0, len(at), step):
        some = at[first : first + step]
        yield where[first : first + step], Targets(histories.rows[some], starts[some], some)


def _ones(rows: NDArray[np.int64], columns: NDArray[np.int64], shape: tuple[int, int]) -> sparse.csr_matrix:
    matrix = sparse.coo_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=shape).tocsr()
    matrix.data[:] = 1.0
    return matrix


def _place(scores_TN: NDArray[np.float32], rows_T: NDArray[np.int64]) -> NDArray[np.int64]:
    """Equal scores go to the lower row: popularity has many."""
    own = np.take_along_axis(scores_TN, rows_T[:, None], axis=1)
    lower = np.arange(scores_TN.shape[1])[None, :] < rows_T[:, None]
    return np.asarray(1 + ((scores_TN > own) | ((scores_TN == own) & lower)).sum(axis=1), np.int64)
