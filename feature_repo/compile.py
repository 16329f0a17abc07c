"""From a Feast registry to the plan that servers load; works for Penchant's repository and for a user's own."""

import hashlib
from typing import Any

import mmh3
from feast import FeatureStore
from feast.types import Array, PrimitiveFeastType

from penchant.features.plan import Plan, PlannedFeature, PlannedView

_NAMES = {
    PrimitiveFeastType.INT32: "int32",
    PrimitiveFeastType.INT64: "int64",
    PrimitiveFeastType.FLOAT32: "float32",
    PrimitiveFeastType.FLOAT64: "float64",
    PrimitiveFeastType.BOOL: "bool",
    PrimitiveFeastType.STRING: "string",
    PrimitiveFeastType.BYTES: "bytes",
    PrimitiveFeastType.UNIX_TIMESTAMP: "unix_timestamp",
}


def compile_plan(store: FeatureStore) -> Plan:
    """The plan of an applied repository; what cannot be served is left out with the reason."""
    digest = hashlib.sha256()
    views: dict[str, PlannedView] = {}
    skipped: dict[str, str] = {}
    entities = {entity.name: entity for entity in store.list_entities()}
    for view in sorted([*store.list_feature_views(), *store.list_stream_feature_views()], key=lambda v: str(v.name)):
        digest.update(view.to_proto().spec.SerializeToString(deterministic=True))
        planned = _view(store, view, entities)
        if isinstance(planned, str):
            skipped[view.name] = planned
        else:
            views[view.name] = planned
    for view in store.list_on_demand_feature_views():
        skipped[view.name] = "on-demand views are computed by Feast alone"
    services: dict[str, tuple[str, ...]] = {}
    for service in sorted(store.list_feature_services(), key=lambda s: str(s.name)):
        digest.update(service.to_proto().spec.SerializeToString(deterministic=True))
        names = [f"{p.name}:{f.name}" for p in service.feature_view_projections for f in p.features]
        known = {feature.full_name for view in views.values() for feature in view.features}
        missing = [name for name in names if name not in known]
        if missing:
            skipped[f"service {service.name}"] = f"{missing[0]} is not in the plan"
        else:
            services[service.name] = tuple(names)
    return Plan(store.project, digest.hexdigest(), views, services, skipped)


def _view(store: FeatureStore, view: Any, entities: dict[str, Any]) -> PlannedView | str:
    """The planned view, or why it cannot be served."""
    if len(view.join_keys) != 1:
        return f"its join keys are {list(view.join_keys)}: exactly one int64 key can be served"
    columns = {column.name: column.dtype for column in view.entity_columns}
    join_key = view.join_keys[0]
    if columns.get(join_key) != PrimitiveFeastType.INT64:
        return f"its join key {join_key} is {columns.get(join_key)}: only int64 keys can be served"
    stored_name = _stored_name(store, view)
    features = []
    for field in view.features:
        dtype = _dtype(field.dtype)
        if dtype is None:
            return f"feature {field.name} is {field.dtype}, which cannot be served"
        hashed = mmh3.hash(f"{stored_name}:{field.name}", signed=False).to_bytes(4, "little")
        features.append(PlannedFeature(view.name, field.name, dtype, hashed.hex()))
    if len({feature.field for feature in features}) < len(features):
        return "two of its features share a hash field, as Feast hashes them: rename one"
    ttl_s = view.ttl.total_seconds() if view.ttl else 0.0
    return PlannedView(view.name, view.entities[0], join_key, ttl_s, f"_ts:{stored_name}", tuple(features))


def _stored_name(store: FeatureStore, view: Any) -> str:
    from feast.infra.online_stores.helpers import compute_versioned_name

    versioned = bool(getattr(store.config.registry, "enable_online_feature_view_versioning", False))
    return str(compute_versioned_name(view, versioned))


def _dtype(kind: Any) -> str | None:
    if isinstance(kind, Array):
        element = _NAMES.get(kind.base_type)
        return None if element is None else f"{element}[]"
    return _NAMES.get(kind)
