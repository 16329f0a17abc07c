"""Two identities that were merged have the state of one who did all of it, in whatever order it came."""

import math
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from penchant.features import UserFeatures
from penchant.ids import identity_key, key
from services.feature_store.connection import RedisAddress
from services.feature_store.leaf import FeatureStore
from services.feature_store.redis_store import RedisOnlineStore
from services.feature_store.writes import IdentityMerge

sys.path.insert(0, str(Path(__file__).parents[1] / "services/feature_store"))
from store_world import DAY_US, NOW_US, SCHEMA, event, penchant_plan

ANN, ANONYMOUS, DEVICE, OLD = (
    key("", "ann"),
    identity_key("", anonymous_id="x"),
    identity_key("", device_id="d"),
    key("", "old"),
)
IDS = {ANN: {"user_id": "ann"}, ANONYMOUS: {"anonymous_id": "x"}, DEVICE: {"device_id": "d"}, OLD: {"user_id": "old"}}


def merge(from_key: int, into: str = "ann", **fields) -> IdentityMerge:
    given = IDS.get(from_key, {})
    return IdentityMerge(from_key=from_key, into_key=key("", into), into_user_id=into, **{**given, **fields})


@pytest.fixture
async def start(redis_url, tmp_path) -> AsyncIterator:
    """Starts leaves on one Redis database and log; stop() one before starting the next."""
    made = []

    async def new(store_type=RedisOnlineStore) -> FeatureStore:
        store = store_type(penchant_plan(), RedisAddress.parse(redis_url), timeout_s=5.0)
        made.append(FeatureStore(store, lambda: SCHEMA, str(tmp_path / "log")))
        await made[-1].start(NOW_US)
        return made[-1]

    yield new
    for leaf in made:
        await leaf.stop()


def acts(rng: np.random.Generator, count: int, who: list[int]) -> list:
    """Distinct times, so that a sorted replay is one order; all kinds of events by any of `who`."""
    kinds = ("click", "like", "view", "hide", "skip", "search", "rating", "purchase")
    made = []
    for ago in rng.choice(40 * 86_400, count, replace=False).tolist():
        kind = kinds[rng.integers(len(kinds))]
        mine = int(who[rng.integers(len(who))])
        item = "" if kind == "search" else f"i{rng.integers(300)}"
        value = float(rng.integers(1, 6)) if kind == "rating" else math.nan
        ids = {"user_id": "", "anonymous_id": "", "device_id": "", **IDS[mine]}
        text = f"looking for {ago}" if kind == "search" else ""
        made.append(event(item=item, type_=kind, ago_s=float(ago), value=value, text=text, user_key=mine, **ids))
    return made


def replayed(events: list) -> UserFeatures:
    user = UserFeatures.empty(SCHEMA)
    user.apply_many(sorted(events, key=lambda e: e.event_time_us))
    return user


async def is_the_replay_of(leaf: FeatureStore, events: list, asked: list[int]) -> None:
    expected = replayed(events).state(ANN, NOW_US + DAY_US)
    fetched = await leaf.fetch_users(np.array(asked), NOW_US + DAY_US, 0, 5.0)
    for user, from_key in zip(fetched.users, asked, strict=True):
        assert (user.user_key, user.merged_from) == (ANN, 0 if from_key == ANN else from_key)
        for name in ("history_keys", "history_times", "history_types", "seen_keys", "hidden_keys"):
            assert np.array_equal(getattr(user, name), getattr(expected, name)), name
        assert np.array_equal(user.history_values, expected.history_values, equal_nan=True)
        assert np.allclose(user.dense, expected.dense, atol=1e-5)
        assert np.array_equal(user.lowered_keys, expected.lowered_keys)
        assert user.texts == expected.texts
        assert len(user.texts) == 8


@pytest.mark.parametrize("seed", range(4))
async def test_a_merged_state_is_the_replay_of_both_under_one_key(start, seed):
    leaf = await start()
    rng = np.random.default_rng(seed)
    before = acts(rng, 500, [ANN, ANONYMOUS, DEVICE])
    for batch in np.array_split(np.arange(len(before)), 5):
        await leaf.write_events([before[i] for i in batch], NOW_US)
    await leaf.merge_identities(merge(ANONYMOUS))
    between = acts(rng, 100, [ANN, ANONYMOUS, DEVICE])
    await leaf.write_events(between, NOW_US)
    await leaf.merge_identities(merge(DEVICE))
    after = acts(rng, 100, [ANN, ANONYMOUS, DEVICE])
    await leaf.write_events(after, NOW_US)
    await is_the_replay_of(leaf, before + between + after, [ANN, ANONYMOUS, DEVICE])


async def test_an_empty_redis_is_rebuilt_with_its_merges_and_a_chain_of_them(start, redis_url):
    leaf = await start()
    rng = np.random.default_rng(9)
    events = acts(rng, 300, [ANN, ANONYMOUS, OLD])
    await leaf.write_events(events[:200], NOW_US)
    await leaf.merge_identities(merge(ANONYMOUS, "old"))
    await leaf.write_events(events[200:250], NOW_US)
    await leaf.merge_identities(merge(OLD))
    await leaf.write_events(events[250:], NOW_US)
    await is_the_replay_of(leaf, events, [ANN, OLD, ANONYMOUS])
    await leaf.stop()
    emptying = RedisOnlineStore(penchant_plan(), RedisAddress.parse(redis_url))
    await emptying.pool.execute(b"*1\r\n$7\r\nFLUSHDB\r\n", 1)
    await emptying.close()
    leaf = await start()
    await is_the_replay_of(leaf, events, [ANN, OLD, ANONYMOUS])


class DiesAfter(RedisOnlineStore):
    """The process ends before its n-th write from now on."""

    left = 1 << 30

    async def write(self, entity_keys, columns, times_us) -> None:
        if DiesAfter.left <= 0:
            raise RuntimeError("the process is gone")
        DiesAfter.left -= 1
        await super().write(entity_keys, columns, times_us)


@pytest.mark.parametrize("writes", [0, 1, 2])
async def test_a_crash_between_the_halves_of_a_merge_counts_nothing_twice(start, writes):
    leaf = await start(DiesAfter)
    events = acts(np.random.default_rng(4), 200, [ANN, ANONYMOUS])
    await leaf.write_events(events[:150], NOW_US)
    DiesAfter.left = writes
    merging = leaf.ingestion.begin([merge(ANONYMOUS)])
    await leaf.ingestion.wait_applied(151, 0.3)
    assert not merging.done() or merging.exception()
    await leaf.stop()
    DiesAfter.left = 1 << 30
    leaf = await start()
    await leaf.write_events(events[150:], NOW_US)
    await is_the_replay_of(leaf, events, [ANN, ANONYMOUS])
