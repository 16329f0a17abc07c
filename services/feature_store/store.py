"""The online store as a seam: named features of many entities, read and written by column."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from penchant.errors import InvalidArgument
from penchant.features.plan import Plan, PlannedFeature, PlannedView
from penchant.types import Keys, Times
from services.feature_store.column import Column, Status


class OnlineStore(Protocol):
    """Feast's online store. Every feature of one call belongs to views of one entity.

    Statuses are honest: NOT_FOUND where the entity was never written to that view, NULL where it was and this
    value is none, OUTSIDE_MAX_AGE where the view's ttl has passed at as_of_us.
    """

    plan: Plan

    @property
    def losses(self) -> int:
        """Rises whenever the store may have lost what was written: then look at what it holds."""
        ...

    @property
    def connects(self) -> int:
        """Rises with every connection that is made: behind a new one may be a store that holds less."""
        ...

    async def read(
        self, features: Sequence[str], entity_keys: Keys, as_of_us: int, timeout_s: float | None = None
    ) -> list[Column]:
        """Columns of features ("view:feature"), aligned with entity_keys. Raises StoreUnavailable.

        Without timeout_s the read happens after every write that was begun before it: what read-modify-write needs.
        """
        ...

    async def read_rows(
        self, features: Sequence[str], entity_keys: Keys, as_of_us: int, timeout_s: float | None = None
    ) -> list[tuple[Any, ...]]:
        """The same as a row of values an entity, None where one is not present: for a few entities' many features."""
        ...

    async def write(self, entity_keys: Keys, columns: Mapping[str, Column], times_us: Mapping[str, Times]) -> None:
        """Write columns by "view:feature"; times_us gives, by view, the time that each entity's values are as of.

        All of one entity's fields change together, whatever time was stored before. Raises StoreUnavailable.
        """
        ...

    async def close(self) -> None:
        """Drop connections."""
        ...


def planned(plan: Plan, features: Sequence[str]) -> tuple[list[PlannedFeature], list[PlannedView]]:
    """Features by name and the views they need, all of one entity. Raises InvalidArgument."""
    unknown = [name for name in features if name not in plan.features]
    if unknown:
        raise InvalidArgument("features", f"{unknown[0]!r} is not in the plan: apply the feature repository again")
    found = [plan.features[name] for name in features]
    views = [plan.views[name] for name in dict.fromkeys(feature.view for feature in found)]
    if len({view.join_key for view in views}) > 1:
        raise InvalidArgument("features", f"{', '.join(v.name for v in views)} are of several entities: ask for one")
    return found, views


def aged_out(column: Column, times_us: Times, ttl_s: float, as_of_us: int) -> Column:
    """The column with statuses OUTSIDE_MAX_AGE where the view's ttl has passed; the values stay readable."""
    if not ttl_s:
        return column
    old = (as_of_us - times_us > ttl_s * 1e6) & (column.statuses != Status.NOT_FOUND)
    if not old.any():
        return column
    statuses = np.where(old, Status.OUTSIDE_MAX_AGE, column.statuses).astype(np.uint8)
    return Column(column.dtype, column.values, column.offsets, statuses)
