"""The feature schema: which features there are, and a fingerprint of what models read."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penchant.features.kinds import CounterFeature, Feature, RateFeature, RecencyFeature, Slot, Slots, age
from penchant.types import Matrix, Times

VERSION = 1


def _decayed(days: float) -> Slot:
    return Slot(f"weight_{days:g}d", (), "weight", half_life_days=days)


_EVENTS = Slot("events", ("click", "like", "purchase", "rating", "play"), "one")
_SHOWN = Slot("shown", ("view", "impression"), "one")
_ALL = Slot("all", (), "one")
_VALUE_SUM = Slot("value_sum", (), "value")
_VALUE_COUNT = Slot("value_count", (), "valued")
_LIKED = Slot("liked", (), "liked")
_LAST = Slot("last_time", (), "time", "max")
_FIRST = Slot("first_time", (), "time", "min")


@dataclass(frozen=True)
class FeatureSchema:
    """Definitions for users, items and pairs. user_attributes: categorical name to vocabulary, one-hot encoded."""

    has_times: bool
    has_values: bool
    user_attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    item_attributes: tuple[str, ...] = ()
    """Tag attributes of items that pair features read, in order."""
    version: int = VERSION

    @classmethod
    def default(
        cls,
        *,
        has_times: bool,
        has_values: bool,
        item_attributes: Mapping[str, tuple[str, ...]],
        user_attributes: Mapping[str, tuple[str, ...]],
    ) -> "FeatureSchema":
        """The schema for a dataset; attributes of more than 64 values are left to the embeddings."""
        small = {n: tuple(v) for n, v in sorted(user_attributes.items()) if 0 < len(v) <= 64}
        return cls(has_times, has_values, small, tuple(sorted(item_attributes))[:8])

    @cached_property
    def counters(self) -> tuple[Feature, ...]:
        """Features that rest on slots: the same for users and items."""
        features: list[Feature] = [
            CounterFeature("events", _EVENTS),
            CounterFeature("shown", _SHOWN),
            RateFeature("engagement_rate", _EVENTS, _ALL, 0.1, 20.0),
        ]
        if self.has_values:
            features += [
                RateFeature("mean_value", _VALUE_SUM, _VALUE_COUNT, 3.5, 5.0),
                RateFeature("like_rate", _LIKED, _VALUE_COUNT, 0.5, 5.0),
            ]
        if self.has_times:
            features += [
                *(CounterFeature(f"weight_{d:g}d", _decayed(d)) for d in (1.0, 7.0, 30.0)),
                RecencyFeature("since_last", _LAST),
                RecencyFeature("since_first", _FIRST),
            ]
        return tuple(features)

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
        place = {slot: k for k, slot in enumerate(self.slots)}
        columns = [f.value(aged[:, [place[s] for s in f.slots]], as_of_us) for f in self.counters]
        return np.stack(columns, axis=1).astype(np.float32)

    def empty_slots(self, rows: int) -> Slots:
        """Slots of entities without events, float64 [rows, K]."""
        return np.tile(self._starts, (rows, 1))

    def to_json(self) -> dict[str, Any]:
        """As plain JSON, for the manifest and the plan."""
        return asdict(self)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "FeatureSchema":
        """From to_json()'s output."""
        attributes = {n: tuple(v) for n, v in raw["user_attributes"].items()}
        return cls(raw["has_times"], raw["has_values"], attributes, tuple(raw["item_attributes"]), raw["version"])

    def fingerprint(self) -> str:
        """Hex digest of what models read: names, order and definitions."""
        described = {
            "version": self.version,
            "user": self.user_dense_names,
            "item": self.item_dense_names,
            "pair": self.pair_dense_names,
            "slots": [asdict(slot) for slot in self.slots],
        }
        return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:16]
