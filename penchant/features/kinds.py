"""The kinds of features: what each stores, how an event changes that, and its value at a time.

A counter, a rate and a recency rest on slots, float64 numbers that accumulate; every slot is a commutative
reduction (a decayed sum, a minimum or a maximum), so that late and out-of-order events end in the same state as a
sorted replay. A sequence and an attribute are stored as they are (see entity.py).
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from penchant.events import BUILT_IN, CODES, EVENT_TYPES
from penchant.types import Times

DAY_US = 86_400_000_000
Slots = NDArray[np.float64]
"""[R, K]: K slots of R entities, aged to each entity's state time."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One accumulating number.

    types: event types that count, () for all. amount: what one event adds. half_life_days: 0 never decays.
    """

    name: str
    types: tuple[str, ...]
    amount: Literal["one", "value", "valued", "liked", "weight", "time"]
    reduce: Literal["sum", "min", "max"] = "sum"
    half_life_days: float = 0.0
    weights: tuple[tuple[str, float], ...] = ()
    """Weights other than the built-in ones, for amount "weight": a slot with other weights is another slot."""

    def amounts(self, types: NDArray[np.int64], values: NDArray[np.float64], times: Times) -> NDArray[np.float64]:
        """What E events contribute, float64 [E]; NaN where an event does not count."""
        counts = _counted_codes(self.types)[types]
        match self.amount:
            case "one":
                amount = np.ones(len(types))
            case "value":
                amount = values
            case "valued":
                amount = np.where(np.isnan(values), np.nan, 1.0)
            case "liked":
                amount = np.where(np.isnan(values), np.nan, (values >= 4.0).astype(np.float64))
            case "weight":
                amount = _weights(self.weights)[types]
            case "time":
                amount = times.astype(np.float64)
        return np.where(counts, amount, np.nan)

    @property
    def start(self) -> float:
        """The slot's value before any event."""
        return {"sum": 0.0, "min": np.inf, "max": -np.inf}[self.reduce]


@cache
def _weights(other: tuple[tuple[str, float], ...]) -> NDArray[np.float64]:
    weights = BUILT_IN.weights.copy()
    for name, weight in other:
        weights[EVENT_TYPES[name].code] = weight
    return weights


@cache
def _counted_codes(types: tuple[str, ...]) -> NDArray[np.bool_]:
    """Which event-type codes count, bool [256]; every built-in one for (). What a policy adds, no model has learnt."""
    counted = np.zeros(CODES, np.bool_)
    counted[[EVENT_TYPES[name].code for name in types or EVENT_TYPES]] = True
    return counted


@dataclass(frozen=True, slots=True)
class CounterFeature:
    """log(1 + decayed count). A plain read is not exact: it is aged to the reader's time."""

    name: str
    slot: Slot

    @property
    def slots(self) -> tuple[Slot, ...]:
        """What it stores."""
        return (self.slot,)

    def parameters(self) -> tuple[float, ...]:
        """What values() is told of it."""
        return ()

    @staticmethod
    def values(parameters: NDArray[np.float64], aged: NDArray[np.float64], as_of_us: int) -> NDArray[np.float64]:
        """Of n features, [R, n] of aged slots [R, n, 1]."""
        counts = aged[:, :, 0]
        return np.sign(counts) * np.log1p(np.abs(counts))


@dataclass(frozen=True, slots=True)
class RateFeature:
    """numerator / denominator, drawn to `prior` with the weight of `strength` events (additive smoothing)."""

    name: str
    numerator: Slot
    denominator: Slot
    prior: float
    strength: float
    low: float = -math.inf
    high: float = math.inf
    """The rate is never outside: a no-op for sums of usable values, but what was stored without bounds may be anything.
    """

    @property
    def slots(self) -> tuple[Slot, ...]:
        """What it stores."""
        return (self.numerator, self.denominator)

    def parameters(self) -> tuple[float, ...]:
        """What values() is told of it."""
        return self.strength, self.prior * self.strength, self.low, self.high

    @staticmethod
    def values(parameters: NDArray[np.float64], aged: NDArray[np.float64], as_of_us: int) -> NDArray[np.float64]:
        """Of n features, [R, n] of aged slots [R, n, 2]; parameters [4, n]."""
        strength, weight, low, high = parameters
        rates: NDArray[np.float64] = np.clip((aged[:, :, 0] + weight) / (aged[:, :, 1] + strength), low, high)
        return rates


@dataclass(frozen=True, slots=True)
class RecencyFeature:
    """log(1 + days) since the slot's time; -1 where there is none."""

    name: str
    slot: Slot

    @property
    def slots(self) -> tuple[Slot, ...]:
        """What it stores."""
        return (self.slot,)

    def parameters(self) -> tuple[float, ...]:
        """What values() is told of it."""
        return ()

    @staticmethod
    def values(parameters: NDArray[np.float64], aged: NDArray[np.float64], as_of_us: int) -> NDArray[np.float64]:
        """Of n features, [R, n] of slots [R, n, 1]; a time after as_of counts as now."""
        times = aged[:, :, 0]
        known = np.isfinite(times)
        days = np.maximum(as_of_us - np.where(known, times, as_of_us), 0.0) / DAY_US
        return np.where(known, np.log1p(days), -1.0)


Feature = CounterFeature | RateFeature | RecencyFeature


def age(slots_RK: Slots, state_time_R: Times, to_us: Times | int, half_lives_K: NDArray[np.float64]) -> Slots:
    """Slots aged from each entity's state time to a later time; never rejuvenated."""
    days = np.maximum(np.asarray(to_us, np.float64) - state_time_R, 0.0) / DAY_US
    decaying = np.flatnonzero(half_lives_K > 0)
    aged = np.array(slots_RK, np.float64)
    aged[:, decaying] *= np.exp2(-days[:, None] / half_lives_K[decaying])
    return aged


def united(definitions: tuple[Slot, ...], a: Slots, time_a: Times, b: Slots, time_b: Times) -> tuple[Slots, Times]:
    """Slots [R, K] and state times of entities that were two, as if the events of both had been one entity's."""
    newest = np.maximum(time_a, time_b)
    half_lives = np.array([d.half_life_days for d in definitions])
    a, b = age(a, time_a, newest, half_lives), age(b, time_b, newest, half_lives)
    reduce = {"sum": np.add, "min": np.minimum, "max": np.maximum}
    columns = [reduce[d.reduce](a[:, k], b[:, k]) for k, d in enumerate(definitions)]
    return np.stack(columns, axis=1), newest


def accumulate(
    definitions: tuple[Slot, ...],
    slots_RK: Slots,
    state_time_R: Times,
    rows: NDArray[np.int64],
    types: NDArray[np.int64],
    values: NDArray[np.float64],
    times: Times,
) -> tuple[Slots, Times]:
    """New slots and state times after E events of the entities `rows`, in any order.

    The state time is the newest event's; an older event enters with its own decay, so order does not matter.
    """
    newest = state_time_R.copy()
    np.maximum.at(newest, rows, times)
    half_lives = np.array([d.half_life_days for d in definitions])
    slots = age(slots_RK, state_time_R, newest, half_lives)
    late_days = (newest[rows] - times) / DAY_US
    for k, definition in enumerate(definitions):
        amounts = definition.amounts(types, values, times)
        counted = ~np.isnan(amounts)
        at, amount = rows[counted], amounts[counted]
        match definition.reduce:
            case "sum":
                if definition.half_life_days:
                    amount = amount * np.exp2(-late_days[counted] / definition.half_life_days)
                np.add.at(slots[:, k], at, amount)
            case "min":
                np.minimum.at(slots[:, k], at, amount)
            case "max":
                np.maximum.at(slots[:, k], at, amount)
    return slots, newest
