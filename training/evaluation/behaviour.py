"""What people did with what they were shown, as logged: clicks, purchases, returns and what they said of it.

These describe the system that made the log, which need not be the one that is evaluated. Each figure has a 95 %
interval by bootstrap over users; one that the log does not tell is in left_out, with the reason.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.data.dataset import Dataset
from training.data.split import Split
from training.evaluation.bootstrap import paired_interval
from training.evaluation.impressions import Impressions, dataset_impressions, served_impressions

DAY_US = 86_400 * 1_000_000
RETURN_DAYS = 7
RATES = ("ctr", "slates_clicked", "conversion", "retention_7d", "rating", "liked")
"""Figures with a value and an interval."""
MAX_POSITIONS = 20
_MAX_VALUES = 12
_DRAWS = 1000


class _Unknown(Exception):
    """Why a figure cannot be told."""


def behaviour(dataset: Dataset, part: NDArray[np.int64], shown: Impressions | None, seed: int) -> dict[str, Any]:
    """FIGURES over the events `part` (ascending) and what was shown in them; `impressions` 0 where nothing was."""
    found: dict[str, Any] = {
        "events": len(part),
        "users": len(np.unique(dataset.events.users[part])),
        "impressions": 0 if shown is None else len(shown),
    }
    left_out: dict[str, str] = {}
    for name, figure in FIGURES.items():
        try:
            found[name] = figure(dataset, part, shown, seed)
        except _Unknown as reason:
            found[name], left_out[name] = None, str(reason)
    return {**found, "left_out": left_out}


def logged_behaviour(dataset: Dataset, cut: Split, seed: int) -> dict[str, Any]:
    """Of the held-out part; where single events are held out, of everything."""
    whole = cut.protocol == "leave-one-out"
    part = np.arange(len(dataset.events)) if whole else cut.held_out
    return {"of": "all events" if whole else "the held-out part"} | behaviour(
        dataset, part, dataset_impressions(dataset, part), seed
    )


def served_behaviour(log: str | None, exposures: Path | None, seed: int) -> dict[str, Any] | None:
    """Of a running stack's logs; None where none are named. See impressions.served_impressions."""
    if log is None or exposures is None:
        return None
    dataset, shown = served_impressions(log, exposures)
    return {"of": log} | behaviour(dataset, np.arange(len(dataset.events)), shown, seed)


def share(yes_N: NDArray[np.bool_], users_N: NDArray[np.integer], seed: int) -> dict[str, Any]:
    """Share of rows that are true, its interval, and how many rows."""
    return {**_mean(yes_N.astype(np.float64), users_N, seed), "positives": int(yes_N.sum())}


def _mean(values_N: NDArray[np.float64], users_N: NDArray[np.integer], seed: int) -> dict[str, Any]:
    interval = paired_interval(values_N, np.zeros(len(values_N)), users_N, seed, _DRAWS)
    return {"value": float(values_N.mean()), "interval": list(interval), "count": len(values_N)}


def _ctr(dataset: Dataset, part: NDArray[np.int64], shown: Impressions | None, seed: int) -> dict[str, Any]:
    """Share of impressions that were clicked."""
    one = _some(shown)
    return {**share(one.clicked, one.users, seed), "clicks_are": list(one.click_types)}


def _conversion(dataset: Dataset, part: NDArray[np.int64], shown: Impressions | None, seed: int) -> dict[str, Any]:
    """Share of clicked impressions that a purchase followed."""
    one = _some(shown)
    if "purchase" not in dataset.event_types:
        raise _Unknown("the data has no purchases")
    if one.click_types == ("purchase",):
        raise _Unknown("purchases are the only acts: ctr counts them")
    if not one.clicked.any():
        raise _Unknown("nothing that was shown was clicked")
    return share(one.purchased[one.clicked], one.users[one.clicked], seed)


def _slates_clicked(dataset: Dataset, part: NDArray[np.int64], shown: Impressions | None, seed: int) -> dict[str, Any]:
    """Share of slates with a click."""
    one = _some(shown)
    known = one.slates >= 0
    if not known.any():
        raise _Unknown("the impressions do not say which slate they were on")
    _, first, place = np.unique(one.slates[known], return_index=True, return_inverse=True)
    clicked = np.bincount(place, one.clicked[known]) > 0
    return share(clicked, one.users[known][first], seed)


def _by_position(
    dataset: Dataset, part: NDArray[np.int64], shown: Impressions | None, seed: int
) -> list[dict[str, Any]]:
    """Impressions and clicks of the first MAX_POSITIONS places."""
    one = _some(shown)
    known = (one.positions >= 0) & (one.positions < MAX_POSITIONS)
    if not known.any():
        raise _Unknown("the impressions do not say at which position they were")
    return [
        {"position": place, **share(one.clicked[at], one.users[at], seed)}
        for place in range(int(one.positions[known].max()) + 1)
        if (at := one.positions == place).any()
    ]


def _retention(dataset: Dataset, part: NDArray[np.int64], shown: Impressions | None, seed: int) -> dict[str, Any]:
    """Share of users who are active again from a day to RETURN_DAYS days after their first event of the part.

    Users whose first event is less than RETURN_DAYS before the end of the log are left out: nobody knows yet.
    """
    if not dataset.has_times:
        raise _Unknown("the data has no times")
    users, times = dataset.events.users[part].astype(np.int64), dataset.events.times[part]
    if len(times) == 0:
        raise _Unknown("there are no events")
    first = np.full(len(dataset.user_ids), np.iinfo(np.int64).max)
    np.minimum.at(first, users, times)
    known = np.flatnonzero(first <= times.max() - RETURN_DAYS * DAY_US)
    if len(known) == 0:
        raise _Unknown(
            f"the log spans {(times.max() - times.min()) / DAY_US:.1f} days: it takes more than {RETURN_DAYS}"
        )
    later = times - first[users]
    returned = np.zeros(len(first), np.bool_)
    returned[users[(later >= DAY_US) & (later <= RETURN_DAYS * DAY_US)]] = True
    return share(returned[known], known, seed)


def _rating(dataset: Dataset, part: NDArray[np.int64], shown: Impressions | None, seed: int) -> dict[str, Any]:
    """Mean of the ratings given, and how often each value was."""
    at = _of_types(dataset, part, ("rating",))
    at = at[~np.isnan(dataset.events.values[at])]
    if len(at) == 0:
        raise _Unknown("nobody gave a rating with a value")
    values = dataset.events.values[at].astype(np.float64)
    given, counts = np.unique(values, return_counts=True)
    by_value = dict(zip(map(str, given.tolist()), counts.tolist(), strict=True)) if len(given) <= _MAX_VALUES else {}
    return {**_mean(values, dataset.events.users[at], seed), "by_value": by_value}


def _liked(dataset: Dataset, part: NDArray[np.int64], shown: Impressions | None, seed: int) -> dict[str, Any]:
    """Share of likes among likes, dislikes and hides."""
    for_it, against = (_of_types(dataset, part, types) for types in (("like",), ("dislike", "hide")))
    if len(for_it) == 0 or len(against) == 0:
        raise _Unknown("likes and dislikes (or hides) must both occur for one to be told from the other")
    at = np.concatenate([for_it, against])
    return share(np.arange(len(at)) < len(for_it), dataset.events.users[at], seed)


def _some(shown: Impressions | None) -> Impressions:
    if shown is None:
        raise _Unknown("nothing tells what was shown: no impressions, no views with a slate position, no exposures")
    if not shown.click_types:
        raise _Unknown("no act of anybody was logged")
    return shown


def _of_types(dataset: Dataset, part: NDArray[np.int64], types: tuple[str, ...]) -> NDArray[np.int64]:
    wanted = np.array([name in types for name in dataset.event_types] or [False])
    return np.asarray(part[wanted[dataset.events.types[part]]])


FIGURES: dict[str, Callable[[Dataset, NDArray[np.int64], Impressions | None, int], Any]] = {
    "ctr": _ctr,
    "slates_clicked": _slates_clicked,
    "conversion": _conversion,
    "by_position": _by_position,
    "retention_7d": _retention,
    "rating": _rating,
    "liked": _liked,
}
