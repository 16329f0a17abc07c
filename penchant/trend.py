"""What is trending now: decayed weights of items, counted as events come in.

Pure: no clock; "now" is the newest event's time, so that replayed events trend in their own time.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from penchant.types import Keys, Vector

HALF_LIFE_S = 600.0
_HALF_LIFE_US = HALF_LIFE_S * 1e6
_REBASE_AFTER = 200.0
"""Half-lives; a double holds five times as many."""
PRIOR_WEIGHT = 200.0
"""How much weight of live events counts as much as the bundle's whole trend."""
AHEAD_US = 300_000_000
"""Clocks may differ by this much: a request that is older than the trend by more is one about the past."""


def _no_keys() -> Keys:
    return np.empty(0, np.int64)


def _no_weights() -> Vector:
    return np.empty(0, np.float32)


@dataclass(frozen=True, slots=True)
class TrendSnapshot:
    """The heaviest items: keys int64 [K], heaviest first, and weights float32 [K] as of a time."""

    as_of_us: int = 0
    keys: Keys = field(default_factory=_no_keys)
    weights: Vector = field(default_factory=_no_weights)

    def aged(self, as_of_us: int) -> Vector:
        """Weights as of a later time; all 0 for a time before the snapshot: then nothing of this had happened."""
        if as_of_us < self.as_of_us - AHEAD_US:
            return np.zeros(len(self.weights), np.float32)
        age_us = max(as_of_us - self.as_of_us, 0)
        return (self.weights * np.float32(2.0 ** -min(age_us / _HALF_LIFE_US, 1000.0))).astype(np.float32)


NO_TREND = TrendSnapshot()


class Trend:
    """Adds up events' weights, each halved every HALF_LIFE_S; the order of events does not matter.

    At most 2 * capacity items are held: beyond that the lightest are forgotten. An event counts once for its user,
    item and type among the last `distinct` such, so that one user repeating it makes no trend.
    """

    def __init__(self, capacity: int = 20_000, distinct: int = 50_000) -> None:
        self.version = 0
        """Rises with every change."""
        self.position = 0
        """Of the newest log entry taken in; older ones come again in replays and count once."""
        self._capacity = capacity
        self._distinct = distinct
        self._newest_us = 0
        self._base_us = 0
        self._weights: dict[int, float] = {}
        """Times 2 ** ((event's time - base) / half-life), so that adding needs no ageing."""
        self._recent: OrderedDict[tuple[int, int, int], None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._weights)

    def add(self, user_key: int, item_key: int, code: int, weight: float, time_us: int) -> None:
        """One event; only a positive weight makes a trend."""
        if weight <= 0 or not item_key:
            return
        who = (user_key, item_key, code)
        repeated = who in self._recent
        self._recent[who] = None
        self._recent.move_to_end(who)
        if len(self._recent) > self._distinct:
            self._recent.popitem(last=False)  # A plain dict looks for its first entry past all that were deleted.
        if repeated:
            return
        if time_us - self._base_us > _REBASE_AFTER * _HALF_LIFE_US:
            self._rebase(time_us)
        halvings = (time_us - self._base_us) / _HALF_LIFE_US
        if halvings < -_REBASE_AFTER:
            return
        self._newest_us = max(self._newest_us, time_us)
        self._weights[item_key] = self._weights.get(item_key, 0.0) + weight * 2.0**halvings
        self.version += 1
        if len(self._weights) > 2 * self._capacity:
            self._forget()

    def top(self, k: int) -> TrendSnapshot:
        """The k heaviest items as of the newest event."""
        keys, weights = self._columns()
        chosen = np.argpartition(-weights, k - 1)[:k] if len(keys) > k else np.arange(len(keys))
        order = chosen[np.lexsort((keys[chosen], -weights[chosen]))]
        now = weights[order] * 2.0 ** (-(self._newest_us - self._base_us) / _HALF_LIFE_US)
        heavy = now > 1e-6
        return TrendSnapshot(self._newest_us, keys[order][heavy], now[heavy].astype(np.float32))

    def _columns(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        count = len(self._weights)
        return np.fromiter(self._weights, np.int64, count), np.fromiter(self._weights.values(), np.float64, count)

    def _rebase(self, time_us: int) -> None:
        factor = 2.0 ** -min((time_us - self._base_us) / _HALF_LIFE_US, 1000.0)
        self._weights = {key: weight * factor for key, weight in self._weights.items() if weight * factor > 1e-9}
        self._base_us = time_us

    def _forget(self) -> None:
        keys, weights = self._columns()
        kept = np.argpartition(-weights, self._capacity - 1)[: self._capacity]
        self._weights = dict(zip(keys[kept].tolist(), weights[kept].tolist(), strict=True))
