"""How good each contestant's probabilities and orders are, and whether two differ by more than chance."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penchant.types import Matrix
from training.evaluation.bootstrap import paired_interval
from training.evaluation.metrics import ndcg
from training.evaluation.probability import auc, gauc_difference, log_losses, probability_summary
from training.ranking.compare.collected import Collected
from training.ranking.compare.intervals import auc_interval
from training.ranking.compare.predicted import Predicted
from training.ranking.weights import ranks_of

NUMBER_METRICS = ("rmse",)


@dataclass(frozen=True, slots=True)
class Labelled:
    """Where one task's outcome is known: [R, C] of a part, the labels [N] and whose they are [N]."""

    part: str
    places: NDArray[np.bool_]
    labels: NDArray[np.float32]
    users: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Difference:
    """One metric of one contestant less that of another, and its 95 % interval; log loss and rmse are better low."""

    difference: float
    low: float
    high: float


def labelled(found: Collected) -> dict[str, Labelled]:
    """By task. An act is judged on what was shown, where the data tells; else on what was proposed."""
    by_task = {}
    for t, task in enumerate(found.tasks):
        part = "slates" if task.kind == "act" and len(found.samples("slates")) else "requests"
        labels = found.samples(part).labels[..., t]
        places = ~np.isnan(labels)
        if places.any():
            users = np.broadcast_to(found.users[part][:, None], places.shape)[places]
            by_task[task.name] = Labelled(part, places, labels[places], users)
    return by_task


def summary(found: Collected, said: Predicted, known: Mapping[str, Labelled]) -> dict[str, dict[str, float]]:
    """By task its metrics; under "order" the NDCG@10 of requests by `engage`, and of slates by the first act."""
    result: dict[str, dict[str, float]] = {}
    for name, where in known.items():
        values = _said(found, said, name, where)
        if _is_number(found, name):
            result[name] = {"rmse": float(np.sqrt(np.mean((values - where.labels) ** 2)))}
        else:
            result[name] = probability_summary(where.labels, values, where.users)
    result["order"] = {name: float(values.mean()) for name, (values, _) in _orders(found, said).items() if len(values)}
    return result


def differences(
    found: Collected, one: Predicted, other: Predicted, known: Mapping[str, Labelled], seed: int
) -> dict[str, dict[str, Difference]]:
    """Of one contestant less another, by bootstrap over users; in the shape of summary."""
    result: dict[str, dict[str, Difference]] = {}
    for name, where in known.items():
        a, b = (_said(found, said, name, where) for said in (one, other))
        labels, users = where.labels, where.users
        if _is_number(found, name):
            one_off, other_off = (a - labels) ** 2, (b - labels) ** 2
            # The interval is of the mean squares, brought to the scale of their roots.
            scale = np.sqrt(one_off.mean()) + np.sqrt(other_off.mean())
            low, high = paired_interval(one_off, other_off, users, seed)
            gap = float(np.sqrt(one_off.mean()) - np.sqrt(other_off.mean()))
            result[name] = {"rmse": Difference(gap, float(low / scale), float(high / scale))}
            continue
        mine, theirs = log_losses(labels, a), log_losses(labels, b)
        gap, (low, high) = gauc_difference(labels, a, b, users, seed)
        result[name] = {
            "auc": Difference(auc(labels, a) - auc(labels, b), *auc_interval(labels, a, b, users, seed)),
            "gauc": Difference(gap, low, high),
            "log_loss": Difference(float((mine - theirs).mean()), *paired_interval(mine, theirs, users, seed)),
        }
    orders = {name: (mine, _orders(found, other)[name]) for name, mine in _orders(found, one).items()}
    result["order"] = {
        name: Difference(float((a - b).mean()), *paired_interval(a, b, users, seed))
        for name, ((a, users), (b, _)) in orders.items()
        if len(a)
    }
    return result


def slate_ndcg(scores_RC: Matrix, gains_RC: Matrix, k: int = 10) -> NDArray[np.float64]:
    """NDCG@k of each row's own order, NaN where no gain is above 0; a NaN gain is no item. Ties to the earlier."""
    shown = ~np.isnan(gains_RC)
    gains = np.where(shown, gains_RC, 0.0)
    order = np.argsort(-np.where(shown, scores_RC, -np.inf), axis=1, kind="stable")[:, :k]
    discount = 1.0 / np.log2(2.0 + np.arange(order.shape[1]))
    found = (np.take_along_axis(gains, order, axis=1) * discount).sum(axis=1)
    best = (-np.sort(-gains, axis=1)[:, : order.shape[1]] * discount).sum(axis=1)
    return np.where(best > 0, found / np.where(best > 0, best, 1.0), np.nan)


def _orders(found: Collected, said: Predicted) -> dict[str, tuple[NDArray[np.float64], NDArray[np.int64]]]:
    """NDCG@10 of each list, and whose it is: requests, and slates of two items or more with an act on them."""
    requests = found.samples("requests")
    asked = (requests.weights > 0).any(axis=1)
    values = ndcg(ranks_of(said.requests[..., 0], requests.weights, requests.chosen), 10)[asked]
    orders = {"requests_ndcg@10": (values, found.users["requests"][asked])}
    first = next((t for t, task in enumerate(found.tasks) if task.kind == "act"), None)
    slates = found.samples("slates")
    if first is not None and len(slates):
        gains = slates.labels[..., first]
        of_slates = slate_ndcg(said.slates[..., 1 + first], gains)
        told = ~np.isnan(of_slates) & ((~np.isnan(gains)).sum(axis=1) > 1)
        orders["slates_ndcg@10"] = (of_slates[told], found.users["slates"][told])
    return orders


def _is_number(found: Collected, name: str) -> bool:
    return next(task.kind for task in found.tasks if task.name == name) == "number"


def _said(found: Collected, said: Predicted, name: str, where: Labelled) -> NDArray[np.float64]:
    t = [task.name for task in found.tasks].index(name)
    scores = said.slates if where.part == "slates" else said.requests
    return np.asarray(scores[..., 1 + t][where.places], np.float64)
