"""A log that is out while the feature store runs."""

import asyncio
import os
import signal

import numpy as np
import pytest
from log_servers import DURABLE, free_port, kafka_process, start_redis
from store_world import NOW_US, event

from penchant.errors import LogUnavailable, PenchantError
from penchant.event_log.kafka_reader import KafkaLogReader
from penchant.event_log.redis_log import RedisLogReader
from penchant.ids import key
from services.feature_store.writes import ItemWrite


async def history(leaf) -> list[int]:
    return (await leaf.fetch_users(np.array([key("", "u")]), NOW_US, 0, 5.0)).users[0].history_keys.tolist()


async def serving(leaf) -> None:
    async with asyncio.timeout(60):
        while not leaf.serving:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_a_log_in_redis_that_was_killed_costs_no_answered_event_and_counts_none_twice(new_leaf, tmp_path):
    child, port = start_redis(tmp_path / "log", *DURABLE)
    try:
        leaf = new_leaf(log=f"redis://127.0.0.1:{port}/0")
        await leaf.start(NOW_US)
        await leaf.write_events([event(item="a", ago_s=9, event_id="a")], NOW_US)
        child.kill()
        child.wait()
        with pytest.raises(LogUnavailable, match="sending them again is safe"):
            await leaf.write_events([event(item="b", ago_s=5, event_id="b")], NOW_US)
        assert not leaf.serving
        with pytest.raises(PenchantError, match="retry once"):
            await leaf.write_events([event(item="c", ago_s=1, event_id="c")], NOW_US)
        assert await history(leaf) == [key("", "a")]
        child, _ = start_redis(tmp_path / "log", *DURABLE, port=port)
        await serving(leaf)
        for name, ago_s in (("a", 9), ("b", 5), ("c", 1)):
            await leaf.write_events([event(item=name, ago_s=ago_s, event_id=name)], NOW_US)
        assert await history(leaf) == [key("", name) for name in "abc"]
        assert leaf.ingestion.position == leaf.applied == 3
        await leaf.stop()
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize("kind", ["redis", "kafka"])
async def test_an_entry_whose_answer_was_lost_counts_once_though_it_is_sent_again(
    kind, new_leaf, tmp_path, monkeypatch
):
    monkeypatch.setattr(RedisLogReader, "timeout_s", 0.5)
    monkeypatch.setattr(KafkaLogReader, "timeout_s", 1.0)
    with kafka_process() as (brokers, addresses):
        redis, port = start_redis(tmp_path / "log", *DURABLE)
        child, log = (
            (redis, f"redis://127.0.0.1:{port}/0") if kind == "redis" else (brokers, f"kafka://{addresses}/topic")
        )
        try:
            leaf = new_leaf(log=log)
            await leaf.start(NOW_US)
            for n in range(2):
                entry = event(item=f"i{n}", ago_s=9 - n, event_id=f"e{n}")
                os.kill(child.pid, signal.SIGSTOP)
                with pytest.raises(LogUnavailable, match="not known yet"):
                    await leaf.write_events([entry], NOW_US)
                os.kill(child.pid, signal.SIGCONT)
                await serving(leaf)
                written = await leaf.write_events([entry], NOW_US)
                assert written.position == n + 1
            assert await history(leaf) == [key("", f"i{n}") for n in range(2)]
            os.kill(child.pid, signal.SIGSTOP)
            with pytest.raises(LogUnavailable):
                await leaf.write_items([ItemWrite(key("", "i"), "i")], NOW_US)
            os.kill(child.pid, signal.SIGCONT)
            async with asyncio.timeout(60):
                while True:
                    try:
                        written = await leaf.write_items([ItemWrite(key("", "i"), "i")], NOW_US)
                        break
                    except LogUnavailable:
                        await asyncio.sleep(0.05)
            assert written.position == leaf.item_table_position in (1, 2)
            await leaf.stop()
        finally:
            os.kill(child.pid, signal.SIGCONT)
            redis.kill()
            redis.wait()


@pytest.mark.parametrize("kind", ["redis", "kafka"])
async def test_a_log_that_cannot_be_reached_ends_the_start_with_a_sentence(kind, new_leaf, monkeypatch):
    monkeypatch.setattr(KafkaLogReader, "timeout_s", 1.0)
    port = free_port()
    log = f"redis://127.0.0.1:{port}/0" if kind == "redis" else f"kafka://127.0.0.1:{port}/topic"
    with pytest.raises(LogUnavailable, match=r"does not answer.*start"):
        await new_leaf(log=log).start(NOW_US)
