"""How real a dataset looks: popularity skew, sessions, return times and what can be learnt, beside real sets."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from training.data.dataset import Dataset
from training.data.split import history_mask, split

SESSION_GAP_US = 30 * 60 * 1_000_000
_HOUR_US = 3_600_000_000
_TARGETS = 2_000
_REACH = 10


@dataclass(frozen=True, slots=True)
class Band:
    """How far a measure may lie from the real sets' range: `plus` beyond it, or by `factor`."""

    plus: float = 0.0
    factor: float = 1.0


MEASURES: dict[str, Band] = {
    "popularity_gini": Band(plus=0.1),
    "top_1_percent_share": Band(factor=2.0),
    "events_per_user_median": Band(factor=3.0),
    "events_per_user_spread": Band(factor=3.0),
    "session_length_median": Band(factor=3.0),
    "session_length_p90": Band(factor=3.0),
    "gap_in_session_median_s": Band(factor=10.0),
    "return_hours_median": Band(factor=10.0),
    "return_hours_p90": Band(factor=10.0),
    "co_visitation_over_popularity": Band(factor=5.0),
}
"""By name. Rating sites are visited more rarely than shops: times may differ by an order of magnitude."""


def measure(dataset: Dataset) -> dict[str, float]:
    """The measures of a dataset's acts (impressions left out); those that need times are NaN without them."""
    events = dataset.events if dataset.events.impressions is None else dataset.events.take(~dataset.events.impressions)
    with_item = events.items >= 0
    counts = np.bincount(events.items[with_item], minlength=len(dataset.item_ids))
    by_user = np.bincount(events.users)
    by_user = by_user[by_user > 0]
    result = dict.fromkeys(MEASURES, float("nan"))
    result |= {
        "popularity_gini": gini(counts[counts > 0]),
        "top_1_percent_share": top_share(counts[counts > 0], 0.01),
        "events_per_user_median": float(np.median(by_user)),
        "events_per_user_spread": float(np.percentile(by_user, 90) / max(np.percentile(by_user, 10), 1)),
    }
    if not dataset.has_times:
        return result
    order = np.lexsort((events.order, events.times, events.users))
    lengths, gaps_us, returns_us = sessions(events.users[order], events.times[order])
    result |= {
        "session_length_median": float(np.median(lengths)),
        "session_length_p90": float(np.percentile(lengths, 90)),
        "gap_in_session_median_s": _percentile(gaps_us, 50) / 1e6,
        "return_hours_median": _percentile(returns_us, 50) / _HOUR_US,
        "return_hours_p90": _percentile(returns_us, 90) / _HOUR_US,
    }
    co_visitation, popularity = learnable(dataset)
    result["co_visitation_over_popularity"] = co_visitation / max(popularity, 1e-4)
    return result


def outside(measured: dict[str, float], against: Sequence[dict[str, float]]) -> dict[str, tuple[float, float]]:
    """Measures that lie outside what the real sets allow, with the range allowed. Measures no set has are left out."""
    result = {}
    for name, band in MEASURES.items():
        real = [m[name] for m in against if np.isfinite(m[name])]
        if not real:
            continue
        low, high = min(real) / band.factor - band.plus, max(real) * band.factor + band.plus
        if not low <= measured[name] <= high:
            result[name] = (low, high)
    return result


def gini(counts: NDArray[np.int64]) -> float:
    """0 where all are equal, towards 1 where one has everything."""
    ascending = np.sort(counts).astype(np.float64)
    n = len(ascending)
    if n == 0 or ascending.sum() == 0:
        return 0.0
    return float((2 * np.arange(1, n + 1) - n - 1) @ ascending / (n * ascending.sum()))


def top_share(counts: NDArray[np.int64], share: float) -> float:
    """What the most popular `share` of the items (at least one) has of everything."""
    most = np.sort(counts)[::-1][: max(1, round(len(counts) * share))]
    return float(most.sum() / max(counts.sum(), 1))


def sessions(
    users: NDArray[np.int32], times: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Lengths of sessions, gaps within them and gaps between them (us), of events ascending by (user, time).

    A session ends where half an hour goes by without an event.
    """
    gaps = np.diff(times)
    same = np.diff(users) == 0
    ends = ~same | (gaps > SESSION_GAP_US)
    lengths = np.diff(np.concatenate([[0], np.flatnonzero(ends) + 1, [len(users)]]))
    return lengths, gaps[~ends], gaps[same & ends]


def learnable(dataset: Dataset, seed: int = 0) -> tuple[float, float]:
    """HR@10 of what follows what (co-visitation) and of popularity, the better of all time and the newest tenth.

    Held-out events of the time split, each predicted from what came before it, seen items left out of the list.
    """
    cut = split(dataset, "time-split")
    events, history = dataset.events, history_mask(dataset)
    before = np.sort(np.concatenate([cut.train, cut.valid]))
    before = before[history[before]]
    follows = _followers(dataset, before)
    count = len(dataset.item_ids)
    newest = before[-max(1, len(before) // 10) :]
    popular = [np.bincount(events.items[some], minlength=count).astype(np.float64) for some in (before, newest)]
    rng = np.random.default_rng(seed)
    targets = np.zeros(len(events), np.bool_)
    targets[rng.permutation(cut.test)[:_TARGETS]] = True
    mine = np.flatnonzero(history & np.isin(events.users, events.users[targets]))
    mine = mine[np.lexsort((events.order[mine], events.times[mine], events.users[mine]))]
    hits = np.zeros((3, 2))
    past: list[int] = []
    user = -1
    for i in mine.tolist():
        if events.users[i] != user:
            user, past = int(events.users[i]), []
        if targets[i]:
            recent = past[: -_REACH - 1 : -1]
            following = np.exp2(-np.arange(len(recent))) @ follows[recent].toarray() if recent else np.zeros(count)
            for row, scores in enumerate((following + 1e-9 * popular[0], *popular)):
                hits[row] += _hit(scores.copy(), past, int(events.items[i])), 1
        past.append(int(events.items[i]))
    rates = hits[:, 0] / np.maximum(hits[:, 1], 1)
    return float(rates[0]), float(rates[1:].max())


def _hit(scores: NDArray[np.float64], seen: list[int], item: int) -> bool:
    scores[seen] = -1.0
    return bool(scores[item] >= 0 and (scores > scores[item]).sum() < 10)


def _followers(dataset: Dataset, index: NDArray[np.int64]) -> sparse.csr_matrix:
    """[N, N]: how often an item came 1 to 10 places after another of the same user, by the source's count."""
    events, count = dataset.events, len(dataset.item_ids)
    order = index[np.lexsort((events.order[index], events.times[index], events.users[index]))]
    pairs = sparse.csr_matrix((count, count))
    for distance in range(1, _REACH + 1):
        a, b = order[:-distance], order[distance:]
        same = events.users[a] == events.users[b]
        weights = np.full(int(same.sum()), 1.0 / distance)
        pairs = pairs + sparse.csr_matrix((weights, (events.items[a][same], events.items[b][same])), (count, count))
    occurrences = np.maximum(np.bincount(events.items[index], minlength=count), 1)
    return sparse.csr_matrix(sparse.diags(1.0 / occurrences) @ pairs)


def _percentile(values: NDArray[np.int64], percent: float) -> float:
    return float(np.percentile(values, percent)) if len(values) else float("nan")
