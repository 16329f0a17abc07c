"""python -m benchmarks.feast_reads: FetchFeatures against Feast's own SDK, on one Redis, in one run.

The very same feature views, 20 scalars and one array of 20 floats, of the same items: written by both (rows a second),
read by the SDK (`get_online_features`), by our store in process, and over gRPC from a running feature store. Rounds
take turns, so that all see the same machine.
"""

import argparse
import gc
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import uvloop

from benchmarks.load import quantiles
from benchmarks.report import finish
from benchmarks.stand import say
from penchant.errors import PenchantError
from penchant.features.plan import Plan
from penchant.v1 import feature_store_service_pb2 as messages
from services.feature_store.column import arrays, scalars
from services.feature_store.connection import RedisAddress
from services.feature_store.redis_store import RedisOnlineStore
from stack.layout import ROOT, free_layout
from stack.prepare import load_store
from stack.redis_server import redis_spec
from stack.steps import Steps
from stack.supervisor import Supervisor

NAME = "feast_reads"
_PORT = 53051
_WIDTH = 20
VIEWS = ("scalars", "dense")
Read = Callable[[list[int]], Awaitable[Any]]


async def measure(store: Any, plan: Plan, redis_url: str, address: str, options: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds a read by view and way, the ratios of their medians, and rows a second of the writes."""
    rng = np.random.default_rng(options.seed)
    ours = RedisOnlineStore(plan, RedisAddress.parse(redis_url), 2, 60.0)
    values = rng.random((options.items, _WIDTH)).astype(np.float32)
    written = {view: await _written(store, ours, view, values, options.sdk_rows) for view in VIEWS}
    found: dict[str, Any] = {"items": options.read, "features": _WIDTH, "rows_per_s": written}
    async with grpc.aio.insecure_channel(address, [("grpc.max_receive_message_length", 64 << 20)]) as channel:
        fetch: Any = channel.unary_unary(
            "/penchant.v1.FeatureStoreService/FetchFeatures",
            response_deserializer=messages.FetchFeaturesResponse.FromString,
        )
        for view in VIEWS:
            drawn = [rng.choice(options.items, options.read, replace=False).tolist() for _ in range(options.rounds)]
            ways = {"sdk": _by_sdk(store, view), "in_process": _in_process(ours, view), "grpc": _by_grpc(fetch, view)}
            for way, read in ways.items():
                _check(way, await read(drawn[0]), ours.plan.services[view], values[drawn[0]])
            found[view] = await _timed(ways, drawn)
    await ours.close()
    return found


async def _timed(ways: dict[str, Read], drawn: list[list[int]]) -> dict[str, Any]:
    taken: dict[str, list[float]] = {way: [] for way in ways}
    gc.collect()
    gc.freeze()
    for keys in drawn:
        for way, read in ways.items():
            began = time.perf_counter()
            await read(keys)
            taken[way].append((time.perf_counter() - began) * 1000)
    medians = {way: float(np.median(ms)) for way, ms in taken.items()}
    return {
        **{f"{way}_ms": quantiles(np.array(ms)) for way, ms in taken.items()},
        "sdk_to_in_process": round(medians["sdk"] / medians["in_process"], 1),
        "sdk_to_grpc": round(medians["sdk"] / medians["grpc"], 1),
    }


def _by_sdk(store: Any, view: str) -> Read:
    service = store.get_feature_service(view)

    async def read(keys: list[int]) -> Any:
        return store.get_online_features(service, [{"item_id": key} for key in keys])

    return read


def _in_process(ours: RedisOnlineStore, view: str) -> Read:
    names = ours.plan.services[view]

    async def read(keys: list[int]) -> Any:
        return await ours.read(names, np.array(keys, np.int64), 1, 60.0)

    return read


def _by_grpc(fetch: Any, view: str) -> Read:
    async def read(keys: list[int]) -> Any:
        request = messages.FetchFeaturesRequest(feature_service=view, entity_keys=keys, as_of_us=1)
        return await fetch(request.SerializeToString(), timeout=60.0)

    return read


def _check(way: str, answer: Any, names: Sequence[str], expected: np.ndarray[Any, Any]) -> None:
    """All three read what was written. Raises ValueError."""
    if way == "sdk":
        by_name = answer.to_dict()
    elif way == "in_process":
        by_name = {name.split(":")[1]: column.values for name, column in zip(names, answer, strict=True)}
    else:
        by_name = {c.name.split(":")[1]: np.frombuffer(c.values, np.float32) for c in answer.columns}
    if "vector" in by_name:
        found = np.array(by_name["vector"], np.float32).reshape(expected.shape)
    else:
        found = np.array([by_name[f"f{i}"] for i in range(_WIDTH)], np.float32).T
    if not np.array_equal(found, expected):
        raise ValueError(f"{way} does not read what was written")


async def _written(
    store: Any, ours: RedisOnlineStore, view: str, values: np.ndarray[Any, Any], sdk_rows: int
) -> dict[str, float]:
    """Rows a second by the SDK, over the first of the items, and by our store over all of them."""
    import pandas as pd

    now = time.time_ns() // 1000
    head = values[:sdk_rows]
    frame = pd.DataFrame({"item_id": np.arange(len(head)), "event_time": datetime.now(UTC)})
    if view == "scalars":
        frame = pd.concat([frame, pd.DataFrame(head, columns=[f"f{i}" for i in range(_WIDTH)])], axis=1)
    else:
        frame["vector"] = list(head)
    began = time.perf_counter()
    store.write_to_online_store(view, frame)
    by_sdk = len(head) / (time.perf_counter() - began)
    began = time.perf_counter()
    for start in range(0, len(values), 1000):
        rows = values[start : start + 1000]
        columns = (
            {f"scalars:f{i}": scalars("float32", rows[:, i]) for i in range(_WIDTH)}
            if view == "scalars"
            else {"dense:vector": arrays("float32[]", list(rows))}
        )
        await ours.write(np.arange(start, start + len(rows)), columns, {view: np.full(len(rows), now)})
    by_us = len(values) / (time.perf_counter() - began)
    return {"sdk": round(by_sdk), "ours": round(by_us), "ratio": round(by_us / by_sdk, 1)}


def repository(folder: Path, redis_url: str) -> tuple[Any, Plan, Path]:
    """A Feast repository of its own with both views, applied; its plan and where that is."""
    from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, RepoConfig
    from feast.types import Array, Float32, Int64
    from feast.value_type import ValueType

    from feature_repo.compile import compile_plan
    from feature_repo.repository import connection_string

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "registry.db").unlink(missing_ok=True)
    store = FeatureStore(
        config=RepoConfig(
            project="bench", provider="local", registry=str(folder / "registry.db"), repo_path=folder,
            online_store={"type": "redis", "connection_string": connection_string(redis_url), "skip_dedup": True},
            offline_store={"type": "duckdb"}, entity_key_serialization_version=3,
        )
    )  # fmt: skip
    item = Entity(name="item", join_keys=["item_id"], value_type=ValueType.INT64)
    fields = {
        "scalars": [Field(name=f"f{i}", dtype=Float32) for i in range(_WIDTH)],
        "dense": [Field(name="vector", dtype=Array(Float32))],
    }
    views = [
        FeatureView(
            name=name, entities=[item], schema=[Field(name="item_id", dtype=Int64), *fields[name]],
            source=FileSource(name=name, path=str(folder / f"{name}.parquet"), timestamp_field="event_time"),
        )
        for name in VIEWS
    ]  # fmt: skip
    services = [FeatureService(name=name, features=[view]) for name, view in zip(VIEWS, views, strict=True)]
    store.apply([item, *views, *services])
    plan = compile_plan(store)
    path = folder / "plan.json"
    plan.write(path)
    return store, plan, path


def main(argv: Sequence[str] | None = None) -> int:
    """0, or 1 with a sentence."""
    options = options_of(argv)
    try:
        found = compared(options)
    except PenchantError as error:
        say(f"error: {error}")
        return 1
    out = options.run.resolve() / "results"
    out.mkdir(parents=True, exist_ok=True)
    finish(NAME, out, found, rows(found))
    return 0


def compared(options: argparse.Namespace) -> dict[str, Any]:
    """Figures of one run, over a Redis and a feature store of its own. Raises PenchantError."""
    run: Path = options.run.resolve() / NAME
    layout = free_layout(run, run / "bundles", "separate", _PORT)
    layout.clear()
    with Supervisor(run) as supervisor:
        redis, url = redis_spec(run / "redis", layout.ports["redis"])
        supervisor.start(redis)
        load_store(Steps(run / "steps"), layout, url)
        store, plan, path = repository(run / "repository", url)
        service = layout.services(url)[0]
        environment = {**service.environment, "PENCHANT_FEATURE_STORE__OTHER_PLAN": str(path)}
        supervisor.start(replace(service, environment=environment))
        address = f"127.0.0.1:{layout.ports['feature_store']}"
        found: dict[str, Any] = uvloop.run(measure(store, plan, url, address, options))
        return found


def options_of(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.feast_reads", description=__doc__)
    parser.add_argument("--run", type=Path, default=ROOT / ".penchant" / "bench", help="folder of everything it makes")
    parser.add_argument("--items", type=int, default=20_000, help="that are written")
    parser.add_argument("--sdk-rows", type=int, default=5000, help="of them by the SDK too")
    parser.add_argument("--read", type=int, default=500, help="items a read")
    parser.add_argument("--rounds", type=int, default=60, help="reads of each kind")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args(argv)


def rows(found: dict[str, Any]) -> list[tuple[str, Any, str]]:
    """The table."""
    least = {"scalars": (9, 15), "dense": (20, 15)}
    shown: list[tuple[str, Any, str]] = []
    for view in VIEWS:
        mine, (in_process, over_grpc) = found[view], least[view]
        medians = ", ".join(f"{mine[f'{way}_ms']['p50']:g}" for way in ("sdk", "in_process", "grpc"))
        tails = ", ".join(f"{mine[f'{way}_ms']['p99']:g}" for way in ("sdk", "in_process", "grpc"))
        written = found["rows_per_s"][view]
        shown += [
            (f"{view}: p50 ms of SDK, in process, gRPC", medians, ""),
            (f"{view}: p99 ms of the same", tails, ""),
            (f"{view}: SDK to in process", mine["sdk_to_in_process"], f"at least {in_process}"),
            (f"{view}: SDK to gRPC", mine["sdk_to_grpc"], f"at least {over_grpc}"),
            (f"{view}: rows/s written by SDK, by us", f"{written['sdk']:,}, {written['ours']:,}", "at least 8 times"),
        ]
    return shown


if __name__ == "__main__":
    sys.exit(main())
