"""The online store through Feast's own SDK: for a Feast repository whose online store is not one Redis.

The only module that serves and may import feast, and only when such a store is configured: the import costs
seconds and 180 MB. It reads through the provider, not get_online_features, which calls a missing entity PRESENT.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from penchant.errors import ConfigError, StoreUnavailable
from penchant.features.plan import Plan
from penchant.types import Keys, Times
from services.feature_store.column import Column, Status
from services.feature_store.feast_values import decode_columns, encode_column
from services.feature_store.store import aged_out, planned

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SdkOnlineStore:
    """OnlineStore on whatever a Feast repository names. feast_store is a feast.FeatureStore."""

    def __init__(self, plan: Plan, feast_store: Any) -> None:
        from feast.protos.feast.types.EntityKey_pb2 import EntityKey
        from feast.protos.feast.types.Value_pb2 import Value

        self.plan = plan
        self._store = feast_store
        self._entity_key, self._value = EntityKey, Value
        self._lock = asyncio.Lock()
        online = feast_store.config.online_store
        if hasattr(online, "skip_dedup"):
            # Late events change a user's state but not its newest event's time: such a write must not be skipped.
            online.skip_dedup = True

    @property
    def losses(self) -> int:
        """See OnlineStore.losses: Feast hides its connections, so only a restart notices."""
        return 0

    @property
    def connects(self) -> int:
        """See OnlineStore.connects, and losses."""
        return 0

    @classmethod
    def open(cls, plan: Plan, repository: Path) -> "SdkOnlineStore":
        """From a folder with feature_store.yaml. Raises ConfigError with the remedy."""
        try:
            import feast
        except ImportError as error:
            raise ConfigError(f"the SDK store needs feast ({error}): pip install 'penchant[training]'") from None
        if not (repository / "feature_store.yaml").is_file():
            raise ConfigError(f"{repository}/feature_store.yaml is missing: name a Feast repository")
        return cls(plan, feast.FeatureStore(repo_path=str(repository)))

    async def read(
        self, features: Sequence[str], entity_keys: Keys, as_of_us: int, timeout_s: float | None = None
    ) -> list[Column]:
        """See OnlineStore.read."""
        found, views = planned(self.plan, features)
        columns: dict[str, Column] = {}
        for view in views:
            wanted = [feature for feature in found if feature.view == view.name]
            keys = self._keys(view.join_key, entity_keys)
            rows = await self._call("online_read", view.name, keys, [feature.name for feature in wanted], timeout_s)
            times = np.array([0 if when is None else _micros(when) for when, _ in rows], np.int64)
            # Feast's Redis store answers for a missing entity with empty values as of 1970-01-01 00:00 sharp.
            never = times == 0
            cells = [
                [self._bytes(None if values is None else values.get(feature.name)) for _, values in rows]
                for feature in wanted
            ]
            decoded = decode_columns([f.dtype for f in wanted], [f.full_name for f in wanted], cells, Status.NULL)
            for feature, column in zip(wanted, decoded, strict=True):
                statuses = np.where(never, Status.NOT_FOUND, column.statuses).astype(np.uint8)
                honest = Column(column.dtype, column.values, column.offsets, statuses)
                columns[feature.full_name] = aged_out(honest, times, view.ttl_s, as_of_us)
        return [columns[feature.full_name] for feature in found]

    async def read_rows(
        self, features: Sequence[str], entity_keys: Keys, as_of_us: int, timeout_s: float | None = None
    ) -> list[tuple[Any, ...]]:
        """See OnlineStore.read_rows."""
        columns = await self.read(features, entity_keys, as_of_us, timeout_s)
        return list(zip(*(column.cells() for column in columns), strict=True))

    async def write(self, entity_keys: Keys, columns: Mapping[str, Column], times_us: Mapping[str, Times]) -> None:
        """See OnlineStore.write; one batch a view, so a crash may leave an entity's views at different positions."""
        found, views = planned(self.plan, list(columns))
        if len(entity_keys) == 0:
            return
        for view in views:
            cells = {f.name: encode_column(columns[f.full_name]) for f in found if f.view == view.name}
            data = [
                (key, {name: self._value.FromString(raw[i]) for name, raw in cells.items()}, _moment(time_us), None)
                for i, (key, time_us) in enumerate(
                    zip(self._keys(view.join_key, entity_keys), times_us[view.name].tolist(), strict=True)
                )
            ]
            await self._call("online_write_batch", view.name, data, None, None)

    async def close(self) -> None:
        """See OnlineStore.close."""

    def _keys(self, join_key: str, entity_keys: Keys) -> list[Any]:
        value, kind = self._value, self._entity_key
        return [kind(join_keys=[join_key], entity_values=[value(int64_val=key)]) for key in entity_keys.tolist()]

    def _bytes(self, value: Any) -> bytes | None:
        return None if value is None else bytes(value.SerializeToString())

    async def _call(self, name: str, view: str, first: Any, second: Any, timeout_s: float | None) -> Any:
        """One provider call in a thread, one at a time: Feast's stores are not safe for several."""
        provider = self._store._get_provider()

        def run() -> Any:
            table = self._store.get_feature_view(view)
            return getattr(provider, name)(self._store.config, table, first, second)

        try:
            async with self._lock, asyncio.timeout(timeout_s):
                return await asyncio.to_thread(run)
        except TimeoutError:
            raise StoreUnavailable(f"Feast's online store did not answer within {timeout_s:.3g} s") from None
        except (OSError, RuntimeError, ValueError) as error:
            raise StoreUnavailable(f"Feast's online store failed: {error}") from error


def _micros(when: datetime) -> int:
    aware = when if when.tzinfo else when.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(microseconds=1)


def _moment(time_us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=time_us)
