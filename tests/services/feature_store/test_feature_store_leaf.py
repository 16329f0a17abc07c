import asyncio
import time

import numpy as np
import pytest
from store_world import DAY_US, NOW_US, SCHEMA, event

from penchant.errors import InvalidArgument, LogError, Overloaded, StoreUnavailable
from penchant.event_log import open_event_log
from penchant.features import UserFeatures
from penchant.ids import identity_key, key
from services.feature_store.connection import command
from services.feature_store.wire import record_of
from services.feature_store.writes import IdentityMerge, ItemWrite, UserWrite

each_log = pytest.mark.parametrize("new_log", ["file", "redis", "kafka"], indirect=True)


async def state(leaf, user="u", as_of_us=NOW_US, minimum=0, deadline_s=1.0):
    fetched = await leaf.fetch_users(np.array([key("", user)]), as_of_us, minimum, deadline_s)
    return fetched.users[0]


async def counters(leaf, item="i"):
    columns = dict(await leaf.fetch_features("item_state", np.array([key("", item)]), NOW_US, 1.0))
    slots = columns["item_counters:counters_state"].cell(0)
    names = [slot.name for slot in SCHEMA.slots]
    return None if slots is None else dict(zip(names, slots.tolist(), strict=True))


@each_log
async def test_an_event_is_readable_once_it_was_answered(leaf):
    written = await leaf.write_events([event(item="a"), event(item="b", type_="hide")], NOW_US)
    assert (written.accepted, written.rejections, written.position) == (2, (), 2)
    found = await state(leaf)
    assert found.found
    assert found.history_keys.tolist() == [key("", "a")]
    assert found.hidden_keys.tolist() == [key("", "b")]
    assert found.applied_position == 2
    assert (await counters(leaf, "a"))["events"] == 1.0


async def test_a_user_never_written_is_not_found(leaf):
    found = await state(leaf, "nobody")
    assert not found.found
    assert len(found.history_keys) == 0
    assert np.array_equal(found.dense, UserFeatures.empty(SCHEMA).dense(NOW_US))


async def test_users_come_in_request_order_repeats_included(leaf):
    await leaf.write_events([event("u1", "a"), event("u2", "b")], NOW_US)
    asked = np.array([key("", u) for u in ("u2", "nobody", "u1", "u2")])
    fetched = await leaf.fetch_users(asked, NOW_US, 0, 1.0)
    assert [user.user_key for user in fetched.users] == asked.tolist()
    assert [user.found for user in fetched.users] == [True, False, True, True]
    empty = await leaf.fetch_users(np.empty(0, np.int64), NOW_US, 0, 1.0)
    assert empty.users == ()


async def test_the_state_is_aged_to_the_time_asked_for(leaf):
    await leaf.write_events([event(ago_s=0)], NOW_US)
    features = UserFeatures.empty(SCHEMA)
    features.apply(event(ago_s=0))
    for days in (0, 1, 30):
        found = await state(leaf, as_of_us=NOW_US + days * DAY_US)
        assert np.allclose(found.dense, features.dense(NOW_US + days * DAY_US), atol=1e-6)


async def test_attributes_join_the_dense_features_and_survive_events(leaf):
    user = UserWrite(key("", "u"), "u", attributes={"plan": "paid", "age": 25.0}, ingest_time_us=NOW_US)
    await leaf.write_users([user], NOW_US)
    await leaf.write_events([event()], NOW_US)
    found = await state(leaf)
    assert found.dense[-2:].tolist() == [0.0, 1.0]
    assert found.history_keys.tolist() == [key("", "i")]


@each_log
async def test_concurrent_writes_for_one_user_lose_nothing(leaf):
    batches = [[event(item=f"i{n}-{k}", ago_s=1000 - n) for k in range(3)] for n in range(40)]
    answers = await asyncio.gather(*(leaf.write_events(batch, NOW_US) for batch in batches))
    assert sorted(a.position for a in answers) == list(range(3, 121, 3))
    found = await state(leaf)
    assert len(found.history_keys) == 120
    assert found.applied_position == 120
    assert set(found.seen_keys.tolist()) == {key("", f"i{n}-{k}") for n in range(40) for k in range(3)}


@each_log
async def test_a_repeated_event_id_counts_once_and_gives_the_same_token(leaf):
    first = await leaf.write_events([event(event_id="e1"), event(item="j", event_id="e2")], NOW_US)
    again = await leaf.write_events([event(event_id="e1"), event(event_id="e3"), event(event_id="e3")], NOW_US)
    assert first.position == 2
    assert (again.accepted, again.position) == (3, 3)
    alone = await leaf.write_events([event(item="j", event_id="e2")], NOW_US)
    assert (alone.accepted, alone.position) == (1, 2)
    other = await leaf.write_events([event(event_id="e1", tenant="t")], NOW_US)
    assert other.position == 4
    assert leaf.ingestion.repeats == 3


@each_log
async def test_event_ids_are_remembered_over_a_restart_within_the_horizon(new_leaf):
    leaf = new_leaf(deduplication_events=5)
    await leaf.start(NOW_US)
    await leaf.write_events([event(event_id=f"e{n}") for n in range(10)], NOW_US)
    await leaf.stop()
    leaf = new_leaf(deduplication_events=5)
    await leaf.start(NOW_US)
    assert (await leaf.write_events([event(event_id="e9")], NOW_US)).position == 10
    assert (await leaf.write_events([event(event_id="e0")], NOW_US)).position == 11
    assert len((await state(leaf)).history_keys) == 11


async def test_evaluation_and_personal_events_leave_item_counters_alone(leaf):
    await leaf.write_events([event("eval", context={"evaluation": "run"}), event("p", consent=2)], NOW_US)
    assert len((await state(leaf, "eval")).history_keys) == 1
    assert len((await state(leaf, "p")).history_keys) == 1
    assert await counters(leaf) is None


async def test_an_event_without_consent_is_counted_and_dropped(leaf):
    written = await leaf.write_events([event(consent=3)], NOW_US)
    assert (written.accepted, written.position) == (1, 0)
    assert not (await state(leaf)).found
    assert leaf.metrics()["dropped_without_consent"] == 1


@each_log
async def test_a_crash_between_log_and_store_is_mended_at_start(new_leaf, log_url):
    leaf = new_leaf()
    await leaf.start(NOW_US)
    await leaf.write_events([event(item="a"), event("v", "a")], NOW_US)
    await leaf.stop()
    log = open_event_log(log_url)
    log.append([record_of(event(item=item, ago_s=5), NOW_US) for item in ("b", "c")])
    log.close()
    leaf = new_leaf()
    await leaf.start(NOW_US)
    found = await state(leaf)
    assert found.history_keys.tolist() == [key("", item) for item in ("a", "b", "c")]
    assert found.applied_position == 4
    assert (await counters(leaf, "a"))["events"] == 2.0
    assert leaf.applied == 4


@each_log
async def test_entries_that_were_applied_before_the_crash_are_not_applied_twice(new_leaf):
    leaf = new_leaf()
    await leaf.start(NOW_US)
    await leaf.write_events([event(item="a"), event("v", "a"), event(item="a")], NOW_US)
    # As if the process had died before it noted how far it had come.
    await leaf.ingestion._projector.mark_applied(0)
    await leaf.stop()
    leaf = new_leaf()
    await leaf.start(NOW_US)
    assert len((await state(leaf)).history_keys) == 2
    assert (await counters(leaf, "a"))["events"] == 3.0


@each_log
async def test_an_emptied_store_is_rebuilt_from_the_log(new_leaf):
    leaf = new_leaf()
    await leaf.start(NOW_US)
    await leaf.write_events([event(item=f"i{n}", ago_s=n) for n in range(50)], NOW_US)
    await leaf.write_users([UserWrite(key("", "u"), "u", attributes={"plan": "free"}, ingest_time_us=NOW_US)], NOW_US)
    await leaf.write_items([ItemWrite(key("", "i1"), "i1", attributes={"genre": ["a"]})], NOW_US)
    before, item = await state(leaf), await counters(leaf, "i1")
    await leaf.store.pool.execute(command("FLUSHDB"), 1)
    await leaf.stop()
    leaf = new_leaf()
    await leaf.start(NOW_US)
    after = await state(leaf)
    assert np.array_equal(after.history_keys, before.history_keys)
    assert np.allclose(after.dense, before.dense, atol=1e-6)
    assert await counters(leaf, "i1") == item
    columns = dict(await leaf.fetch_features("item_state", np.array([key("", "i1")]), NOW_US, 1.0))
    assert columns["item_attributes:item_id"].cell(0) == "i1"


@each_log
async def test_a_lost_log_goes_on_beyond_what_the_store_has_applied(new_leaf, new_log):
    leaf = new_leaf()
    await leaf.start(NOW_US)
    await leaf.write_events([event(item="a"), event(item="b")], NOW_US)
    await leaf.stop()
    leaf = new_leaf(log=new_log())
    await leaf.start(NOW_US)
    written = await leaf.write_events([event(item="c")], NOW_US)
    assert written.position > 1_000_000
    assert len((await state(leaf)).history_keys) == 3


@each_log
async def test_a_log_that_is_shorter_than_the_store_is_refused(new_leaf, new_log):
    leaf = new_leaf()
    await leaf.start(NOW_US)
    await leaf.write_events([event(item="a"), event(item="b")], NOW_US)
    await leaf.stop()
    other = new_log()
    log = open_event_log(other)
    log.append([record_of(event(), NOW_US)])
    log.close()
    with pytest.raises(LogError, match=r"ends at position 1.*restore the log"):
        await new_leaf(log=other).start(NOW_US)


@each_log
async def test_a_second_process_on_one_log_is_refused_or_takes_over(new_leaf, log_url):
    first, second = new_leaf(), new_leaf()
    await first.start(NOW_US)
    if log_url.startswith("file:"):
        with pytest.raises(LogError, match="held by another process"):
            await second.start(NOW_US)
        return
    await first.write_events([event(item="a", ago_s=9)], NOW_US)
    await second.start(NOW_US)
    with pytest.raises(LogError, match="took"):
        await first.write_events([event(item="b")], NOW_US)
    assert not first.serving
    await second.write_events([event(item="c", ago_s=1)], NOW_US)
    assert (await state(second)).history_keys.tolist() == [key("", "a"), key("", "c")]
    assert second.ingestion.position == 2


async def test_a_token_is_waited_for_and_bounded_by_the_deadline(leaf):
    written = await leaf.write_events([event()], NOW_US)
    reading = asyncio.create_task(
        leaf.fetch_users(np.array([key("", "u")]), NOW_US, written.position + 1, deadline_s=2.0)
    )
    await asyncio.sleep(0.01)
    assert not reading.done()
    await leaf.write_events([event(item="later")], NOW_US)
    assert len((await reading).users[0].history_keys) == 2
    started = asyncio.get_running_loop().time()
    fetched = await leaf.fetch_users(np.array([key("", "u")]), NOW_US, 10**9, deadline_s=1.0)
    assert asyncio.get_running_loop().time() - started < 1.0
    assert fetched.events_applied_through == 2
    assert fetched.users[0].found


@each_log
async def test_a_full_backlog_refuses_the_batch_whole(new_leaf):
    leaf = new_leaf(max_backlog=1000)
    await leaf.start(NOW_US)
    batches = [leaf.write_events([event(item=f"{n}-{k}") for k in range(400)], NOW_US) for n in range(5)]
    answers = await asyncio.gather(*batches, return_exceptions=True)
    refused = [a for a in answers if isinstance(a, Overloaded)]
    assert len(refused) == 3
    assert all(r.retry_delay_ms > 0 for r in refused)
    assert leaf.ingestion.position == 800
    assert leaf.ingestion.backlog == 0
    assert (await leaf.write_events([event()], NOW_US)).accepted == 1


@each_log
async def test_a_store_that_is_out_is_caught_up_with_and_nothing_counts_twice(new_leaf, monkeypatch):
    leaf = new_leaf()
    await leaf.start(NOW_US)
    await leaf.write_events([event(item="a")], NOW_US)
    address = leaf.store.pool.address
    for wire in leaf.store.pool._wires:
        wire.close()
    monkeypatch.setattr(leaf.store.pool, "address", type(address).parse("redis://127.0.0.1:1/0"))
    with pytest.raises(StoreUnavailable, match="the log holds the entries"):
        await leaf.write_events([event(item="b")], NOW_US)
    with pytest.raises(StoreUnavailable, match="log is ahead"):
        await leaf.write_events([event(item="c")], NOW_US)
    with pytest.raises(StoreUnavailable):
        await state(leaf)
    monkeypatch.setattr(leaf.store.pool, "address", address)
    found = await state(leaf, minimum=2, deadline_s=4.0)
    assert found.history_keys.tolist() == [key("", "a"), key("", "b")]
    await asyncio.sleep(0.05)
    await leaf.write_events([event(item="c", ago_s=1)], NOW_US)
    assert (await state(leaf)).history_keys.tolist() == [key("", item) for item in "abc"]


@pytest.mark.parametrize("first", ["events", "items"])
@each_log
async def test_a_redis_that_comes_back_empty_while_running_is_rebuilt(leaf, first):
    await leaf.write_events([event(item="a", ago_s=9), event("v", "a")], NOW_US)
    await leaf.write_items([ItemWrite(key("", "a"), "a")], NOW_US)
    await leaf.store.pool.execute(command("FLUSHDB"), 1)
    for wire in leaf.store.pool._wires:
        wire.close()
    await asyncio.sleep(0.01)
    if first == "items":
        await leaf.write_items([ItemWrite(key("", "b"), "b")], NOW_US)
    await leaf.write_events([event(item="b", ago_s=5)], NOW_US)
    await leaf.write_items([ItemWrite(key("", "c"), "c")], NOW_US)
    assert (await state(leaf)).history_keys.tolist() == [key("", "a"), key("", "b")]
    assert (await state(leaf, "v")).found
    assert (await counters(leaf, "a"))["events"] == 2.0
    columns = dict(await leaf.fetch_features("item_state", np.array([key("", i) for i in "ac"]), NOW_US, 1.0))
    assert columns["item_attributes:item_id"].cells() == ["a", "c"]
    assert not leaf.ingestion.behind


async def lose_redis(leaf):
    """As if Redis had been started again, empty."""
    await leaf.store.pool.execute(command("FLUSHDB"), 1)
    for wire in leaf.store.pool._wires:
        wire.close()
    await asyncio.sleep(0.01)


async def test_nothing_is_read_of_a_store_that_a_write_found_emptied_until_it_is_rebuilt(leaf, monkeypatch):
    await leaf.write_events([event(item="a", type_="hide")], NOW_US)
    await lose_redis(leaf)
    rebuild, apply = asyncio.Event(), leaf.ingestion._projector.apply

    async def later(entries):
        await rebuild.wait()
        await apply(entries)

    monkeypatch.setattr(leaf.ingestion._projector, "apply", later)
    writing = asyncio.create_task(leaf.write_events([event(item="b")], NOW_US))
    await asyncio.sleep(0.05)
    read = await asyncio.gather(state(leaf), state(leaf), return_exceptions=True)
    rebuild.set()
    await writing
    assert [type(found) for found in read] == [StoreUnavailable, StoreUnavailable]
    assert (await state(leaf)).hidden_keys.tolist() == [key("", "a")]


async def test_what_was_read_of_an_emptied_store_is_not_answered_after_the_rebuild(leaf, monkeypatch):
    await leaf.write_events([event(item="a", type_="hide")], NOW_US)
    await lose_redis(leaf)
    read, found = leaf.store.read_rows, []

    async def slow(features, keys, as_of_us, timeout_s=None):
        rows = await read(features, keys, as_of_us, timeout_s)
        if timeout_s is not None and not found:
            found.append(rows)
            await leaf.write_events([event(item="b")], NOW_US)
        return rows

    monkeypatch.setattr(leaf.store, "read_rows", slow)
    assert (await state(leaf)).hidden_keys.tolist() == [key("", "a")]


async def test_written_items_come_back_too_where_a_write_of_events_found_the_store_emptied(leaf):
    await leaf.write_items([ItemWrite(key("", "a"), "a")], NOW_US)
    await leaf.write_events([event(item="a")], NOW_US)
    await lose_redis(leaf)
    await leaf.write_events([event(item="b")], NOW_US)
    columns = dict(await leaf.fetch_features("item_state", np.array([key("", "a")]), NOW_US, 1.0))
    assert columns["item_attributes:item_id"].cells() == ["a"]


async def test_a_store_lost_between_a_batch_and_its_checkpoint_is_rebuilt_also_where_another_was_told(
    leaf, monkeypatch
):
    await leaf.write_events([event(item="a", ago_s=9)], NOW_US)
    projector = leaf.ingestion._projector
    apply, lost = projector.apply, []

    async def lose_afterwards(entries):
        await apply(entries)
        if not lost:
            await lose_redis(leaf)
            with pytest.raises(StoreUnavailable) as told:
                await projector.applied()
            lost.append(told)
            await projector.applied()

    monkeypatch.setattr(projector, "apply", lose_afterwards)
    await leaf.write_events([event(item="b", ago_s=1)], NOW_US)
    assert (await state(leaf)).history_keys.tolist() == [key("", "a"), key("", "b")]


async def rebuilt(leaf):
    while leaf.ingestion.behind:  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def test_a_merge_is_never_judged_by_a_store_that_came_back_empty(leaf):
    def merge(into):
        session = identity_key("", anonymous_id="x")
        return leaf.merge_identities(IdentityMerge(session, key("", into), into, anonymous_id="x"))

    await merge("ann")
    await lose_redis(leaf)
    for _ in range(3):
        with pytest.raises((StoreUnavailable, InvalidArgument)):
            await merge("bob")
    await rebuilt(leaf)
    with pytest.raises(InvalidArgument, match="merged into another user before"):
        await merge("bob")


async def test_named_features_are_never_read_of_a_store_that_came_back_empty(leaf):
    await leaf.write_items([ItemWrite(key("", "a"), "a")], NOW_US)
    await leaf.write_events([event(item="a")], NOW_US)
    await lose_redis(leaf)
    with pytest.raises(StoreUnavailable, match="being rebuilt"):
        await counters(leaf, "a")
    await rebuilt(leaf)
    assert (await counters(leaf, "a"))["events"] == 1.0


@each_log
async def test_two_feature_stores_on_one_database_are_told_apart(leaf, new_leaf, new_log):
    await leaf.write_events([event(item="a")], NOW_US)
    second = new_leaf(log=new_log())
    await second.start(NOW_US)
    for _ in range(2):
        with pytest.raises(LogError, match="another feature store writes"):
            await leaf.write_events([event(item="b")], NOW_US)
    await second.write_events([event(item="c", ago_s=1)], NOW_US)
    assert (await state(second)).history_keys.tolist() == [key("", "a"), key("", "c")]
    assert not leaf.serving
    assert second.serving


async def picture(leaf) -> dict[bytes, bytes]:
    """What Redis holds, as its snapshot file would."""
    (names,) = await leaf.store.pool.execute(command("KEYS", "*"), 1)
    held = await leaf.store.pool.execute(b"".join(command("DUMP", name) for name in names), len(names))
    return dict(zip(names, held, strict=True))


async def come_back_as(leaf, held: dict[bytes, bytes]) -> None:
    """Redis crashes and starts again from a snapshot."""
    restored = b"".join(command("RESTORE", name, 0, value) for name, value in held.items())
    await leaf.store.pool.execute(command("FLUSHDB") + restored, len(held) + 1)
    for wire in leaf.store.pool._wires:
        wire.close()
    await asyncio.sleep(0.01)


async def test_a_redis_that_comes_back_with_an_earlier_process_s_snapshot_is_written_on(new_leaf):
    first = new_leaf()
    await first.start(NOW_US)
    await first.write_events([event(item="a", ago_s=9)], NOW_US)
    held = await picture(first)
    await first.stop()
    second = new_leaf()
    await second.start(NOW_US)  # Its number is the higher one also where the clock stands still.
    await second.write_events([event(item="b", ago_s=5)], NOW_US)
    await come_back_as(second, held)
    await second.write_events([event(item="c", ago_s=1)], NOW_US)
    assert second.serving
    assert (await state(second)).history_keys.tolist() == [key("", item) for item in "abc"]
    assert (await counters(second, "b"))["events"] == 1.0


@each_log
async def test_an_older_feature_store_stays_fenced_over_a_snapshot_of_its_own(leaf, new_leaf, new_log):
    await leaf.write_events([event(item="a", ago_s=9)], NOW_US)
    held = await picture(leaf)
    second = new_leaf(log=new_log())
    await second.start(NOW_US)
    await second.write_events([event(item="b", ago_s=5)], NOW_US)
    await come_back_as(second, held)
    await second.write_events([event(item="c", ago_s=1)], NOW_US)
    with pytest.raises(LogError, match="another feature store writes"):
        await leaf.write_events([event(item="d")], NOW_US)
    assert (leaf.metrics()["ingestion_fenced"], second.metrics()["ingestion_fenced"]) == (1.0, 0.0)


async def test_an_emptied_store_is_noticed_also_where_the_connection_stays(leaf):
    await leaf.write_events([event(item="a", ago_s=9), event("v", "a")], NOW_US)
    await leaf.store.pool.execute(command("FLUSHDB"), 1)
    await leaf.write_events([event(item="b", ago_s=5)], NOW_US)
    assert (await state(leaf)).history_keys.tolist() == [key("", "a"), key("", "b")]
    assert (await state(leaf, "v")).found


async def test_a_lost_connection_alone_costs_no_answer(leaf):
    for n in range(3):
        assert (await leaf.write_events([event(item=f"i{n}", ago_s=9 - n)], NOW_US)).position == n + 1
        for wire in leaf.store.pool._wires:
            wire.close()
        await asyncio.sleep(0.01)
    assert len((await state(leaf)).history_keys) == 3
    assert (await counters(leaf, "i0"))["events"] == 1.0


async def test_counters_of_another_schema_start_anew(new_leaf):
    leaf = new_leaf()
    await leaf.start(NOW_US)
    await leaf.write_events([event(item="a")], NOW_US)
    await leaf.stop()
    narrow = type(SCHEMA).default(has_times=False, has_values=False, item_attributes={}, user_attributes={})
    leaf = new_leaf(narrow)
    await leaf.start(NOW_US)
    found = await state(leaf)
    assert len(found.dense) == len(narrow.user_dense_names)
    assert found.history_keys.tolist() == [key("", "a")]
    await leaf.write_events([event(item="b", ago_s=1)], NOW_US)
    assert (await state(leaf)).history_keys.tolist() == [key("", "a"), key("", "b")]


async def test_feature_services_are_read_by_name(leaf):
    await leaf.write_events([event()], NOW_US)
    columns = dict(await leaf.fetch_features("user_state", np.array([key("", "u"), 5]), NOW_US, 1.0))
    assert columns["user_counters:applied_position"].cell(0) == 1
    assert columns["user_counters:applied_position"].cell(1) is None
    with pytest.raises(InvalidArgument, match=r"unknown feature service 'nothing'.*user_state"):
        await leaf.fetch_features("nothing", np.array([1]), NOW_US, 1.0)


async def test_a_thousand_events_of_many_users_are_written_quickly(leaf):
    events = [event(f"u{n % 300}", f"i{n % 97}", ago_s=5000 - n) for n in range(1000)]
    await leaf.write_events(events, NOW_US)
    started = time.process_time()
    await leaf.write_events(events, NOW_US)
    assert time.process_time() - started < 0.4
