"""Penchant's feature definitions as Feast objects: entities, sources, views and services."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from feast import Entity, FeatureService, FeatureView, Field, FileSource
from feast.types import Array, Float32, Float64, Int64, String
from feast.value_type import ValueType

from penchant.features import STORED_ITEM_FEATURES, STORED_USER_FEATURES, StoredFeature

PROJECT = "penchant"
EVENT_TIME = "event_time"
_TYPES: dict[str, Any] = {
    "int64": Int64,
    "string": String,
    "int64[]": Array(Int64),
    "float32[]": Array(Float32),
    "float64[]": Array(Float64),
}


def objects(offline: Path) -> list[Any]:
    """Everything to apply; view V is read from <offline>/V.parquet."""
    applied: list[Any] = []
    for name, stored in (("user", STORED_USER_FEATURES), ("item", STORED_ITEM_FEATURES)):
        entity = Entity(
            name=name,
            join_keys=[f"{name}_key"],
            value_type=ValueType.INT64,
            description=f"signed 64-bit xxh3 of (tenant, {name} id)",
        )
        views = [_view(view, entity, stored, offline) for view in dict.fromkeys(s.view for s in stored)]
        applied += [entity, *views, FeatureService(name=f"{name}_state", features=list(views))]
    return applied


def _view(name: str, entity: Entity, stored: tuple[StoredFeature, ...], offline: Path) -> FeatureView:
    join_key = entity.join_key
    fields = [Field(name=s.name, dtype=_TYPES[s.dtype], description=_aging(s.name)) for s in stored if s.view == name]
    source = FileSource(name=name, path=str(offline / f"{name}.parquet"), timestamp_field=EVENT_TIME)
    return FeatureView(
        name=name,
        entities=[entity],
        ttl=timedelta(0),
        schema=[Field(name=join_key, dtype=Int64), *fields],
        source=source,
        online=True,
    )


def _aging(name: str) -> str:
    return "as of the view's time: the reader ages it" if name.endswith("_state") else "exact as read"
