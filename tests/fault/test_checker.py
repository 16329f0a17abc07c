"""The checker finds what a storm must never leave behind."""

import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fault.checker import Checker
from fault.history import History, SentEvent

from penchant.event_log import EVENTS, open_event_log
from penchant.features import FeatureSchema
from penchant.features.plan import Plan
from penchant.ids import key
from services.feature_store.column import scalars
from services.feature_store.connection import RedisAddress, command
from services.feature_store.leaf import FeatureStore
from services.feature_store.redis_store import RedisOnlineStore
from services.feature_store.wire import event_from_proto, record_of
from services.feature_store.writes import IdentityMerge

SCHEMA = FeatureSchema.default(has_times=True, has_values=True, item_attributes={}, user_attributes={})


def sent(mark: str, **fields: Any) -> SentEvent:
    given = {"user_id": "u", "anonymous_id": "", "item_id": "i", "event_type": "click", "value": None, "text": ""}
    return SentEvent(mark, mark, **{**given, "event_time_us": time.time_ns() // 1000, **fields})


@dataclass
class World:
    """A feature store, what was sent to it, and the checker."""

    leaf: FeatureStore
    history: History
    checker: Checker
    log: str

    async def write(self, *events: SentEvent, acknowledged: bool = True) -> None:
        now_us = time.time_ns() // 1000
        for event in events:
            self.history.mean(event)
        attempt = self.history.begin("w", "events", tuple(event.mark for event in events))
        written = await self.leaf.write_events([event_from_proto(e.to_proto(), now_us) for e in events], now_us)
        if acknowledged:
            self.history.acknowledged(attempt, written.position)

    async def found(self) -> list[str]:
        await self.checker.check_all()
        return self.history.violations


@pytest.fixture
async def world(redis_url: str, plan: Plan, tmp_path: Path) -> Any:
    def open_store() -> RedisOnlineStore:
        return RedisOnlineStore(plan, RedisAddress.parse(redis_url))

    log = str(tmp_path / "log")
    leaf = FeatureStore(open_store(), lambda: SCHEMA, log)
    await leaf.start(time.time_ns() // 1000)
    history = History(tmp_path / "history.jsonl")
    deployment: Any = SimpleNamespace(schema=SCHEMA, open_store=open_store, layout=SimpleNamespace(log_url=log))
    yield World(leaf, history, Checker(deployment, history), log)
    await leaf.stop()


async def test_what_was_written_once_and_applied_once_is_well(world: World) -> None:
    await world.write(sent("a"), sent("b", event_type="hide"), sent("c", event_type="rating", value=4.0))
    await world.write(sent("d", user_id="", anonymous_id="x"), acknowledged=False)
    now_us = time.time_ns() // 1000
    merge = IdentityMerge(key("", "\0anonymous\0x"), key("", "u"), "u", anonymous_id="x", ingest_time_us=now_us)
    attempt = world.history.begin("w", "merges", ("x", "u"))
    world.history.acknowledged(attempt, (await world.leaf.merge_identities(merge)).position)
    assert await world.found() == []
    assert world.checker.counted()["unacknowledged_in_log"] == 1


async def test_an_acknowledged_event_that_is_not_in_the_log_is_lost(world: World) -> None:
    await world.write(sent("a"))
    world.history.mean(sent("b"))
    world.history.acknowledged(world.history.begin("w", "events", ("b",)), 1)
    assert any("acknowledged to w and not in the log: ['b']" in text for text in await world.found())


async def test_an_event_that_is_in_the_log_twice_is_found(world: World) -> None:
    event = sent("a")
    await world.write(event)
    await world.leaf.stop()
    log = open_event_log(world.log, EVENTS)
    log.append([record_of(event_from_proto(event.to_proto(), 1), 1)])
    log.close()
    found = await world.found()
    assert any("a is in the log at 1 and again at 2" in text for text in found)
    assert any("1 of 1 users differ from the replay" in text for text in found)


async def test_an_event_that_nobody_sent_is_found(world: World) -> None:
    await world.write(sent("a"))
    world.history.events.clear()
    world.history.attempts.clear()
    found = await world.found()
    assert any("record 1 is not what anybody sent" in text for text in found)
    assert any("in a log and sent by nobody: ['a']" in text for text in found)


async def test_a_stored_number_that_differs_is_found_for_users_and_items(world: World) -> None:
    await world.write(sent("a"))
    zero, one = scalars("int64", np.array([0])), np.array([1])
    for entity, id_ in (("user", "u"), ("item", "i")):
        view = f"{entity}_counters"
        await world.leaf.store.write(np.array([key("", id_)]), {f"{view}:state_time_us": zero}, {view: one})
    found = await world.found()
    assert [text.split(" differ")[0] for text in found] == ["1 of 1 users", "1 of 1 items"]
    assert all("state_time_us: stored 0" in text for text in found)


async def test_a_store_that_is_empty_is_found(world: World) -> None:
    await world.write(sent("a"))
    await world.leaf.store.pool.execute(command("FLUSHDB"), 1)
    assert len(await world.found()) == 2


async def test_what_was_sent_after_an_acknowledgement_must_lie_behind_it(world: World) -> None:
    await world.write(sent("a"), sent("b"))
    late, early = world.history.attempts[0], world.history.begin("w", "events", ("a",))
    world.history.attempts.remove(early)
    late.marks, late.began = ("b",), 0.0
    world.history.attempts.append(early)
    late.ended, early.began = 1.0, 2.0
    world.history.acknowledged(early, 1)
    assert any("a was first sent after token 2 was given and lies at 1" in text for text in await world.found())
