import asyncio

import numpy as np
import pytest
from store_world import DAY_US, NOW_US, event

from penchant.errors import LogError
from penchant.event_log import open_event_log, open_log_reader
from penchant.ids import key
from services.feature_store.connection import command
from services.feature_store.retention import Retention, first_younger
from services.feature_store.wire import record_of

redis_log = pytest.mark.parametrize("new_log", ["redis"], indirect=True)


def quiet(message: str) -> None:
    pass


async def written(leaf, days: int) -> None:
    """One event a day, the last one now."""
    for n in range(days):
        at_us = NOW_US - (days - 1 - n) * DAY_US
        await leaf.write_events([event(item=f"i{n}", ingest_time_us=at_us, event_time_us=at_us)], NOW_US)


@redis_log
async def test_events_older_than_their_days_are_dropped_once_everyone_is_done_with_them(new_leaf, log_url):
    leaf = new_leaf(deduplication_events=1)
    await leaf.start(NOW_US)
    await written(leaf, 20)
    retention = Retention(leaf.ingestion, log_url, 5.5, ["learner"], quiet)
    reader = open_log_reader(log_url)
    with pytest.raises(LogError, match="'learner' is done up to position 0 alone"):
        await retention.trim()
    assert reader.oldest() == 1
    reader.hold("learner", 19)
    await retention.trim()
    assert (reader.oldest(), reader.newest()) == (15, 20)
    await leaf.write_events([event(item="later", ingest_time_us=NOW_US)], NOW_US)
    assert leaf.ingestion.position == 21
    reader.close()


@redis_log
async def test_event_ids_within_their_horizon_are_not_dropped(new_leaf, log_url):
    leaf = new_leaf(deduplication_events=10)
    await leaf.start(NOW_US)
    await written(leaf, 20)
    await Retention(leaf.ingestion, log_url, 1.5, [], quiet).trim()
    reader = open_log_reader(log_url)
    assert reader.oldest() == 11
    reader.close()


@redis_log
async def test_a_store_that_is_lost_is_rebuilt_from_what_is_kept_and_that_is_said(new_leaf, log_url):
    said: list[str] = []
    leaf = new_leaf(deduplication_events=1, report=said.append)
    await leaf.start(NOW_US)
    await written(leaf, 20)
    await Retention(leaf.ingestion, log_url, 5.5, [], quiet).trim()
    await leaf.store.pool.execute(command("FLUSHDB"), 1)
    await leaf.stop()
    leaf = new_leaf(deduplication_events=1, report=said.append)
    await leaf.start(NOW_US)
    (user,) = (await leaf.fetch_users(np.array([key("", "u")]), NOW_US, 0, 5.0)).users
    assert user.history_keys.tolist() == [key("", f"i{n}") for n in range(14, 20)]
    assert leaf.applied == 20
    assert any("begins at position 15" in message for message in said)


async def test_a_leaf_that_may_not_forget_yet_says_for_whom_it_keeps(new_leaf):
    leaf = new_leaf()
    await leaf.start(NOW_US)
    await written(leaf, 4)
    await leaf.stop()
    said = asyncio.Queue[str]()
    leaf = new_leaf(deduplication_events=1, keep_days=1.0, needed_by=("learner",), report=said.put_nowait)
    await leaf.start(NOW_US)
    message = await asyncio.wait_for(said.get(), 30)
    assert "keeps more than it is told to" in message
    assert "'learner'" in message


def test_the_first_event_to_keep_is_found_whatever_the_ages(log_url):
    log = open_event_log(log_url)
    assert first_younger(log, DAY_US) == 1
    days = [0, 0, 1, 4, 4, 4, 7, 9, 9, 10]
    log.append([record_of(event(), NOW_US + day * DAY_US) for day in days])
    for keep_days in range(12):
        wanted = next(i for i, day in enumerate(days) if day >= 10 - keep_days)
        assert first_younger(log, keep_days * DAY_US) == wanted + 1
    log.close()
