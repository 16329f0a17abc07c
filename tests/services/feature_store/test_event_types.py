"""Event types are the policy's: taken, refused, retired and swapped while the store runs."""

import numpy as np
import pytest
from store_world import NOW_US, SCHEMA, event, penchant_plan

from penchant.events import EventTypes
from penchant.ids import key
from penchant.policy import read_policy
from services.feature_store.connection import RedisAddress
from services.feature_store.leaf import FeatureStore
from services.feature_store.redis_store import RedisOnlineStore

LEAST = "format = 1\n[placements.default]\n"
OWN = LEAST + (
    "[event_types.bookmark]\ncode = 32\nweight = 1.5\nin_history = true\n"
    "[event_types.report]\ncode = 33\nhides = true\n"
    "[event_types.yawn]\ncode = 34\nweight = -1\n"
    "[event_types.note]\ncode = 35\nneeds_item = false\n"
)


class Policy:
    """What is in force, to be swapped."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __call__(self) -> EventTypes:
        return read_policy(self.text).event_types


@pytest.fixture
async def start(redis_url, tmp_path):
    made = []

    async def new(policy: Policy) -> FeatureStore:
        store = RedisOnlineStore(penchant_plan(), RedisAddress.parse(redis_url))
        made.append(FeatureStore(store, lambda: SCHEMA, str(tmp_path / "log"), event_types=policy))
        await made[-1].start(NOW_US)
        return made[-1]

    yield new
    for leaf in made:
        await leaf.stop()


async def user(leaf, name: str = "u"):
    return (await leaf.fetch_users(np.array([key("", name)]), NOW_US, 0, 5.0)).users[0]


async def test_own_types_do_what_the_policy_says(start):
    leaf = await start(Policy(OWN))
    kinds = {"bookmark": "a", "report": "b", "yawn": "c", "note": ""}
    written = await leaf.write_events([event(item=item, type_=type_) for type_, item in kinds.items()], NOW_US)
    assert written.rejections == ()
    state = await user(leaf)
    assert (state.history_keys.tolist(), state.history_types.tolist()) == ([key("", "a")], [32])
    assert state.seen_keys.tolist() == [key("", "a")]
    assert state.hidden_keys.tolist() == [key("", "b")]
    assert (state.lowered_keys.tolist(), state.lowered_types.tolist()) == ([key("", "c")], [34])


async def test_an_unknown_type_is_refused_with_the_policys_list(start):
    leaf = await start(Policy(OWN))
    written = await leaf.write_events([event(type_="dance"), event(type_="yawn", item="")], NOW_US)
    assert [(r.index, r.field) for r in written.rejections] == [(0, "event_type"), (1, "item_id")]
    assert "impression, bookmark, report, yawn, note, or name it in the policy" in written.rejections[0].reason


async def test_a_swapped_policy_holds_from_the_next_batch_on(start):
    policy = Policy(LEAST)
    leaf = await start(policy)
    assert (await leaf.write_events([event(type_="bookmark")], NOW_US)).rejections
    policy.text = OWN
    assert not (await leaf.write_events([event(type_="bookmark")], NOW_US)).rejections
    policy.text = OWN.replace("code = 32", "code = 32\nretired = true")
    (refused,) = (await leaf.write_events([event(type_="bookmark")], NOW_US)).rejections
    assert "'bookmark' is retired: one of view, click" in refused.reason
    assert (await user(leaf)).history_types.tolist() == [32]


async def test_a_log_with_a_type_that_the_policy_lost_is_replayed_without_it(start, redis_url):
    leaf = await start(Policy(OWN))
    await leaf.write_events([event(item="a"), event(item="b", type_="bookmark"), event(item="c")], NOW_US)
    await leaf.stop()
    emptying = RedisOnlineStore(penchant_plan(), RedisAddress.parse(redis_url))
    await emptying.pool.execute(b"*1\r\n$7\r\nFLUSHDB\r\n", 1)
    await emptying.close()
    leaf = await start(Policy(LEAST))
    assert (await user(leaf)).history_keys.tolist() == [key("", "a"), key("", "c")]
    assert leaf.applied == 3


async def test_what_was_searched_for_is_read_back(start):
    leaf = await start(Policy(OWN))
    texts = [event(type_="search", item="", text=f"shoes {n}", ago_s=100 - n) for n in range(3)]
    await leaf.write_events([*texts[::-1], event(type_="dislike", text="ugly"), event(item="a")], NOW_US)
    state = await user(leaf)
    assert [text for _, text in state.texts] == ["shoes 0", "shoes 1", "shoes 2"]
    assert state.texts[0][0] == texts[0].event_time_us
