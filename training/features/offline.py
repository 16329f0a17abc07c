"""Replayed features as parquet by Feast view: <out>/<view>.parquet, times in microseconds."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from penchant.features import STORED_ITEM_FEATURES, STORED_USER_FEATURES, FeatureSchema, UserFeatures
from penchant.ids import key, keys
from training.data.dataset import Attributes, Dataset
from training.evaluation.protocol import TENANT, event_columns, user_attributes
from training.features.replay import Lists, ReplayedUsers, replay_items, replay_users

EVENT_TIME = "event_time"
_TYPES: dict[str, pa.DataType] = {
    "int64": pa.int64(),
    "string": pa.string(),
    "int64[]": pa.list_(pa.int64()),
    "float32[]": pa.list_(pa.float32()),
    "float64[]": pa.list_(pa.float64()),
}


def write_offline(
    dataset: Dataset, index: NDArray[np.int64], schema: FeatureSchema, cut_us: int, out: Path, history_users: int = 0
) -> dict[str, int]:
    """Write every view as of the events of `index`; rows by view. Attributes are as of cut_us.

    history_users: for that many users (the first by place) one row an event time instead of the last state alone, so
    that Feast's point-in-time join has something to join.
    """
    out.mkdir(parents=True, exist_ok=True)
    users = replay_users(dataset, index, schema)
    rows = {
        "user_sequences": _user_table("user_sequences", users, schema),
        "user_counters": _user_table("user_counters", users, schema),
        "user_lowered": _user_table("user_lowered", users, schema),
    }
    if history_users:
        chosen = users.users[:history_users]
        states = list(_states_over_time(dataset, index, schema, chosen))
        for view, table in rows.items():
            rest = table.filter(pa.array(~np.isin(users.users, chosen)))
            rows[view] = pa.concat_tables([_state_table(view, states), rest]).combine_chunks()
    nobody = np.empty(0, np.int64)
    rows["user_text"] = _table("user_text", nobody, nobody, {"recent_texts_json": []})
    rows["user_identity"] = _table("user_identity", nobody, nobody, {"merged_into": nobody})
    rows["user_attributes"] = _user_attributes(dataset, cut_us)
    items = replay_items(dataset, index, schema)
    rows["item_counters"] = _table(
        "item_counters",
        items.keys,
        items.state_time_us,
        {
            "counters_state": [schema.stored_slots(slots) for slots in items.counters_state],
            "state_time_us": items.state_time_us,
            "applied_position": np.zeros(len(items.keys), np.int64),
        },
    )
    rows["item_attributes"] = _item_attributes(dataset, index, cut_us)
    for view, table in rows.items():
        temporary = out / f".{view}.parquet.new"
        pq.write_table(table, temporary)
        temporary.replace(out / f"{view}.parquet")
    return {view: table.num_rows for view, table in rows.items()}


def _table(view: str, entity_keys: NDArray[np.int64], times: NDArray[np.int64], columns: Mapping[str, Any]) -> pa.Table:
    join_key = f"{view.split('_')[0]}_key"
    arrays: dict[str, pa.Array] = {
        join_key: pa.array(entity_keys, pa.int64()),
        EVENT_TIME: pa.array(times, pa.timestamp("us", tz="UTC")),
    }
    for stored in (*STORED_USER_FEATURES, *STORED_ITEM_FEATURES):
        if stored.view == view:
            arrays[stored.name] = _array(columns[stored.name], _TYPES[stored.dtype])
    return pa.table(arrays)


def _array(values: Any, kind: pa.DataType) -> pa.Array:
    if isinstance(values, Lists):
        return pa.ListArray.from_arrays(pa.array(values.offsets, pa.int32()), pa.array(values.values, kind.value_type))
    return pa.array(values, kind)


def _user_table(view: str, users: ReplayedUsers, schema: FeatureSchema) -> pa.Table:
    columns = {name: getattr(users, name) for name in users.__slots__}
    columns["counters_state"] = [schema.stored_slots(slots) for slots in users.counters_state]
    columns["applied_position"] = np.zeros(len(users.keys), np.int64)
    return _table(view, users.keys, users.state_time_us, columns)


def _states_over_time(
    dataset: Dataset, index: NDArray[np.int64], schema: FeatureSchema, chosen: NDArray[np.int64]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """User key and stored state after each distinct event time of the chosen users."""
    columns = event_columns(dataset)
    for user in chosen.tolist():
        mine = index[dataset.events.users[index] == user]
        user_key = key(TENANT, dataset.user_ids[user])
        features = UserFeatures.empty(schema)
        for block in np.split(mine, np.flatnonzero(np.diff(columns.times[mine])) + 1):
            features.apply_columns(
                columns.item_keys[block], columns.types[block], columns.values[block], columns.times[block]
            )
            yield user_key, features.to_stored()


def _state_table(view: str, states: Sequence[tuple[int, dict[str, Any]]]) -> pa.Table:
    columns = {s.name: [state[s.name] for _, state in states] for s in STORED_USER_FEATURES}
    times = np.array(columns["state_time_us"], np.int64)
    return _table(view, np.array([user_key for user_key, _ in states], np.int64), times, columns)


def _user_attributes(dataset: Dataset, cut_us: int) -> pa.Table:
    described = {
        user: attributes for user in range(len(dataset.user_ids)) if (attributes := user_attributes(dataset, user))
    }
    return _table(
        "user_attributes",
        keys(TENANT, [dataset.user_ids[user] for user in described]),
        np.full(len(described), cut_us, np.int64),
        {"attributes_json": [json.dumps(attributes, sort_keys=True) for attributes in described.values()]},
    )


def _item_attributes(dataset: Dataset, index: NDArray[np.int64], cut_us: int) -> pa.Table:
    """Every item with an event, and every other not known to be created after the cut."""
    count = len(dataset.item_ids)
    events = dataset.events
    acted = index[events.items[index] >= 0]
    first = np.full(count, np.iinfo(np.int64).max)
    np.minimum.at(first, events.items[acted], events.times[acted])
    seen = first < np.iinfo(np.int64).max
    created = np.where(seen, first, 0) if dataset.created_us is None else dataset.created_us
    chosen = np.flatnonzero(seen | (created <= cut_us)).tolist()
    return _table(
        "item_attributes",
        keys(TENANT, [dataset.item_ids[item] for item in chosen]),
        np.full(len(chosen), cut_us, np.int64),
        {
            "item_id": [dataset.item_ids[item] for item in chosen],
            "attributes_json": [json.dumps(_attributes(dataset.items, item), sort_keys=True) for item in chosen],
            "created_us": created[chosen],
            "available": np.ones(len(chosen), np.int64),
        },
    )


def _attributes(items: Attributes, item: int) -> dict[str, Any]:
    """An item's attributes as WriteItems would have them; missing ones are left out."""
    texts = {name: values[item] for name, values in {**items.categorical, **items.text}.items() if values[item]}
    tags = {name: list(values[item]) for name, values in items.multi.items() if values[item]}
    numbers = {name: float(v[item]) for name, v in items.numeric.items() if not np.isnan(v[item])}
    return {**texts, **tags, **numbers}
