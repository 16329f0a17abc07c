"""The feature schema: which features there are, and a fingerprint of what models read."""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from penchant.events import EVENT_TYPES
from penchant.features.kinds import CounterFeature, Feature, RateFeature, RecencyFeature, Slot, Slots, age
from penchant.types import Matrix, Times

VERSION = 1
_Float = TypeVar("_Float", np.float32, np.float64)


def _decayed(days: float, weights: tuple[tuple[str, float], ...]) -> Slot:
    return Slot(f"weight_{days:g}d", (), "weight", half_life_days=days, weights=weights)


_EVENTS = Slot("events", ("click", "like", "purchase", "rating", "play"), "one")
_SHOWN = Slot("shown", ("view", "impression"), "one")
_ALL = Slot("all", (), "one")
_VALUE_SUM = Slot("value_sum", (), "value")
_VALUE_COUNT = Slot("value_count", (), "valued")
_LIKED = Slot("liked", (), "liked")
_LAST = Slot("last_time", (), "time", "max")
_FIRST = Slot("first_time", (), "time", "min")


@dataclass(frozen=True, slots=True)
class _Alike:
    """n features of one kind: their places [n] among the features, their slots' places [n, slots a feature]."""

    values: Callable[[NDArray[np.float64], NDArray[np.float64], int], NDArray[np.float64]]
    places: NDArray[np.int64]
    slots: NDArray[np.int64]
    parameters: NDArray[np.float64]


@dataclass(frozen=True)
class FeatureSchema:
    """Definitions for users, items and pairs. user_attributes: categorical name to vocabulary, one-hot encoded."""

    has_times: bool
    has_values: bool
    user_attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    item_attributes: tuple[str, ...] = ()
    """Tag attributes of items that pair features read, in order."""
    version: int = VERSION
    value_bounds: Mapping[str, tuple[float, float]] | None = None
    """Lowest and highest value that training saw, by event type: see usable_values. None: not known, no bounds."""

    event_weights: Mapping[str, float] = field(default_factory=dict)
    """Weights of event types that the models were trained with, where they are not the built-in ones."""

    @classmethod
    def default(
        cls,
        *,
        has_times: bool,
        has_values: bool,
        item_attributes: Mapping[str, tuple[str, ...]],
        user_attributes: Mapping[str, tuple[str, ...]],
        value_bounds: Mapping[str, tuple[float, float]] | None = None,
        event_weights: Mapping[str, float] | None = None,
    ) -> "FeatureSchema":
        """The schema for a dataset; attributes of more than 64 values are left to the embeddings."""
        small = {n: tuple(v) for n, v in sorted(user_attributes.items()) if 0 < len(v) <= 64}
        other = {n: w for n, w in sorted((event_weights or {}).items()) if w != EVENT_TYPES[n].weight}
        return cls(
            has_times,
            has_values,
            small,
            tuple(sorted(item_attributes))[:8],
            value_bounds=value_bounds,
            event_weights=other,
        )

    def usable_values(self, types: NDArray[np.int64], values: NDArray[_Float]) -> NDArray[_Float]:
        """Values [E] as models may read them, by event-type codes [E]; NaN is none.

        A value outside what training saw of its type becomes the nearest bound, that of a type which had no values
        becomes none: a network says nonsense, not "much", of numbers far from all it learned. Applying it twice
        changes nothing.
        """
        if not self.has_values:
            return np.full_like(values, np.nan)
        if self.value_bounds is None:
            return values
        low_high = self._bounds_by_code.astype(values.dtype)[:, types]
        return np.clip(values, low_high[0], low_high[1])

    @cached_property
    def _bounds_by_code(self) -> NDArray[np.float64]:
        """Low and high [2, 256] by event-type code; NaN, which np.clip hands on, for types without values."""
        bounds = np.full((2, 256), np.nan)
        for name, low_high in (self.value_bounds or {}).items():
            bounds[:, EVENT_TYPES[name].code] = low_high
        return bounds

    @cached_property
    def counters(self) -> tuple[Feature, ...]:
        """Features that rest on slots: the same for users and items."""
        weights = tuple(self.event_weights.items())
        features: list[Feature] = [
            CounterFeature("events", _EVENTS),
            CounterFeature("shown", _SHOWN),
            RateFeature("engagement_rate", _EVENTS, _ALL, 0.1, 20.0),
        ]
        if self.has_values:
            features += [
                RateFeature("mean_value", _VALUE_SUM, _VALUE_COUNT, 3.5, 5.0, *self._mean_bounds(3.5)),
                RateFeature("like_rate", _LIKED, _VALUE_COUNT, 0.5, 5.0),
            ]
        if self.has_times:
            features += [
                *(CounterFeature(f"weight_{d:g}d", _decayed(d, weights)) for d in (1.0, 7.0, 30.0)),
                RecencyFeature("since_last", _LAST),
                RecencyFeature("since_first", _FIRST),
            ]
        return tuple(features)

    def _mean_bounds(self, prior: float) -> tuple[float, float]:
        """Lowest and highest mean there can be of usable values."""
        if not self.value_bounds:
            return -math.inf, math.inf
        lows, highs = zip(*self.value_bounds.values(), strict=True)
        return min(*lows, prior), max(*highs, prior)

    @cached_property
    def slots(self) -> tuple[Slot, ...]:
        """What one entity stores, each slot once."""
        return tuple(dict.fromkeys(slot for feature in self.counters for slot in feature.slots))

    @cached_property
    def half_lives(self) -> NDArray[np.float64]:
        """[K] days; 0 does not decay."""
        return np.array([slot.half_life_days for slot in self.slots])

    @cached_property
    def _starts(self) -> NDArray[np.float64]:
        return np.array([slot.start for slot in self.slots])

    @property
    def user_dense_names(self) -> tuple[str, ...]:
        """Fu columns of UserState.dense."""
        one_hot = (f"{name}={value}" for name, values in self.user_attributes.items() for value in values)
        return (*(f.name for f in self.counters), *one_hot)

    @property
    def item_dense_names(self) -> tuple[str, ...]:
        """Fi columns of ItemTable.features."""
        return tuple(f.name for f in self.counters)

    @property
    def pair_dense_names(self) -> tuple[str, ...]:
        """Fp columns computed at request time from the history and the item table (penchant.ranking)."""
        by_attribute = (
            f"{kind}:{name}" for name in self.item_attributes for kind in ("affinity", "value_affinity", "last_match")
        )
        return ("history_similarity", "recent_similarity", "last_similarity", "content_similarity", *by_attribute)

    def counters_dense(self, slots_RK: Slots, state_time_R: Times, as_of_us: int) -> Matrix:
        """Counter features float32 [R, F] at a time; an entity never written gives each feature's value of nothing."""
        aged = age(slots_RK, state_time_R, as_of_us, self.half_lives)
        dense = np.empty((len(aged), len(self.counters)), np.float32)
        for alike in self._alike:
            dense[:, alike.places] = alike.values(alike.parameters, aged[:, alike.slots], as_of_us)
        return dense

    @cached_property
    def _alike(self) -> tuple["_Alike", ...]:
        """Counters by kind, for one computation each."""
        place = {slot: k for k, slot in enumerate(self.slots)}
        found = []
        for kind in dict.fromkeys(type(feature) for feature in self.counters):
            mine = [(i, f) for i, f in enumerate(self.counters) if type(f) is kind]
            found.append(
                _Alike(
                    kind.values,
                    np.array([i for i, _ in mine]),
                    np.array([[place[slot] for slot in f.slots] for _, f in mine]),
                    np.array([f.parameters() for _, f in mine], np.float64).T,
                )
            )
        return tuple(found)

    def empty_slots(self, rows: int) -> Slots:
        """Slots of entities without events, float64 [rows, K]."""
        return np.tile(self._starts, (rows, 1))

    @cached_property
    def _mark(self) -> tuple[float, ...]:
        """What tells the counters of other weights from those of the built-in ones, which have no mark."""
        if not self.event_weights:
            return ()
        described = json.dumps(sorted(self.event_weights.items())).encode()
        return (float(int.from_bytes(hashlib.sha256(described).digest()[:6], "big")),)

    def stored_slots(self, slots_K: NDArray[np.float64]) -> NDArray[np.float64]:
        """One entity's slots as counters_state holds them."""
        return np.append(slots_K, self._mark) if self._mark else slots_K

    def slots_of(self, stored: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
        """Back from stored_slots(); None for the counters of a schema with other slots or weights: they start anew."""
        if stored is None or len(stored) != len(self.slots) + len(self._mark):
            return None
        if self._mark and stored[-1] != self._mark[0]:
            return None
        return np.asarray(stored[: len(self.slots)], np.float64)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON, for the manifest and the plan."""
        return {name: value for name, value in asdict(self).items() if name != "event_weights" or value}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "FeatureSchema":
        """From to_json()'s output."""
        attributes = {n: tuple(v) for n, v in raw["user_attributes"].items()}
        bounds = raw.get("value_bounds")
        if bounds is not None:
            bounds = {name: (float(low), float(high)) for name, (low, high) in bounds.items()}
        return cls(
            raw["has_times"],
            raw["has_values"],
            attributes,
            tuple(raw["item_attributes"]),
            raw["version"],
            bounds,
            {name: float(weight) for name, weight in raw.get("event_weights", {}).items()},
        )

    def fingerprint(self) -> str:
        """Hex digest of what models read: names, order and definitions."""
        described = {
            "version": self.version,
            "user": self.user_dense_names,
            "item": self.item_dense_names,
            "pair": self.pair_dense_names,
            # Without the field that slots did not have before there were other weights.
            "slots": [{n: v for n, v in asdict(slot).items() if n != "weights" or v} for slot in self.slots],
        }
        return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:16]
