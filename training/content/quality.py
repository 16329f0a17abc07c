"""What places and slates of cold items are worth, with intervals over users."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from penchant.types import Keys
from training.content.held_out import Asked, Histories
from training.content.measure import POPULAR, Places
from training.content.served import SYSTEMS, AskedOf, ServedLists
from training.evaluation.bootstrap import paired_intervals, ratio_interval
from training.evaluation.metrics import Lists, hr, ndcg, ranks

K = 10


def among_cold_quality(
    places: Places, choice: NDArray[np.int64], asked: Asked, seed: int, together: str = ""
) -> dict[str, Any]:
    """Metrics by system; intervals of the tower's, of what it is ahead of each other system, and each of popularity.

    together: a system that is to be compared with each other one too.
    """
    within = np.minimum(K, choice)
    discount = np.concatenate([[0.0], np.cumsum(1.0 / np.log2(np.arange(2, K + 2)))])
    per_target = {name: {"hr@10": hr(p, K), "ndcg@10": ndcg(p, K)} for name, p in places.items()}
    tower = per_target.pop("all")
    # The exact expectation of an order drawn at random.
    per_target = {"random": {"hr@10": within / choice, "ndcg@10": discount[within] / choice}, **per_target}
    differences = {("", metric): values for metric, values in tower.items()}
    differences |= {
        (name, metric): tower[metric] - values for name, v in per_target.items() for metric, values in v.items()
    }
    popular = per_target[POPULAR]
    differences |= {
        (f"{name} over popular", metric): values - popular[metric]
        for name, v in {"": tower, **per_target}.items() if name != POPULAR for metric, values in v.items()
    }  # fmt: skip
    if together:
        differences |= {
            (f"together over {name}", metric): per_target[together][metric] - values
            for name, v in per_target.items() if name != together for metric, values in v.items()
        }  # fmt: skip
    bounds = paired_intervals(differences, asked.users, seed)

    def compared(name: str, metric: str) -> dict[str, list[float]]:
        keys = {
            "tower_minus_this": name, "minus_popular": f"{name} over popular",
            "together_minus_this": f"together over {name}",
        }  # fmt: skip
        return {called: list(bounds[key, metric]) for called, key in keys.items() if (key, metric) in bounds}

    random_hr = per_target["random"]["hr@10"]
    return {
        "tower": {
            m: {
                "mean": float(v.mean()),
                "interval": list(bounds["", m]),
                "minus_popular": list(bounds[" over popular", m]),
            }
            for m, v in tower.items()
        },
        "times_random": {
            "hr@10": float(tower["hr@10"].sum() / random_hr.sum()),
            "interval": list(ratio_interval(tower["hr@10"], random_hr, asked.users, seed)),
        },
        "others": {
            name: {m: {"mean": float(v.mean()), **compared(name, m)} for m, v in metrics.items()}
            for name, metrics in per_target.items()
        },
    }


def catalogue_quality(of_cold: Places, of_warm: Places, alone: Places, past: Histories, seed: int) -> dict[str, Any]:
    """By system: cold targets among all items, and what warm targets lose to the cold items."""
    return {
        name: _both(
            hr(of_cold[name], K), past.cold.users, hr(of_warm[name], K), hr(alone[name], K), past.last.users, seed
        )
        for name in of_cold
    }


def served_quality(found: ServedLists, asked: AskedOf, seed: int) -> dict[str, Any]:
    """The same of slates, and how many cold items are on one when a known item comes next."""
    result = {}
    for name in SYSTEMS:
        cold = hr(ranks(found.cold[name], asked.cold.item_keys), K)
        now, before = (hr(ranks(lists[name], asked.warm.item_keys), K) for lists in (found.warm, found.before))
        result[name] = {
            **_both(cold, asked.cold.users, now, before, asked.warm.users, seed),
            "cold_items_shown": _shown(found.warm[name], asked.cold_keys),
        }
    return result


def _both(
    cold: NDArray[np.float64],
    cold_users: NDArray[np.int64],
    now: NDArray[np.float64],
    before: NDArray[np.float64],
    warm_users: NDArray[np.int64],
    seed: int,
) -> dict[str, Any]:
    low, high = ratio_interval(now, before, warm_users, seed)
    return {
        "cold_targets": len(cold),
        "cold_hr@10": _mean(cold),
        "cold_hr@10_interval": list(paired_intervals({"": cold}, cold_users, seed)[""]),
        "warm_targets": len(now),
        "warm_hr@10": _mean(now),
        "warm_hr@10_without_cold_items": _mean(before),
        "warm_loss": float(1.0 - now.sum() / max(before.sum(), 1.0)),
        "warm_loss_interval": [1.0 - high, 1.0 - low],
    }


def _shown(lists: Lists, cold_keys: Keys) -> float:
    """Cold items on a slate, on average."""
    return _mean(np.isin(lists, cold_keys).sum(axis=1))


def _mean(values: NDArray[Any]) -> float:
    return float(values.mean()) if len(values) else 0.0
