"""Penchant's plan without importing feast (tests/feature_repo holds it against the compiled one), and events."""

import math

import mmh3

from penchant.events import Event
from penchant.features import STORED_ITEM_FEATURES, STORED_USER_FEATURES, FeatureSchema
from penchant.features.plan import Plan, PlannedFeature, PlannedView
from penchant.ids import key

NOW_US = 1_780_000_000_000_000
DAY_US = 86_400_000_000
SCHEMA = FeatureSchema.default(
    has_times=True, has_values=True, item_attributes={}, user_attributes={"plan": ("free", "paid")}
)


def penchant_plan(project: str = "penchant") -> Plan:
    views, services = {}, {}
    for entity, stored in (("user", STORED_USER_FEATURES), ("item", STORED_ITEM_FEATURES)):
        for view in sorted({s.view for s in stored}):
            features = tuple(
                PlannedFeature(
                    view, s.name, s.dtype, mmh3.hash(f"{view}:{s.name}", signed=False).to_bytes(4, "little").hex()
                )
                for s in stored
                if s.view == view
            )
            views[view] = PlannedView(view, entity, f"{entity}_key", 0.0, f"_ts:{view}", features)
        services[f"{entity}_state"] = tuple(f"{s.view}:{s.name}" for s in stored)
    return Plan(project, "", views, services, {})


def event(user: str = "u", item: str = "i", type_: str = "click", ago_s: float = 60.0, **more) -> Event:
    given = {
        "user_key": key("", user),
        "item_key": key("", item) if item else 0,
        "event_type": type_,
        "event_time_us": NOW_US - int(ago_s * 1e6),
        "value": math.nan,
        "user_id": user,
        "item_id": item,
        "ingest_time_us": NOW_US,
    }
    return Event(**{**given, **more})
