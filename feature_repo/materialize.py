"""Loads the offline parquet of every view into the online store, and counts what arrived."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from feast import FeatureStore

from feature_repo.definitions import EVENT_TIME
from penchant.errors import DataError
from penchant.features.plan import Plan, PlannedView

_COUNT_CHUNK = 1000


def materialize(
    store: FeatureStore, plan: Plan, offline: Path, progress: Callable[[str, int], None] = lambda view, rows: None
) -> dict[str, int]:
    """Rows by view, after each was found online. Raises DataError for a missing file or rows that did not arrive.

    A row older than what is online, such as one that live events have overtaken, stays unwritten: that is Feast's
    rule, and the newer values count as arrived.
    """
    counts = {}
    views = [view for view in plan.views.values() if (offline / f"{view.name}.parquet").is_file()]
    missing = sorted(set(plan.views) - {view.name for view in views})
    if missing:
        raise DataError(
            str(offline / f"{missing[0]}.parquet"), "no such file: write it with `python -m training features`"
        )
    for view in views:
        path = offline / f"{view.name}.parquet"
        keys = _checked_keys(path, view)
        newest = pq.read_table(path, columns=[EVENT_TIME])[EVENT_TIME].to_pylist()
        if keys:
            start = min(newest) - timedelta(seconds=1)
            end = max(*newest, datetime(1970, 1, 2, tzinfo=UTC)) + timedelta(seconds=1)
            store.materialize(start, end, feature_views=[view.name], disable_event_timestamp=False)
        found = count_online(store, plan, view, keys)
        if found != len(set(keys)):
            raise DataError(str(path), f"{len(set(keys))} entities were loaded, {found} are online: load it again")
        counts[view.name] = found
        progress(view.name, found)
    return counts


def _checked_keys(path: Path, view: PlannedView) -> list[int]:
    schema = pq.read_schema(path)
    for name in (view.join_key, EVENT_TIME, *(feature.name for feature in view.features)):
        if name not in schema.names:
            raise DataError(str(path), "the column is missing: write it with `python -m training features`", None, name)
    unit = schema.field(EVENT_TIME).type.unit
    if unit != "us":
        raise DataError(str(path), f"times are in {unit}: write microseconds", None, EVENT_TIME)
    keys: list[int] = pq.read_table(path, columns=[view.join_key])[view.join_key].to_pylist()
    return keys


def count_online(store: FeatureStore, plan: Plan, view: PlannedView, keys: list[int]) -> int:
    """How many of the entities the online store holds for a view."""
    client: Any = store._get_provider().online_store._get_client(store.config.online_store)
    suffix = plan.project.encode()
    distinct = sorted(set(keys))
    found = 0
    for start in range(0, len(distinct), _COUNT_CHUNK):
        with client.pipeline(transaction=False) as pipe:
            for key in distinct[start : start + _COUNT_CHUNK]:
                pipe.hexists(view.key_prefix + key.to_bytes(8, "little", signed=True) + suffix, view.timestamp_field)
            found += sum(pipe.execute())
    return found
