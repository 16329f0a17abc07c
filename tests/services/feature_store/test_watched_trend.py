"""What is trending comes from the events that count for items, also after a restart, and is told while it changes."""

import asyncio

import numpy as np
import pytest
from store_world import NOW_US, event
from test_feature_store_server import click, door, send

from penchant.ids import key
from penchant.v1 import feature_store_service_pb2
from services.feature_store.writes import CONSENT_PERSONALISATION

__all__ = ["door"]


def by_item(leaf) -> dict[int, float]:
    now = leaf.ingestion.trend.top(10)
    return dict(zip(now.keys.tolist(), now.weights.tolist(), strict=True))


async def test_events_weigh_what_the_policy_says_and_those_of_an_evaluation_do_not_count(leaf):
    await leaf.write_events(
        [
            event(user="a", item="x"),
            event(user="b", item="x", type_="purchase"),
            event(user="c", item="y", type_="skip"),
            event(user="d", item="z", context={"evaluation": "1"}),
            event(user="e", item="z", consent=CONSENT_PERSONALISATION),
        ],
        NOW_US,
    )
    assert by_item(leaf) == pytest.approx({key("", "x"): 4.0})


async def test_the_trend_is_rebuilt_from_the_newest_of_the_log_and_counts_nothing_twice(new_leaf):
    leaf = new_leaf()
    await leaf.start(NOW_US)
    await leaf.write_events([event(user=f"u{n}", item=f"i{n % 3}", ago_s=n) for n in range(30)], NOW_US)
    before = by_item(leaf)
    await leaf.stop()
    again = new_leaf()
    await again.start(NOW_US)
    assert by_item(again) == pytest.approx(before)
    await again.store.pool.execute(b"*1\r\n$7\r\nFLUSHDB\r\n", 1)
    await again.write_events([event(user="late", item="i0", ago_s=0)], NOW_US)
    before[key("", "i0")] += 1.0
    assert by_item(again) == pytest.approx(before)


async def test_watchers_are_told_at_once_and_again_when_it_changes(door):
    await send(door, click(item_id="a"))
    watching = door[0].WatchTrend(feature_store_service_pb2.WatchTrendRequest())
    first = await watching.read()
    assert np.frombuffer(first.item_keys, np.int64).tolist() == [key("", "a")]
    await send(door, click(item_id="b", event_type="like"), click(user_id="v", item_id="b"))
    second = await asyncio.wait_for(watching.read(), 20)
    assert np.frombuffer(second.item_keys, np.int64).tolist() == [key("", "b"), key("", "a")]
    assert np.frombuffer(second.weights, np.float32) == pytest.approx([3.0, 1.0], rel=0.01)
    watching.cancel()
