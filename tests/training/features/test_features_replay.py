import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from penchant.events import EVENT_TYPES
from penchant.features import FeatureSchema, UserFeatures, entity
from penchant.ids import key
from training.data.dataset import Attributes, Dataset, EventTable
from training.evaluation.protocol import event_columns
from training.features import replay
from training.features.cli import main
from training.features.offline import write_offline
from training.features.replay import replay_items, replay_users

TYPES = ["view", "click", "rating", "hide", "search", "impression", "purchase"]


def dataset(users: int = 12, items: int = 30, events: int = 4000, seed: int = 0) -> Dataset:
    rng = np.random.default_rng(seed)
    times = np.sort(rng.integers(1, 60 * 86_400, events)) * 1_000_000
    times[1::7] = times[::7][: len(times[1::7])]
    types = rng.integers(0, len(TYPES), events)
    values = np.where(types == 2, rng.integers(1, 11, events) / 2, np.nan)
    table = EventTable(
        rng.integers(0, users - 1, events).astype(np.int32),
        np.where(types == 4, -1, rng.integers(0, items - 2, events)).astype(np.int32),
        np.sort(times), types.astype(np.int8), values.astype(np.float32), np.arange(events, dtype=np.int64),
    )  # fmt: skip
    return Dataset(
        "tiny", [f"u{i}" for i in range(users)], [f"i{i}" for i in range(items)], TYPES, table,
        Attributes(
            categorical={"colour": [("red", "")[i % 2] for i in range(items)]},
            multi={"tags": [("a", "b")[: i % 3] for i in range(items)]},
            numeric={"price": np.where(np.arange(items) % 4, np.arange(items), np.nan).astype(np.float32)},
        ),
        Attributes(categorical={"plan": [("free", "paid", "")[i % 3] for i in range(users)]}), True, {}, {}, Path("."),
    )  # fmt: skip


SCHEMA = FeatureSchema.default(
    has_times=True, has_values=True, item_attributes={}, user_attributes={}, value_bounds={"rating": (1.0, 4.0)}
)


def event_by_event(data: Dataset, index: np.ndarray, user: int) -> dict:
    columns = event_columns(data)
    features = UserFeatures.empty(SCHEMA)
    for i in index[data.events.users[index] == user]:
        one = slice(i, i + 1)
        features.apply_columns(columns.item_keys[one], columns.types[one], columns.values[one], columns.times[one])
    return features.to_stored()


@pytest.mark.parametrize("limit", [10_000, 15])
def test_the_replay_of_all_equals_each_user_event_by_event(limit, monkeypatch):
    monkeypatch.setattr(entity, "SEEN_LENGTH", limit)
    monkeypatch.setattr(replay, "SEEN_LENGTH", limit)
    data = dataset()
    index = np.arange(3500)
    found = replay_users(data, index, SCHEMA)
    assert found.users.tolist() == sorted(set(data.events.users[index].tolist()))
    for row, user in enumerate(found.users.tolist()):
        expected = event_by_event(data, index, user)
        assert found.keys[row] == key("", f"u{user}")
        for name in ("history_keys", "history_times", "history_types", "history_values", "seen_keys", "hidden_keys"):
            got = getattr(found, name).row(row)
            assert np.array_equal(got, expected[name], equal_nan=name == "history_values"), name
        assert np.allclose(found.counters_state[row], expected["counters_state"], rtol=1e-9)
        assert found.state_time_us[row] == expected["state_time_us"]


def test_item_counters_count_every_event_of_the_item():
    data = dataset()
    found = replay_items(data, np.arange(len(data.events)), SCHEMA)
    place = [slot.name for slot in SCHEMA.slots].index("all")
    for row, item_key in enumerate(found.keys.tolist()):
        item = next(i for i, id_ in enumerate(data.item_ids) if key("", id_) == item_key)
        assert found.counters_state[row, place] == (data.events.items == item).sum()


def test_each_view_is_a_parquet_file_in_microseconds(tmp_path):
    data = dataset()
    rows = write_offline(data, np.arange(3000), SCHEMA, 10**15, tmp_path)
    assert rows == {
        "user_sequences": 11, "user_counters": 11, "user_attributes": 8, "user_identity": 0, "user_lowered": 11,
        "user_text": 0, "item_counters": 28, "item_attributes": 30,
    }  # fmt: skip
    for view in rows:
        table = pq.read_table(tmp_path / f"{view}.parquet")
        assert table.num_rows == rows[view]
        assert str(table.schema.field("event_time").type) == "timestamp[us, tz=UTC]"
    items = pq.read_table(tmp_path / "item_attributes.parquet").to_pylist()
    described = {row["item_id"]: json.loads(row["attributes_json"]) for row in items}
    assert described["i2"] == {"colour": "red", "tags": ["a", "b"], "price": 2.0}
    assert described["i3"] == {"price": 3.0}
    users = pq.read_table(tmp_path / "user_attributes.parquet").to_pylist()
    assert {json.loads(row["attributes_json"])["plan"] for row in users} == {"free", "paid"}


def test_past_states_are_written_for_the_asked_number_of_users(tmp_path):
    data = dataset(events=200)
    rows = write_offline(data, np.arange(200), SCHEMA, 10**15, tmp_path, history_users=2)
    distinct = sum(len(np.unique(data.events.times[data.events.users == user])) for user in (0, 1))
    assert rows["user_counters"] == 11 - 2 + distinct
    table = pq.read_table(tmp_path / "user_counters.parquet").to_pylist()
    last = max((row for row in table if row["user_key"] == key("", "u0")), key=lambda row: row["event_time"])
    assert np.allclose(last["counters_state"], event_by_event(data, np.arange(200), 0)["counters_state"])


def test_an_event_type_has_a_code_below_the_tables_size():
    assert max(kind.code for kind in EVENT_TYPES.values()) < 256


def test_without_a_bundle_the_remedy_is_said(tmp_path, capsys):
    status = main(["--data", str(tmp_path), "--bundles", str(tmp_path), "--out", str(tmp_path / "out")])
    assert status == 2
    assert "python -m training fit" in capsys.readouterr().err
