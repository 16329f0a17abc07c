"""How well each task's score tells what came of an item: AUC, GAUC, log loss and calibration of the held-out part.

Acts (click, purchase) are judged on held-out slates, every item shown being a row; judgements of value (rating >= 4) on
held-out events that gave one. The user is as of just before, the scores are computed by the bundle's own sessions over
a whole request's candidates, as in serving, before what searches and skips lift and lower.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penchant.ranking import feature_rows, slate_score
from penchant.retrieval.features import RETRIEVAL_FEATURES
from penchant.types import Matrix
from training.data.dataset import Dataset
from training.data.split import Split
from training.evaluation.offline import OpenBundle
from training.evaluation.probability import (
    PROBABILITY_METRICS,
    auc,
    gauc,
    gauc_difference,
    log_loss,
    probability_summary,
    reliability,
)
from training.evaluation.protocol import TargetSet
from training.ranking.recipe import RankingRecipe
from training.ranking.requests import slates_between
from training.ranking.samples import Samples, Stage, collect
from training.ranking.tasks import Task, tasks_of

_ORDERS = ("slate", "trees", "retrieval")
"""Scores that order and are no probability of the task: what the slate goes by, the trees', retrieval's blend."""
_TOWER_ROWS = 32


@dataclass(frozen=True, slots=True)
class Judged:
    """N rows whose label of some task is known: users [N], labels [N, T] (NaN where not), orders [N] by system."""

    users: NDArray[np.int64]
    labels: Matrix
    heads: Matrix
    """[N, T] the ranker's score of each task."""
    orders: dict[str, NDArray[np.float32]]


def head_quality(
    bundle: OpenBundle,
    dataset: Dataset,
    cut: Split,
    targets: TargetSet,
    most: int,
    max_candidates: int,
    seed: int,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, Any]:
    """By task: rows, users, positives and PROBABILITY_METRICS by system; None with a reason in left_out.

    At most `most` slates, and as many of the targets.
    """
    tasks = [t for t in tasks_of(dataset) if t.name in bundle.manifest.tasks]
    left_out = {t.name: "a number, not a yes or no" for t in tasks if t.kind == "number"}
    slates = slates_between(dataset, cut.held_out, most, seed)
    valued = [t for t in tasks if t.kind == "value"]
    if not slates:
        why = _no_slates(dataset, cut)
        left_out |= {t.name: why for t in tasks if t.kind == "act"}
    if bundle.ranker is None:
        left_out |= {t.name: "the bundle holds no ranker" for t in tasks}
    if not tasks:
        left_out["tasks"] = "the data set names none that the bundle predicts"
    judged = [t for t in tasks if t.name not in left_out]
    found: dict[str, Any] = {"slates": len(slates), "tasks": {}, "left_out": left_out}
    if not judged:
        return found
    events = _some(targets.events, most, seed) if valued else targets.events[:0]
    stage = Stage(bundle.schema, bundle.table, bundle.retrieval, _in_batches(bundle))
    recipe = RankingRecipe(candidates=max_candidates)
    everything = np.ones(len(dataset.events), np.bool_)
    samples = collect(dataset, stage, events, slates, everything, tasks, recipe, True, seed, progress)
    rows = judged_rows(bundle, samples, dataset, tasks)
    for t, task in enumerate(tasks):
        if task in judged:
            reason = _add(found["tasks"], rows, t, task, seed)
            if reason:
                left_out[task.name] = reason
    return found


def _no_slates(dataset: Dataset, cut: Split) -> str:
    if dataset.events.impressions is None or not dataset.events.impressions.any():
        return "the data does not tell what was shown"
    if cut.protocol == "leave-one-out":
        return "leave-one-out holds out no slates: evaluate a bundle that was fitted with --hold-out time-split"
    return "the held-out part holds no whole slate"


def _some(events: NDArray[np.int64], most: int, seed: int) -> NDArray[np.int64]:
    if len(events) <= most:
        return events
    return events[np.sort(np.random.default_rng(seed).permutation(len(events))[:most])]


def _in_batches(bundle: OpenBundle) -> Callable[[NDArray[np.int64]], Matrix]:
    """The tower over any number of histories."""
    step = _TOWER_ROWS if bundle.tower_batches else 1

    def vectors(histories_BL: NDArray[np.int64]) -> Matrix:
        parts = [bundle.tower(histories_BL[i : i + step]) for i in range(0, len(histories_BL), step)]
        return np.concatenate(parts).astype(np.float32)

    return vectors


def judged_rows(bundle: OpenBundle, samples: Samples, dataset: Dataset, tasks: list[Task]) -> Judged:
    """The rows with a known label, scored request by request."""
    names = bundle.manifest.tasks
    columns = [names.index(task.name) for task in tasks]
    users, labels, heads = [np.empty(0, np.int64)], [np.empty((0, len(tasks)), np.float32)], []
    orders: dict[str, list[NDArray[np.float32]]] = {name: [] for name in _ORDERS}
    for user, inputs, by_row in _requests(bundle, samples, dataset):
        kept = ~np.isnan(by_row).all(axis=1)
        assert bundle.ranker is not None
        scores = bundle.ranker(inputs)
        users.append(np.full(int(kept.sum()), user, np.int64))
        labels.append(by_row[kept])
        heads.append(scores[kept][:, columns])
        orders["slate"].append(slate_score(scores, names, bundle.manifest.task_weights)[kept])
        orders["retrieval"].append(inputs["retrieval"][kept, RETRIEVAL_FEATURES.index("blend")])
        if bundle.trees is not None:
            orders["trees"].append(bundle.trees({"features": feature_rows(inputs)})[kept, 0])
    nothing = [np.empty((0, len(tasks)), np.float32)]
    return Judged(
        np.concatenate(users), np.concatenate(labels), np.concatenate(heads or nothing),
        {name: np.concatenate(some) for name, some in orders.items() if some},
    )  # fmt: skip


def _requests(
    bundle: OpenBundle, samples: Samples, dataset: Dataset
) -> Iterator[tuple[int, dict[str, NDArray[Any]], Matrix]]:
    """User, the ranker's inputs and the labels [B, T] of each request with two candidates or more and a known label."""
    features = np.asarray(bundle.table.features.base, np.float32)
    for i in range(len(samples)):
        used = np.flatnonzero(samples.rows[i] > 0)
        if len(used) < 2 or np.isnan(samples.labels[i, used]).all():
            continue
        inputs = samples.inputs(i, used, features)
        yield int(dataset.events.users[samples.events[i]]), inputs, samples.labels[i, used]


def _add(found: dict[str, Any], rows: Judged, t: int, task: Task, seed: int) -> str:
    """Add one task's metrics; why there are none, if so."""
    known = ~np.isnan(rows.labels[:, t])
    labels, users = rows.labels[known, t], rows.users[known]
    positives = int((labels > 0).sum())
    if positives in (0, len(labels)):
        return f"{len(labels)} rows of the held-out part have a label and {positives} are positive: it takes both kinds"
    head = rows.heads[known, t]
    systems = {"ranker": probability_summary(labels, head, users)}
    for name, scores in rows.orders.items():
        order = {"auc": auc(labels, scores[known]), "gauc": gauc(labels, scores[known], users)}
        systems[name] = {**dict.fromkeys(PROBABILITY_METRICS, float("nan")), **order}
    against = {}
    for name, scores in rows.orders.items():
        difference, interval = gauc_difference(labels, head, scores[known], users, seed)
        against[f"ranker_minus_{name}"] = {"gauc": _plain(difference), "interval": [_plain(v) for v in interval]}
    found[task.name] = {
        "kind": task.kind,
        "rows": len(labels),
        "users": len(np.unique(users)),
        "positives": positives,
        "base_log_loss": log_loss(labels, np.full(len(labels), labels.mean())),
        "systems": {s: {m: _plain(v) for m, v in by_metric.items()} for s, by_metric in systems.items()},
        "differences": against,
        "reliability": _curve(labels, head),
    }
    return ""


def _curve(labels_N: NDArray[np.float32], probabilities_N: NDArray[np.float32]) -> list[list[float]]:
    """Predicted and observed mean and rows of each bin, for a picture."""
    found = reliability(labels_N, probabilities_N)
    columns = (found.predicted.tolist(), found.observed.tolist(), found.counts.tolist())
    return [list(row) for row in zip(*columns, strict=True)]


def _plain(value: float) -> float | None:
    """None for NaN, which JSON has not."""
    return None if np.isnan(value) else float(value)
