"""Penchant's own Feast repository, from a data set's replay to the online store, with the real SDK."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_repo.__main__ import main
from feature_repo.compile import compile_plan
from feature_repo.materialize import materialize
from feature_repo.repository import connection_string, open_repository
from penchant.errors import ConfigError, DataError
from penchant.features import UserFeatures
from penchant.features.plan import Plan
from penchant.ids import key
from services.feature_store.column import Status
from services.feature_store.connection import RedisAddress
from services.feature_store.leaf import FeatureStore
from services.feature_store.redis_store import RedisOnlineStore
from services.feature_store.sdk_store import SdkOnlineStore
from training.evaluation.protocol import event_columns

for folder in ("training/features", "services/feature_store"):
    sys.path.insert(0, str(Path(__file__).parents[1] / folder))
from store_world import event, penchant_plan  # noqa: E402
from test_features_replay import SCHEMA, dataset  # noqa: E402

from training.features.offline import write_offline  # noqa: E402

DATA = dataset(events=900)
INDEX = np.arange(800)
CUT_US = int(DATA.events.times[INDEX].max())
AFTER_US = CUT_US + 3_600_000_000


@pytest.fixture(scope="module")
def world(tmp_path_factory, new_redis):
    """Offline files, registry, plan and a materialised store."""
    offline, url = tmp_path_factory.mktemp("offline"), new_redis()
    rows = write_offline(DATA, INDEX, SCHEMA, CUT_US, offline, history_users=3)
    common = ["--redis", url, "--offline", str(offline)]
    assert main(["apply", *common, "--plan", str(offline / "plan.json")]) == 0
    assert main(["materialize", *common]) == 0
    return offline, url, rows


@pytest.fixture
def online(world):
    offline, url, _ = world
    return RedisOnlineStore(Plan.read(offline / "plan.json"), RedisAddress.parse(url))


def states_up_to(user: int, time_us: int) -> dict:
    columns = event_columns(DATA)
    mine = INDEX[(DATA.events.users[INDEX] == user) & (columns.times[INDEX] <= time_us)]
    features = UserFeatures.empty(SCHEMA)
    features.apply_columns(columns.item_keys[mine], columns.types[mine], columns.values[mine], columns.times[mine])
    return features.to_stored()


def test_the_compiled_plan_is_the_one_the_services_tests_use(world):
    compiled, written_by_hand = Plan.read(world[0] / "plan.json"), penchant_plan()
    assert compiled.services == written_by_hand.services
    assert compiled.skipped == {}
    for name, view in written_by_hand.views.items():
        assert compiled.views[name] == view
        assert compiled.views[name].key_prefix == view.key_prefix


async def test_what_was_materialised_is_the_replay(online, world, tmp_path):
    leaf = FeatureStore(online, lambda: SCHEMA, str(tmp_path))
    await leaf.start(AFTER_US)
    users = [*range(11), 99]
    fetched = await leaf.fetch_users(np.array([key("", f"u{u}") for u in users]), AFTER_US, 0, 2.0)
    for user, found in zip(users[:-1], fetched.users, strict=False):
        expected = UserFeatures.from_stored(SCHEMA, states_up_to(user, CUT_US))
        expected.set_attributes({"plan": ("free", "paid", "")[user % 3]})
        state = expected.state(found.user_key, AFTER_US)
        assert found.found
        for name in ("history_keys", "history_times", "history_types", "seen_keys", "hidden_keys"):
            assert np.array_equal(getattr(found, name), getattr(state, name)), name
        assert np.allclose(found.dense, state.dense, atol=1e-5)
    assert not fetched.users[-1].found
    columns = dict(await leaf.fetch_features("item_state", np.array([key("", "i2")]), AFTER_US, 2.0))
    assert columns["item_attributes:item_id"].cell(0) == "i2"
    assert json.loads(columns["item_attributes:attributes_json"].cell(0))["tags"] == ["a", "b"]
    await leaf.stop()


def test_feasts_point_in_time_join_gives_the_replayed_state(world):
    store = open_repository(world[1], world[0])
    moments = [(user, int(t)) for user in range(3) for t in np.linspace(CUT_US / 5, CUT_US, 7)]
    entities = pd.DataFrame(
        {
            "user_key": [key("", f"u{user}") for user, _ in moments],
            "event_timestamp": pd.to_datetime([t for _, t in moments], unit="us", utc=True).as_unit("us"),
        }
    )
    asked = ["user_sequences:history_keys", "user_sequences:seen_keys", "user_counters:counters_state"]
    joined = store.get_historical_features(entities, asked).to_df()
    assert len(joined) == len(moments)
    for user, t in moments:
        stamp = pd.Timestamp(t, unit="us", tz="UTC")
        (row,) = joined[(joined.user_key == key("", f"u{user}")) & (joined.event_timestamp == stamp)].to_dict("records")
        expected = states_up_to(user, t)
        assert np.array_equal(row["history_keys"], expected["history_keys"])
        assert np.array_equal(row["seen_keys"], expected["seen_keys"])
        assert np.allclose(row["counters_state"], expected["counters_state"], rtol=1e-9)


async def test_live_events_go_on_from_what_was_materialised_and_outlast_a_second_load(online, world, tmp_path):
    leaf = FeatureStore(online, lambda: SCHEMA, str(tmp_path))
    await leaf.start(AFTER_US)
    live = event("u5", "i3", event_time_us=AFTER_US)
    await leaf.write_events([live], AFTER_US)
    assert main(["materialize", "--redis", world[1], "--offline", str(world[0])]) == 0
    fetched = await leaf.fetch_users(np.array([key("", "u5")]), AFTER_US, 0, 2.0)
    before = states_up_to(5, CUT_US)["history_keys"].tolist()
    assert fetched.users[0].history_keys.tolist() == [*before, key("", "i3")]
    await leaf.stop()


def test_feasts_own_client_reads_what_was_loaded(world):
    from feast import FeatureStore as Feast

    store = Feast(repo_path=str(world[0]))
    answer = store.get_online_features(["item_attributes:item_id"], [{"item_key": key("", "i4")}]).to_dict()
    assert answer["item_id"] == ["i4"]


async def test_the_leaf_runs_on_feasts_sdk_alike(world, new_redis, tmp_path):
    offline = tmp_path / "sdk"
    assert main(["apply", "--redis", new_redis(), "--offline", str(offline), "--plan", str(offline / "plan.json")]) == 0
    leaf = FeatureStore(SdkOnlineStore.open(Plan.read(offline / "plan.json"), offline), lambda: SCHEMA, str(tmp_path))
    await leaf.start(AFTER_US)
    for n in range(3):
        await leaf.write_events([event("u", f"i{n}", event_time_us=AFTER_US - n)], AFTER_US)
    fetched = await leaf.fetch_users(np.array([key("", "u"), 5]), AFTER_US, 3, 5.0)
    assert fetched.users[0].history_keys.tolist() == [key("", f"i{n}") for n in (2, 1, 0)]
    assert [user.found for user in fetched.users] == [True, False]
    await leaf.stop()


async def test_a_repository_of_ones_own_is_served_beside(world, online, new_redis, tmp_path):
    from feast import Entity, FeatureService, FeatureView, Field, FileSource
    from feast import FeatureStore as Feast
    from feast.types import Float32, Int64, String
    from feast.value_type import ValueType

    url, folder = new_redis(), tmp_path / "shop"
    open_repository(url, folder)
    settings = folder / "feature_store.yaml"
    settings.write_text(settings.read_text().replace("project: penchant", "project: shop"))
    theirs = Feast(repo_path=str(folder))
    driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
    schema = [Field(name=n, dtype=t) for n, t in (("driver_id", Int64), ("rating", Float32), ("city", String))]
    source = FileSource(name="s", path=str(folder / "drivers.parquet"), timestamp_field="event_timestamp")
    view = FeatureView(name="drivers", entities=[driver], schema=schema, source=source)
    theirs.apply([driver, view, FeatureService(name="driver_facts", features=[view])])
    when = pd.Timestamp("2026-01-01", tz="UTC")
    theirs.write_to_online_store(
        "drivers", pd.DataFrame({"driver_id": [7], "rating": [4.5], "city": ["Ulm"], "event_timestamp": [when]})
    )
    assert main(["compile", "--repository", str(folder), "--plan", str(folder / "plan.json")]) == 0
    other = RedisOnlineStore(Plan.read(folder / "plan.json"), RedisAddress.parse(url))
    leaf = FeatureStore(online, lambda: SCHEMA, str(tmp_path / "log"), others=[other])
    columns = dict(await leaf.fetch_features("driver_facts", np.array([7, 8]), AFTER_US, 2.0))
    assert columns["drivers:rating"].cells() == [4.5, None]
    assert columns["drivers:city"].cells() == ["Ulm", None]
    assert columns["drivers:city"].statuses.tolist() == [Status.PRESENT, Status.NOT_FOUND]
    await leaf.stop()


def test_a_missing_file_and_a_wrong_time_unit_are_said(world, tmp_path):
    store = open_repository(world[1], tmp_path)
    plan = Plan.read(world[0] / "plan.json")
    with pytest.raises(DataError, match="no such file: write it with `python -m training features`"):
        materialize(store, plan, tmp_path)
    for view in plan.views:
        table = pq.read_table(world[0] / f"{view}.parquet")
        if view == "item_attributes":
            nanos = pa.array([datetime(2026, 1, 1, tzinfo=UTC)] * table.num_rows, pa.timestamp("ns", "UTC"))
            table = table.set_column(1, "event_time", nanos)
        pq.write_table(table, tmp_path / f"{view}.parquet")
    with pytest.raises(DataError, match=r"event_time\]: times are in ns: write microseconds"):
        materialize(store, plan, tmp_path)


def test_an_older_registry_gives_another_checksum(world, tmp_path):
    store = open_repository(world[1], tmp_path)
    first = compile_plan(store)
    assert first.views == {}
    assert first.registry_sha256 != Plan.read(world[0] / "plan.json").registry_sha256


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://h:7/3", "h:7,db=3"),
        ("redis://:true@h", 'h:6379,db=0,password="true"'),
        ("rediss://u:1e5@h:7", 'h:7,db=0,ssl=true,username="u",password="1e5"'),
        ("unix:///run/r.sock?db=2", "localhost:0,unix_socket_path=/run/r.sock,db=2"),
    ],
)
def test_feasts_connection_string(url, expected):
    assert connection_string(url) == expected


@pytest.mark.parametrize("url", ["h:6379", "redis://:a%2Cb@h"])
def test_what_feast_cannot_express_is_refused(url):
    with pytest.raises(ConfigError, match="--redis"):
        connection_string(url)


def test_the_store_can_be_named_by_the_environment(world, tmp_path, monkeypatch):
    monkeypatch.setenv("PENCHANT_FEATURE_STORE__REDIS", world[1])
    assert main(["apply", "--offline", str(tmp_path), "--plan", str(tmp_path / "plan.json")]) == 0
    assert connection_string(world[1]) in (tmp_path / "feature_store.yaml").read_text()


def test_an_unusable_redis_is_status_2(tmp_path, capsys):
    assert main(["apply", "--redis", "localhost", "--offline", str(tmp_path), "--plan", str(tmp_path / "p")]) == 2
    assert "redis://host:port/db" in capsys.readouterr().err
