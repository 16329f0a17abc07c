"""The sequential model: the log's records one after another through penchant.features, and what the store must hold."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from penchant.events import Event
from penchant.features import FeatureSchema, ItemFeatures, UserFeatures
from services.feature_store.writes import CONSENT_PERSONALISATION, IdentityMerge, UserWrite

TOLERANCE = 1e-5
"""Of decayed sums, relative; everything else is exact."""


class SequentialModel:
    """Users and items after every record applied so far."""

    def __init__(self, schema: FeatureSchema) -> None:
        self.schema = schema
        self.position = 0
        self.users: dict[int, UserFeatures] = {}
        self.items: dict[int, ItemFeatures] = {}
        self.item_positions: dict[int, int] = {}

    def root(self, key: int) -> int:
        """Whom an identity was merged into, at last."""
        while key in self.users and self.users[key].merged_into:
            key = self.users[key].merged_into
        return key

    def apply(self, position: int, entry: Event | UserWrite | IdentityMerge) -> None:
        """The next record."""
        self.position = position
        if isinstance(entry, IdentityMerge):
            self._merge(position, entry)
            return
        user = self.users.setdefault(self.root(entry.user_key), UserFeatures.empty(self.schema))
        if isinstance(entry, UserWrite):
            user.set_attributes(entry.texts())
        else:
            user.apply(entry)
            if entry.item_key and "evaluation" not in entry.context and entry.consent != CONSENT_PERSONALISATION:
                item = self.items.setdefault(entry.item_key, ItemFeatures.empty(self.schema, 1))
                item.apply(0, entry)
                self.item_positions[entry.item_key] = position
        user.applied_position = position

    def _merge(self, position: int, merge: IdentityMerge) -> None:
        root, into = self.root(merge.from_key), self.root(merge.into_key)
        if root != merge.from_key or into == merge.from_key:
            return  # Merged before, or a circle.
        user = self.users.setdefault(into, UserFeatures.empty(self.schema))
        other = self.users.setdefault(root, UserFeatures.empty(self.schema))
        user.absorb(other)
        user.applied_position = position
        self.users[root] = gone = UserFeatures.empty(self.schema)
        gone.merged_into, gone.applied_position, gone.state_time = into, position, other.state_time

    def user_differences(self, key: int, stored: dict[str, Any]) -> list[str]:
        """Fields of a stored user that differ."""
        return _differences(self.schema, self.users[key].to_stored(), stored)

    def item_differences(self, key: int, stored: dict[str, Any]) -> list[str]:
        """Fields of a stored item's counters that differ."""
        expected = {**self.items[key].to_stored(0), "applied_position": self.item_positions[key]}
        return _differences(self.schema, expected, stored)


def _differences(schema: FeatureSchema, expected: dict[str, Any], stored: dict[str, Any]) -> list[str]:
    return [
        f"{name}: stored {_shown(stored.get(name))}, replayed {_shown(value)}"
        for name, value in expected.items()
        if not _same(schema, name, value, stored.get(name))
    ]


def _same(schema: FeatureSchema, name: str, expected: Any, stored: Any) -> bool:
    if name == "counters_state":
        found, expected = schema.slots_of(stored), schema.slots_of(expected)
        if found is None or expected is None:
            return found is expected
        decays = schema.half_lives > 0
        return bool(
            np.array_equal(found[~decays], expected[~decays])
            and np.allclose(found[decays], expected[decays], rtol=TOLERANCE, atol=1e-9)
        )
    if isinstance(expected, np.ndarray):
        found = np.asarray(() if stored is None else stored, expected.dtype)
        return bool(np.array_equal(found, expected, equal_nan=expected.dtype.kind == "f"))
    if name == "attributes_json":
        return bool((stored or "{}") == expected)
    return bool((stored or type(expected)()) == expected)


def _shown(value: Any) -> str:
    if isinstance(value, Sequence | np.ndarray) and not isinstance(value, str) and len(value) > 6:
        return f"{len(value)} values ending {list(value[-3:])}"
    return str(value)
