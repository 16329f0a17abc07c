"""A population with a past: histories that follow what goes with what, put where the online store would have them.

Written in Feast's layout by the store's own writer, past the event log: a million users' events through gRPC would take
an hour. There are a few thousand different histories; each is many users'.
"""

import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.stand import say
from benchmarks.workload import Workload
from penchant import ids
from penchant.bundle import read_manifest
from penchant.events import EVENT_TYPES
from penchant.features import STORED_USER_FEATURES, FeatureSchema, UserFeatures
from penchant.features.plan import Plan
from penchant.mapped import mapped
from penchant.retrieval import CoVisitation
from penchant.types import Keys
from services.feature_store.column import Column
from services.feature_store.connection import RedisAddress
from services.feature_store.redis_store import RedisOnlineStore

_HISTORIES = 2000
_SPAN_S = 30 * 86_400
_VIEWS = ("user_sequences", "user_counters")
_ENGAGED = {"click": 0.7, "like": 0.2, "play": 0.1}
"""Event types of a history, and how often each."""
_FOLLOWS = 0.8
"""How often the next item is one that goes with the last; else it is drawn by popularity."""


async def write_population(
    bundle: Path, plan: Path, redis_url: str, workload: Workload, users: int, history: int
) -> float:
    """Give each of `users` users a past of 1 to 2 * history - 1 items; the mean number of items."""
    manifest = read_manifest(bundle)
    schema = FeatureSchema.from_json(manifest.schema)
    histories = _histories(bundle, history, workload.rng)
    keys = mapped(bundle / "items" / "keys.npy")
    columns = _columns(schema, histories, keys, time.time_ns() // 1000, workload.rng)
    mean = float(np.mean([len(rows) for rows in histories]))
    say(f"population: {users:,} users with {mean:.0f} items each on average")
    await _write(RedisOnlineStore(Plan.read(plan), RedisAddress.parse(redis_url), 1, 60.0), columns, workload, users)
    return mean


def _histories(bundle: Path, history: int, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Rows, oldest first."""
    follows = CoVisitation.open(bundle / "retrieval")
    shares = np.cumsum(np.exp(np.load(bundle / "retrieval" / "popular.scores.npy")[1:].astype(np.float64)))
    lengths = rng.integers(1, 2 * history, _HISTORIES)
    found = []
    for length in lengths.tolist():
        drawn = np.searchsorted(shares, rng.random(length) * shares[-1]) + 1
        drawn = np.minimum(drawn, len(shares))
        chance, which = rng.random(length), rng.random(length)
        rows = drawn.tolist()
        for i in range(1, length):
            start, end = follows.indptr[rows[i - 1]], follows.indptr[rows[i - 1] + 1]
            if chance[i] < _FOLLOWS and end > start:
                # Towards the heavy ones: they are what a history is made of.
                heavy = np.argsort(-follows.weights[start:end])
                rows[i] = int(follows.targets[start + heavy[int(which[i] ** 2 * len(heavy))]])
        found.append(np.array(rows, np.int64))
    return found


def _columns(
    schema: FeatureSchema, histories: list[NDArray[np.int64]], keys: Keys, now_us: int, rng: np.random.Generator
) -> dict[str, Column]:
    """What the online store holds of users with these histories, by stored feature."""
    engaged = [(EVENT_TYPES[name].code, share) for name, share in _ENGAGED.items()]
    codes, shares = np.array([code for code, _ in engaged]), np.array([share for _, share in engaged])
    stored = []
    for rows in histories:
        user = UserFeatures.empty(schema)
        times = np.sort(now_us - rng.integers(1, _SPAN_S, len(rows)) * 1_000_000)
        types = rng.choice(codes, len(rows), p=shares / shares.sum()).astype(np.int64)
        user.apply_columns(keys[rows], types, np.full(len(rows), np.nan), times)
        stored.append(user.to_stored())
    written = [feature for feature in STORED_USER_FEATURES if feature.view in _VIEWS]
    return {f"{f.view}:{f.name}": Column.of(f.dtype, [row[f.name] for row in stored]) for f in written}


async def _write(store: RedisOnlineStore, columns: dict[str, Column], workload: Workload, users: int) -> None:
    """User number u gets history u modulo how many there are."""
    times = columns["user_counters:state_time_us"].values.astype(np.int64)
    try:
        for start in range(0, users, len(times)):
            count = min(len(times), users - start)
            here = columns
            if count < len(times):
                here = {name: Column.of(column.dtype, column.cells(0, count)) for name, column in columns.items()}
            user_keys = ids.keys("", (workload.user(number) for number in range(start, start + count)))
            await store.write(user_keys, here, dict.fromkeys(_VIEWS, times[:count]))
    finally:
        await store.close()
