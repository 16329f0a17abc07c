"""Feast's own SDK and the direct store, over every supported type, null and missing, both ways and byte for byte."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from penchant.features.plan import DTYPES
from services.feature_store.column import Column, Status
from services.feature_store.connection import RedisAddress
from services.feature_store.redis_store import RedisOnlineStore

feast = pytest.importorskip("feast")

from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, RepoConfig  # noqa: E402
from feast import types as feast_types  # noqa: E402
from feast.protos.feast.types.EntityKey_pb2 import EntityKey  # noqa: E402
from feast.protos.feast.types.Value_pb2 import Value  # noqa: E402
from feast.type_map import python_values_to_proto_values  # noqa: E402
from feast.value_type import ValueType  # noqa: E402

from feature_repo.compile import compile_plan  # noqa: E402
from feature_repo.repository import connection_string  # noqa: E402
from services.feature_store.sdk_store import SdkOnlineStore  # noqa: E402

WHEN = datetime(2026, 3, 4, 5, 6, 7, 891011, tzinfo=UTC)
WHEN_US = int(WHEN.timestamp()) * 1_000_000 + 891011
SAMPLES: dict[str, list] = {
    "int32": [0, 1, -1, 2**31 - 1, -(2**31)],
    "int64": [0, 300, -1, 2**63 - 1, -(2**63)],
    "float32": [0.0, 1.5, -2.25, np.float32(3.4e38), np.inf],
    "float64": [0.0, 1.1, -2.2, 1e300, -np.inf],
    "bool": [True, False, True, True, False],
    "string": ["", "plain", "naïve ☃", "x" * 300, "a\0b"],
    "bytes": [b"", b"\x00\xff", b"abc", b"y" * 200, b"\n"],
    "unix_timestamp": [0, 1, 1_700_000_000, 4_000_000_000, 253402300799],
}
ARRAYS: dict[str, list] = {
    f"{name}[]": [[], values[:1], values, values[::-1] * 30, values[1:2] * 2] for name, values in SAMPLES.items()
}
CELLS = SAMPLES | ARRAYS
FEAST = {
    "int32": "Int32", "int64": "Int64", "float32": "Float32", "float64": "Float64", "bool": "Bool",
    "string": "String", "bytes": "Bytes", "unix_timestamp": "UnixTimestamp",
}  # fmt: skip
VALUE_TYPES = {
    "int32": "INT32", "int64": "INT64", "float32": "FLOAT", "float64": "DOUBLE", "bool": "BOOL",
    "string": "STRING", "bytes": "BYTES", "unix_timestamp": "UNIX_TIMESTAMP",
}  # fmt: skip
ENTITIES = np.array([1, -5, 2**62, 77, -(2**63)], np.int64)


def feature_name(dtype: str) -> str:
    return "f_" + dtype.replace("[]", "_list")


def feast_type(dtype: str):
    element = getattr(feast_types, FEAST[dtype.removesuffix("[]")])
    return feast_types.Array(element) if dtype.endswith("[]") else element


@pytest.fixture(scope="module")
def repository(tmp_path_factory, new_redis):
    """A user's own Feast repository with every type, a view that ages out, and what cannot be served."""
    folder = tmp_path_factory.mktemp("repo")
    config = RepoConfig(
        project="shop",
        provider="local",
        registry=str(folder / "registry.db"),
        online_store={"type": "redis", "connection_string": connection_string(new_redis()), "skip_dedup": True},
        offline_store={"type": "duckdb"},
        entity_key_serialization_version=3,
        repo_path=folder,
    )
    store = FeatureStore(config=config)
    entity = Entity(name="thing", join_keys=["thing_id"], value_type=ValueType.INT64)
    other = Entity(name="word", join_keys=["word"], value_type=ValueType.STRING)

    def view(name, entities, fields, ttl=timedelta(0)):
        path = folder / f"{name}.parquet"
        keys = [
            Field(name=e.join_key, dtype=feast_types.Int64 if e is entity else feast_types.String) for e in entities
        ]
        source = FileSource(name=name, path=str(path), timestamp_field="event_time")
        return FeatureView(name=name, entities=entities, ttl=ttl, schema=[*keys, *fields], source=source)

    everything = view("everything", [entity], [Field(name=feature_name(d), dtype=feast_type(d)) for d in DTYPES])
    aging = view("aging", [entity], [Field(name="price", dtype=feast_types.Float64)], timedelta(hours=1))
    words = view("words", [other], [Field(name="count", dtype=feast_types.Int64)])
    crossed = view("crossed", [entity, other], [Field(name="score", dtype=feast_types.Float32)])
    services = [
        FeatureService(name="all_types", features=[everything]),
        FeatureService(name="prices", features=[aging, everything[["f_int64"]]]),
        FeatureService(name="with_words", features=[words]),
    ]
    store.apply([entity, other, everything, aging, words, crossed, *services])
    return store


@pytest.fixture(scope="module")
def plan(repository):
    return compile_plan(repository)


@pytest.fixture
def raw(repository):
    client = repository._get_provider().online_store._get_client(repository.config.online_store)
    client.flushdb()
    return client


def address(repository) -> RedisAddress:
    client = repository._get_provider().online_store._get_client(repository.config.online_store)
    options = client.connection_pool.connection_kwargs
    return RedisAddress.parse(f"redis://{options['host']}:{options['port']}/{options['db']}")


def stores(repository, plan):
    return {"direct": RedisOnlineStore(plan, address(repository)), "sdk": SdkOnlineStore(plan, repository)}


@pytest.fixture(params=["direct", "sdk"])
async def online(request, repository, plan, raw):
    store = stores(repository, plan)[request.param]
    yield store
    await store.close()


def sdk_write(repository, view: str, rows: list[dict[str, Value]], keys=ENTITIES, when=WHEN) -> None:
    data = [
        (EntityKey(join_keys=["thing_id"], entity_values=[Value(int64_val=int(key))]), row, when, None)
        for key, row in zip(keys, rows, strict=True)
    ]
    provider = repository._get_provider()
    provider.online_write_batch(repository.config, repository.get_feature_view(view), data, None)


def feast_values(dtype: str, cells: list) -> list[Value]:
    suffix = "_LIST" if dtype.endswith("[]") else ""
    kind = ValueType[VALUE_TYPES[dtype.removesuffix("[]")] + suffix]
    if dtype.startswith("unix_timestamp"):

        def stamp(seconds):
            return datetime.fromtimestamp(seconds, UTC)

        cells = [None if c is None else [stamp(s) for s in c] if suffix else stamp(c) for c in cells]
    return python_values_to_proto_values(cells, kind)


def row_values(cells_of) -> list[dict[str, Value]]:
    columns = {feature_name(d): feast_values(d, cells_of(d)) for d in DTYPES}
    return [{name: values[i] for name, values in columns.items()} for i in range(len(ENTITIES))]


def same(dtype: str, found, expected) -> bool:
    if expected is None or found is None:
        return found is None and expected is None
    if dtype.endswith("[]") and not dtype.startswith(("string", "bytes")):
        return found.dtype == Column.of(dtype, [expected]).values.dtype and np.array_equal(
            found, np.array(expected, found.dtype)
        )
    if dtype == "float32":
        return np.float32(found) == np.float32(expected)
    return found == expected


def hashes(raw) -> dict[bytes, dict[bytes, bytes]]:
    return {key: raw.hgetall(key) for key in raw.keys("*")}


async def test_what_the_sdk_writes_is_read_back_in_every_type(repository, online):
    sdk_write(repository, "everything", row_values(CELLS.__getitem__))
    columns = await online.read([f"everything:{feature_name(d)}" for d in DTYPES], ENTITIES, WHEN_US)
    for dtype, column in zip(DTYPES, columns, strict=True):
        assert column.dtype == dtype
        for i, expected in enumerate(CELLS[dtype]):
            assert column.statuses[i] == Status.PRESENT, (dtype, i)
            assert same(dtype, column.cell(i), expected), (dtype, i, column.cell(i), expected)


async def test_the_direct_store_writes_the_same_bytes_as_the_sdk(repository, plan, raw):
    sdk_write(repository, "everything", row_values(CELLS.__getitem__))
    written_by_feast = hashes(raw)
    raw.flushdb()
    store = stores(repository, plan)["direct"]
    columns = {f"everything:{feature_name(d)}": Column.of(d, CELLS[d]) for d in DTYPES}
    await store.write(ENTITIES, columns, {"everything": np.full(len(ENTITIES), WHEN_US)})
    assert hashes(raw) == written_by_feast
    await store.close()


async def test_null_is_the_same_bytes_and_is_told_from_missing(repository, plan, raw, online):
    nothing = {f"everything:{feature_name(d)}": Column.of(d, [None] * len(ENTITIES)) for d in DTYPES}
    sdk_write(repository, "everything", row_values(lambda dtype: [None] * len(ENTITIES)))
    written_by_feast = hashes(raw)
    raw.flushdb()
    await online.write(ENTITIES, nothing, {"everything": np.full(len(ENTITIES), WHEN_US)})
    assert hashes(raw) == written_by_feast
    asked = np.array([*ENTITIES, 424242])
    for dtype, column in zip(DTYPES, await online.read(list(nothing), asked, WHEN_US), strict=True):
        assert column.statuses.tolist() == [Status.NULL] * len(ENTITIES) + [Status.NOT_FOUND], dtype
        assert all(column.cell(i) is None for i in range(len(asked)))


async def test_what_is_written_is_read_by_feasts_own_call(repository, plan, online):
    columns = {f"everything:{feature_name(d)}": Column.of(d, CELLS[d]) for d in DTYPES}
    await online.write(ENTITIES, columns, {"everything": np.full(len(ENTITIES), WHEN_US)})
    answer = repository.get_online_features(list(columns), [{"thing_id": int(key)} for key in ENTITIES]).to_dict()
    for dtype in DTYPES:
        for i, (found, expected) in enumerate(zip(answer[feature_name(dtype)], CELLS[dtype], strict=True)):
            if dtype == "unix_timestamp":
                found = int(found.timestamp())
            elif dtype == "unix_timestamp[]":
                found = [int(one.timestamp()) for one in found]
            if dtype.startswith("float32"):
                assert np.array_equal(np.float32(found), np.float32(expected)), (dtype, i)
            else:
                assert found == expected, (dtype, i)


async def test_nan_is_null_as_feast_has_it_and_stays_inside_arrays(repository, plan, raw, online):
    sdk_write(repository, "aging", [{"price": v} for v in feast_values("float64", [1.0, np.nan, 2.0, None, np.nan])])
    (sdk_written,) = await online.read(["aging:price"], ENTITIES, WHEN_US)
    await online.write(
        ENTITIES,
        {"aging:price": Column.of("float64", [1.0, np.nan, 2.0, None, np.nan])},
        {"aging": np.full(len(ENTITIES), WHEN_US)},
    )
    (ours,) = await online.read(["aging:price"], ENTITIES, WHEN_US)
    expected = [Status.PRESENT, Status.NULL, Status.PRESENT, Status.NULL, Status.NULL]
    assert sdk_written.statuses.tolist() == expected
    assert ours.statuses.tolist() == expected
    name = "everything:f_float32_list"
    await online.write(
        ENTITIES[:1], {name: Column.of("float32[]", [[1.0, np.nan]])}, {"everything": np.array([WHEN_US])}
    )
    (column,) = await online.read([name], ENTITIES[:1], WHEN_US)
    assert np.array_equal(column.cell(0), np.float32([1.0, np.nan]), equal_nan=True)


async def test_a_value_older_than_the_ttl_is_outside_max_age(repository, online):
    sdk_write(repository, "aging", [{"price": Value(double_val=2.5)}] * len(ENTITIES))
    for after_s, expected in ((3600, Status.PRESENT), (3601, Status.OUTSIDE_MAX_AGE)):
        (column,) = await online.read(["aging:price"], ENTITIES, WHEN_US + after_s * 1_000_000)
        assert set(column.statuses.tolist()) == {expected}
        assert column.values.tolist() == [2.5] * len(ENTITIES)


async def test_views_of_one_entity_have_statuses_of_their_own(repository, online):
    await online.write(ENTITIES[:1], {"aging:price": Column.of("float64", [1.0])}, {"aging": np.array([WHEN_US])})
    price, number, unwritten = await online.read(
        ["aging:price", "everything:f_int64", "everything:f_string"], ENTITIES[:2], WHEN_US
    )
    assert price.statuses.tolist() == [Status.PRESENT, Status.NOT_FOUND]
    assert number.statuses.tolist() == [Status.NOT_FOUND, Status.NOT_FOUND]
    await online.write(
        ENTITIES[:1], {"everything:f_int64": Column.of("int64", [4])}, {"everything": np.array([WHEN_US])}
    )
    _, number, unwritten = await online.read(
        ["aging:price", "everything:f_int64", "everything:f_string"], ENTITIES[:2], WHEN_US
    )
    assert number.statuses.tolist() == [Status.PRESENT, Status.NOT_FOUND]
    assert unwritten.statuses.tolist() == [Status.NULL, Status.NOT_FOUND]


async def test_an_older_or_equal_time_still_overwrites(online):
    for value, when in ((1.0, WHEN_US), (2.0, WHEN_US), (3.0, WHEN_US - 5)):
        await online.write(ENTITIES[:1], {"aging:price": Column.of("float64", [value])}, {"aging": np.array([when])})
        (column,) = await online.read(["aging:price"], ENTITIES[:1], WHEN_US)
        assert column.cell(0) == value


async def test_no_entities_give_empty_columns(online):
    empty = np.empty(0, np.int64)
    columns = await online.read([f"everything:{feature_name(d)}" for d in DTYPES], empty, WHEN_US)
    assert [len(column) for column in columns] == [0] * len(DTYPES)
    await online.write(empty, {"aging:price": Column.of("float64", [])}, {"aging": empty})


def test_the_plan_says_what_it_leaves_out(plan):
    assert set(plan.views) == {"everything", "aging"}
    assert "only int64" in plan.skipped["words"]
    assert "exactly one" in plan.skipped["crossed"]
    assert "words:count" in plan.skipped["service with_words"]
    assert plan.services["prices"] == ("aging:price", "everything:f_int64")
    assert plan.views["aging"].ttl_s == 3600.0


def test_the_plan_survives_its_file(plan, tmp_path):
    plan.write(tmp_path / "plan.json")
    assert type(plan).read(tmp_path / "plan.json") == plan


async def test_another_type_than_planned_is_refused_with_the_remedy(repository, plan, raw):
    sdk_write(repository, "aging", [{"price": Value(int64_val=3)}] * len(ENTITIES))
    store = stores(repository, plan)["direct"]
    with pytest.raises(Exception, match=r"aging:price is stored with another type than float64.*apply"):
        await store.read(["aging:price"], ENTITIES, WHEN_US)
    await store.close()
