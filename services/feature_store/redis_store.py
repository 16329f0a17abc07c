"""Feast's Redis layout read and written directly: HMGET and HSET of bytes that Feast would have sent itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from penchant.features.plan import Plan, PlannedFeature, PlannedView
from penchant.types import Keys, Times
from services.feature_store.column import Column, Status
from services.feature_store.connection import RedisAddress, RedisPool, bulk, command
from services.feature_store.feast_values import (
    decode_columns,
    decode_row,
    decode_timestamp,
    encode_columns,
    encode_timestamps,
)
from services.feature_store.store import aged_out, planned

_WRITE_CHUNK = 256


@dataclass(frozen=True, slots=True)
class _Reading:
    """A read whose request bytes are built once: only the eight bytes of the entity key change."""

    features: list[PlannedFeature]
    views: list[PlannedView]
    dtypes: list[str]
    names: list[str]
    before_key: bytes
    after_key: bytes

    def request(self, entity_keys: Keys) -> bytes:
        raw = np.ascontiguousarray(entity_keys, "<i8").tobytes()
        before, after = self.before_key, self.after_key
        return b"".join(before + raw[at : at + 8] + after for at in range(0, len(raw), 8))


class RedisOnlineStore:
    """OnlineStore on one Redis."""

    def __init__(self, plan: Plan, address: RedisAddress, connections: int = 2, timeout_s: float = 5.0) -> None:
        self.plan = plan
        self.pool = RedisPool(address, connections, timeout_s)
        self._readings: dict[tuple[str, ...], _Reading] = {}

    @property
    def losses(self) -> int:
        """See OnlineStore.losses."""
        return self.pool.losses

    @property
    def connects(self) -> int:
        """See OnlineStore.connects."""
        return self.pool.connects

    async def read(
        self, features: Sequence[str], entity_keys: Keys, as_of_us: int, timeout_s: float | None = None
    ) -> list[Column]:
        """See OnlineStore.read."""
        reading = self._reading(tuple(features))
        rows = await self._rows(reading, entity_keys, timeout_s)
        cells: list[tuple[bytes | None, ...]] = list(zip(*rows, strict=True)) or [()] * (
            len(reading.features) + len(reading.views)
        )
        found = reading.features
        columns = decode_columns(reading.dtypes, reading.names, cells[: len(found)], Status.NULL)
        stamps = dict(zip([view.name for view in reading.views], cells[len(found) :], strict=True))
        return [
            self._with_honest_statuses(feature, column, stamps[feature.view], as_of_us)
            for feature, column in zip(found, columns, strict=True)
        ]

    async def read_rows(
        self, features: Sequence[str], entity_keys: Keys, as_of_us: int, timeout_s: float | None = None
    ) -> list[tuple[Any, ...]]:
        """See OnlineStore.read_rows."""
        reading = self._reading(tuple(features))
        if any(view.ttl_s for view in reading.views):
            columns = await self.read(features, entity_keys, as_of_us, timeout_s)
            return list(zip(*(column.cells() for column in columns), strict=True))
        count = len(reading.features)
        rows = await self._rows(reading, entity_keys, timeout_s)
        return [tuple(decode_row(reading.dtypes, reading.names, row[:count])) for row in rows]

    async def _rows(self, reading: _Reading, entity_keys: Keys, timeout_s: float | None) -> list[Any]:
        if len(entity_keys) == 0:
            return []
        request = reading.request(entity_keys)
        return await self.pool.execute(request, len(entity_keys), timeout_s, in_order=timeout_s is None)

    async def write(self, entity_keys: Keys, columns: Mapping[str, Column], times_us: Mapping[str, Times]) -> None:
        """See OnlineStore.write: one HSET an entity."""
        found, views = planned(self.plan, list(columns))
        if len(entity_keys) == 0:
            return
        fields = [bulk(view.timestamp_field.encode()) for view in views] + [bulk(f.field_bytes) for f in found]
        cells = [encode_timestamps(times_us[view.name].tolist()) for view in views]
        cells += encode_columns(list(columns.values()))
        prefix, suffix = views[0].key_prefix, self.plan.project.encode()
        head = b"*%d\r\n$4\r\nHSET\r\n$%d\r\n" % (2 + 2 * len(fields), len(prefix) + 8 + len(suffix)) + prefix
        tail = suffix + b"\r\n"
        raw = np.ascontiguousarray(entity_keys, "<i8").tobytes()
        requests = [
            head + raw[8 * i : 8 * i + 8] + tail + b"".join([f + bulk(c) for f, c in zip(fields, row, strict=True)])
            for i, row in enumerate(zip(*cells, strict=True))
        ]
        for start in range(0, len(requests), _WRITE_CHUNK):
            chunk = requests[start : start + _WRITE_CHUNK]
            await self.pool.execute(b"".join(chunk), len(chunk), in_order=True)

    async def close(self) -> None:
        """See OnlineStore.close."""
        self.pool.close()

    def _reading(self, features: tuple[str, ...]) -> _Reading:
        known = self._readings.get(features)
        if known is not None:
            return known
        found, views = planned(self.plan, features)
        fields = [feature.field_bytes for feature in found] + [view.timestamp_field.encode() for view in views]
        prefix, suffix = views[0].key_prefix, self.plan.project.encode()
        whole = command("HMGET", prefix + bytes(8) + suffix, *fields)
        at = whole.index(prefix) + len(prefix)
        dtypes, names = [feature.dtype for feature in found], [feature.full_name for feature in found]
        reading = _Reading(found, views, dtypes, names, whole[:at], whole[at + 8 :])
        if len(self._readings) < 1000:
            self._readings[features] = reading
        return reading

    def _with_honest_statuses(
        self, feature: PlannedFeature, column: Column, stamps: Sequence[bytes | None], as_of_us: int
    ) -> Column:
        if None in stamps:
            never = np.array([stamp is None for stamp in stamps])
            column = Column(
                column.dtype,
                column.values,
                column.offsets,
                np.where(never, Status.NOT_FOUND, column.statuses).astype(np.uint8),
            )
        ttl_s = self.plan.views[feature.view].ttl_s
        if not ttl_s:
            return column
        times = np.array([decode_timestamp(stamp) if stamp else 0 for stamp in stamps], np.int64)
        return aged_out(column, times, ttl_s, as_of_us)
