"""Live ingestion and training replay end in the same state: the same events through the wire's types and Redis."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest

from penchant.features import FeatureSchema, UserFeatures
from services.feature_store.connection import RedisAddress
from services.feature_store.leaf import FeatureStore
from services.feature_store.redis_store import RedisOnlineStore
from training.__main__ import main as training
from training.data.dataset import Dataset
from training.data.read import read_dataset
from training.features.replay import replay_items, replay_users

sys.path.insert(0, str(Path(__file__).parents[1] / "services/feature_store"))
from store_world import event, penchant_plan

SCHEMA = FeatureSchema.default(
    has_times=True, has_values=True, item_attributes={}, user_attributes={}, value_bounds={"rating": (2.0, 4.0)}
)


@pytest.fixture(scope="module")
def generated(tmp_path_factory) -> Dataset:
    folder = tmp_path_factory.mktemp("generated")
    sizes = {"--users": 50, "--items": 100, "--events": 3000, "--seed": 3}
    arguments = [str(part) for pair in sizes.items() for part in pair]
    assert training(["generate", "--out", str(folder), *arguments]) == 0
    return read_dataset(folder)


def arrival(data: Dataset, late: bool) -> np.ndarray:
    """The order events come in: sorted, or with many of them hours late; equal times keep their order."""
    if not late:
        return np.arange(len(data.events))
    rng = np.random.default_rng(0)
    distinct, place = np.unique(data.events.times, return_inverse=True)
    delay_us = np.where(rng.random(len(distinct)) < 0.3, rng.exponential(3 * 86_400e6, len(distinct)), 0.0)
    return np.argsort((distinct + delay_us)[place], kind="stable")


@pytest.mark.parametrize("late", [False, True], ids=["in order", "out of order"])
async def test_the_online_state_is_the_replayed_one(generated, late, redis_url, tmp_path):
    data = generated
    events = data.events
    now_us = int(events.times.max())
    leaf = FeatureStore(
        RedisOnlineStore(penchant_plan(), RedisAddress.parse(redis_url)), lambda: SCHEMA, str(tmp_path / "log")
    )
    await leaf.start(now_us)
    order = arrival(data, late)
    for block in np.array_split(order, len(order) // 300):
        written = await leaf.write_events(
            [
                event(
                    data.user_ids[events.users[i]],
                    data.item_ids[events.items[i]] if events.items[i] >= 0 else "",
                    data.event_types[events.types[i]],
                    event_time_us=int(events.times[i]),
                    value=float(events.values[i]) if not math.isnan(events.values[i]) else math.nan,
                )
                for i in block
            ],
            now_us,
        )
        assert written.rejections == ()

    replayed = replay_users(data, np.arange(len(events)), SCHEMA)
    fetched = await leaf.fetch_users(replayed.keys, now_us, 0, 5.0)
    as_of_us = now_us + 86_400_000_000
    aged = await leaf.fetch_users(replayed.keys, as_of_us, 0, 5.0)
    integers = [k for k, slot in enumerate(SCHEMA.slots) if not slot.half_life_days]
    columns = dict(await leaf.fetch_features("user_state", replayed.keys, now_us, 5.0))
    for row, user in enumerate(fetched.users):
        for name in ("history_keys", "history_times", "history_types"):
            assert np.array_equal(getattr(user, name), getattr(replayed, name).row(row)), name
        assert np.array_equal(user.history_values, replayed.history_values.row(row), equal_nan=True)
        assert np.array_equal(user.seen_keys, np.sort(replayed.seen_keys.row(row)))
        assert np.array_equal(user.hidden_keys, np.sort(replayed.hidden_keys.row(row)))
        slots = columns["user_counters:counters_state"].cell(row)
        assert np.array_equal(slots[integers], replayed.counters_state[row][integers])
        assert np.allclose(slots, replayed.counters_state[row], rtol=1e-5, atol=1e-12)
        features = UserFeatures.empty(SCHEMA)
        features.slots = replayed.counters_state[row : row + 1]
        features.state_time = replayed.state_time_us[row : row + 1]
        assert np.allclose(aged.users[row].dense, features.dense(as_of_us), atol=1e-5)

    items = replay_items(data, np.arange(len(events)), SCHEMA)
    columns = dict(await leaf.fetch_features("item_state", items.keys, now_us, 5.0))
    slots = np.stack(columns["item_counters:counters_state"].cells())
    assert np.array_equal(slots[:, integers], items.counters_state[:, integers])
    assert np.allclose(slots, items.counters_state, rtol=1e-5, atol=1e-12)
    assert np.array_equal(columns["item_counters:state_time_us"].values, items.state_time_us)
    await leaf.stop()
