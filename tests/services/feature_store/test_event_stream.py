"""A stream of batches: answered in order, held back while the backlog is full, and honest about where it broke."""

import asyncio

import grpc
import numpy as np
import pytest
from store_world import NOW_US, event
from test_feature_store_server import click, door, refused

from penchant.client import AsyncClient, Client
from penchant.errors import InvalidArgument, Overloaded, ServiceUnavailable, StoreUnavailable
from penchant.ids import key
from penchant.v1 import ingestion_service_pb2
from penchant.writes import EventWrite
from services.feature_store.event_stream import AHEAD, answered_in_order

__all__ = ["door"]
Request = ingestion_service_pb2.StreamEventsRequest


async def of(values):
    for value in values:
        yield value


async def test_every_message_has_its_answer_in_order_with_its_own_rejections(door, leaf):
    batches = [[click(item_id=f"{n}"), click(event_type="dance"), click(item_id=f"{n}b")] for n in range(30)]
    call = door[1].StreamEvents(of([Request(events=batch) for batch in batches]))
    answers = [answer async for answer in call]
    assert [answer.token.position for answer in answers] == [2 * n for n in range(1, 31)]
    assert {(r.index, r.field) for answer in answers for r in answer.rejections} == {(1, "event_type")}
    assert all(answer.accepted == 2 for answer in answers)
    fetched = await leaf.fetch_users(np.array([key("", "u")]), NOW_US, 0, 5.0)
    assert fetched.users[0].history_keys.tolist() == [key("", f"{n}{b}") for n in range(30) for b in ("", "b")]


async def test_a_message_out_of_bounds_ends_the_stream_after_the_answers_before_it(door):
    call = door[1].StreamEvents(of([Request(events=[click()]), Request(), Request(events=[click()])]))
    assert (await call.read()).accepted == 1
    error = await refused(call.read())
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "events" in error.details()


async def test_a_full_backlog_holds_the_stream_back_and_nothing_overtakes():
    begun, room = [], asyncio.Event()

    def begin(number):
        if number == 3 and not room.is_set():
            raise Overloaded("full", 5)
        begun.append(number)

        async def answer():
            return number

        return answer

    answers = answered_in_order(of(range(100)), begin)
    assert [await anext(answers) for _ in range(3)] == [0, 1, 2]
    waiting = asyncio.ensure_future(anext(answers))
    await asyncio.sleep(0.05)
    assert begun == [0, 1, 2]
    assert not waiting.done()
    room.set()
    assert await waiting == 3
    assert [n async for n in answers] == list(range(4, 100))


async def test_what_waits_for_its_answer_is_bounded():
    taken, settled = [], asyncio.Event()

    def begin(number):
        taken.append(number)

        async def answer():
            await settled.wait()
            return number

        return answer

    answers = answered_in_order(of(range(1000)), begin)
    first = asyncio.ensure_future(anext(answers))
    await asyncio.sleep(0.05)
    assert len(taken) <= AHEAD + 2
    settled.set()
    assert await first == 0
    await answers.aclose()


async def test_a_stream_that_fails_says_the_errors_name_and_the_answers_before_it_stand():
    async def broken():
        raise StoreUnavailable("out")

    async def fine():
        return 1

    answers = answered_in_order(of([fine, fine, broken, fine]), lambda answer: answer)
    assert [await anext(answers), await anext(answers)] == [1, 1]
    with pytest.raises(StoreUnavailable):
        await anext(answers)


async def test_both_clients_stream_and_a_closed_server_is_an_error_of_ours(door, leaf):
    address = door[2]
    batches = [[EventWrite(event_type="click", user_id="ann", item_id=f"{n}")] * 3 for n in range(20)]
    async with AsyncClient(address) as client:
        answers = [written async for written in client.stream_events(batches)]
        assert [(w.accepted, w.position) for w in answers] == [(3, 3 * n) for n in range(1, 21)]
        with pytest.raises(InvalidArgument, match=r"events\[0\].position"):
            [w async for w in client.stream_events(of([[EventWrite(event_type="view", position=-1)]]))]

    def blocking():
        with Client(address) as client:
            done = [written.position for written in client.stream_events(batches)]
            with pytest.raises(InvalidArgument, match=r"events\[0\].position"):
                list(client.stream_events([[EventWrite(event_type="view", position=-1)]]))
            return done

    assert await asyncio.to_thread(blocking) == [60 + 3 * n for n in range(1, 21)]
    async with AsyncClient("127.0.0.1:1") as nobody:
        with pytest.raises(ServiceUnavailable):
            [w async for w in nobody.stream_events(batches)]


async def test_begun_batches_keep_the_order_of_the_calls(leaf):
    begun = [leaf.begin_events([event(item=f"{n}")], NOW_US) for n in range(10)]
    assert [(await b.written()).position for b in begun] == list(range(1, 11))
