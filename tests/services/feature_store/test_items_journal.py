import asyncio

import numpy as np
import pytest
from store_world import NOW_US, penchant_plan

from penchant.errors import Overloaded, StoreUnavailable
from penchant.event_log.file_log import FileLog
from penchant.ids import key
from services.feature_store import items
from services.feature_store.connection import RedisAddress, command
from services.feature_store.items import ItemJournal
from services.feature_store.redis_store import RedisOnlineStore
from services.feature_store.writes import ItemWrite


def item(name: str, **fields) -> ItemWrite:
    return ItemWrite(key("", name), name, **fields)


@pytest.fixture
async def store(redis_url):
    made = RedisOnlineStore(penchant_plan(), RedisAddress.parse(redis_url), timeout_s=1.0)
    yield made
    await made.close()


async def read(watching, count: int) -> list:
    runs = []
    for _ in range(count):
        runs.append(await asyncio.wait_for(anext(watching), 2.0))
    return runs


async def test_a_restart_keeps_positions_and_the_newest_change_of_each(store, tmp_path):
    journal = ItemJournal(store, FileLog(tmp_path))
    await journal.write([item("a"), item("b"), item("a", attributes={"x": 1.0})], NOW_US)
    journal.close()
    journal = ItemJournal(store, FileLog(tmp_path))
    assert journal.position == 3
    (run,) = await read(journal.watch(0), 1)
    assert [(c.position, c.item_id, c.attributes, c.created_us) for c in run.changes] == [
        (2, "b", {}, NOW_US),
        (3, "a", {"x": 1.0}, NOW_US),
    ]
    assert await journal.write([item("c")], NOW_US) == 4
    journal.close()


async def test_an_empty_journal_gives_an_empty_snapshot_and_then_changes(store, tmp_path):
    journal = ItemJournal(store, FileLog(tmp_path))
    watching = journal.watch(0)
    (run,) = await read(watching, 1)
    assert (run.snapshot, run.changes, run.position) == (True, (), 0)
    writing = asyncio.create_task(journal.write([item("a")], NOW_US))
    (run,) = await read(watching, 1)
    assert (run.snapshot, [c.position for c in run.changes]) == (False, [1])
    await writing
    journal.close()


async def test_long_snapshots_come_in_runs_of_which_the_first_says_so(store, tmp_path, monkeypatch):
    monkeypatch.setattr(items, "RUN", 4)
    journal = ItemJournal(store, FileLog(tmp_path))
    await journal.write([item(f"i{n}") for n in range(10)], NOW_US)
    runs = await read(journal.watch(0), 3)
    assert [run.snapshot for run in runs] == [True, False, False]
    assert [run.position for run in runs] == [4, 8, 10]
    assert [c.position for run in runs for c in run.changes] == list(range(1, 11))
    journal.close()


async def test_a_watcher_that_is_too_far_behind_gets_a_snapshot(store, tmp_path, monkeypatch):
    monkeypatch.setattr(items, "RECENT", 5)
    journal = ItemJournal(store, FileLog(tmp_path))
    for n in range(10):
        await journal.write([item(f"i{n % 3}")], NOW_US)
    (run,) = await read(journal.watch(2), 1)
    assert run.snapshot
    assert [c.position for c in run.changes] == [8, 9, 10]
    held, later = await read(journal.watch(7), 2)
    assert (held.snapshot, held.changes) == (False, ())
    assert [c.position for c in later.changes] == [8, 9, 10]
    journal.close()


async def test_a_slow_watcher_misses_no_item(store, tmp_path, monkeypatch):
    monkeypatch.setattr(items, "RECENT", 5)
    journal = ItemJournal(store, FileLog(tmp_path))
    watching = journal.watch(0)
    await read(watching, 1)
    for n in range(20):
        await journal.write([item(f"i{n}")], NOW_US)
    seen = [c.item_id for run in await read(watching, 1) for c in run.changes]
    assert seen == [f"i{n}" for n in range(20)]
    journal.close()


async def test_items_the_store_refused_are_stored_with_the_next(store, tmp_path, monkeypatch):
    journal = ItemJournal(store, FileLog(tmp_path))
    address = store.pool.address
    monkeypatch.setattr(store.pool, "address", RedisAddress.parse("redis://127.0.0.1:1/0"))
    with pytest.raises(StoreUnavailable, match="items are in the log"):
        await journal.write([item("a")], NOW_US)
    monkeypatch.setattr(store.pool, "address", address)
    await journal.write([item("b")], NOW_US)
    keys = [key("", name) for name in ("a", "b")]
    (column,) = await store.read(["item_attributes:item_id"], np.array(keys), NOW_US)
    assert column.cells() == ["a", "b"]
    journal.close()


async def test_recovery_stores_what_is_missing(store, tmp_path):
    journal = ItemJournal(store, FileLog(tmp_path))
    await journal.write([item("a")], NOW_US)
    journal.close()
    await store.pool.execute(command("FLUSHDB"), 1)
    journal = ItemJournal(store, FileLog(tmp_path))
    await journal.recover(NOW_US)
    (column,) = await store.read(["item_attributes:available"], np.array([key("", "a")]), NOW_US)
    assert column.cells() == [1]
    journal.close()


async def test_writers_who_come_together_share_a_round_and_each_learns_its_own_position(store, tmp_path):
    log = FileLog(tmp_path)
    journal = ItemJournal(store, log)
    appended = []
    append = log.append
    log.append = lambda payloads: (appended.append(len(payloads)), append(payloads))[1]
    batches = [[item(f"i{n}-{k}") for k in range(1 + n % 3)] for n in range(40)]
    positions = await asyncio.gather(*(journal.write(batch, NOW_US) for batch in batches))
    assert positions == np.cumsum([len(batch) for batch in batches]).tolist()
    assert len(appended) <= 3
    assert sum(appended) == journal.position == positions[-1]
    journal.close()


async def test_more_items_than_may_wait_are_refused_and_the_others_written(store, tmp_path, monkeypatch):
    monkeypatch.setattr(items, "_MAX_WAITING", 100)
    journal = ItemJournal(store, FileLog(tmp_path))
    writes = [journal.write([item(f"i{n}-{k}") for k in range(40)], NOW_US) for n in range(4)]
    found = await asyncio.gather(*writes, return_exceptions=True)
    assert found[:2] == [40, 80]
    assert all(isinstance(refused, Overloaded) for refused in found[2:])
    assert await journal.write([item("later")], NOW_US) == 81
    journal.close()


async def lose_redis(store):
    """As if Redis had been started again, empty."""
    await store.pool.execute(command("FLUSHDB"), 1)
    for wire in store.pool._wires:
        wire.close()
    await asyncio.sleep(0.01)


async def test_items_that_a_redis_lost_are_stored_again_also_where_writes_failed_before_it_was_back(
    store, tmp_path, monkeypatch
):
    journal = ItemJournal(store, FileLog(tmp_path))
    await journal.write([item("a"), item("b")], NOW_US)
    await lose_redis(store)
    address = store.pool.address
    monkeypatch.setattr(store.pool, "address", RedisAddress.parse("redis://127.0.0.1:1/0"))
    for name in "cd":
        with pytest.raises(StoreUnavailable):
            await journal.write([item(name)], NOW_US)
    monkeypatch.setattr(store.pool, "address", address)
    await journal.write([item("e")], NOW_US)
    keys = np.array([key("", name) for name in "abcde"])
    (ids,) = await store.read(["item_attributes:item_id"], keys, NOW_US)
    assert ids.cells() == list("abcde")
    journal.close()


async def test_a_redis_lost_between_items_and_checkpoint_is_noticed_also_where_another_was_told(
    store, tmp_path, monkeypatch
):
    journal = ItemJournal(store, FileLog(tmp_path))
    await journal.write([item("a")], NOW_US)
    write, lost = journal._write, []

    async def lose_afterwards(changes, now_us):
        await write(changes, now_us)
        if not lost:
            await lose_redis(store)
            with pytest.raises(StoreUnavailable) as told:
                await store.read(["item_attributes:item_id"], np.array([0]), NOW_US)
            lost.append(told)
            await store.read(["item_attributes:item_id"], np.array([0]), NOW_US)

    monkeypatch.setattr(journal, "_write", lose_afterwards)
    await journal.write([item("b")], NOW_US)
    (ids,) = await store.read(["item_attributes:item_id"], np.array([key("", name) for name in "ab"]), NOW_US)
    assert ids.cells() == ["a", "b"]
    journal.close()
