"""The load generator: a slow server shows as latency, never as fewer calls."""

import asyncio
import os
import time

import numpy as np

from benchmarks.accounts import Accounts
from benchmarks.load import closed_loop, open_loop, poisson
from benchmarks.workload import Zipf, request_of
from penchant.v1.event_pb2 import Event
from penchant.v1.ingestion_service_pb2 import WriteEventsRequest


def test_arrivals_come_at_their_rate_and_in_order() -> None:
    due = poisson(1000.0, 20.0, np.random.default_rng(0))
    assert 19_000 < len(due) < 21_000
    assert (np.diff(due) >= 0).all()
    gaps = np.diff(due)
    assert 0.9 < gaps.std() / gaps.mean() < 1.1  # As an exponential law has it.


async def test_a_server_that_hangs_delays_no_later_call_and_its_latency_counts_from_when_they_were_due() -> None:
    open_again = asyncio.Event()

    async def hang(i: int) -> None:
        await open_again.wait()

    due = np.linspace(0.0, 0.2, 21)
    running = asyncio.create_task(open_loop(due, hang, time.perf_counter()))
    await asyncio.sleep(0.5)
    open_again.set()
    calls = await running
    latency = calls.done - calls.due
    assert np.isfinite(calls.begun).all()
    assert latency[0] >= 0.45
    assert latency[0] > latency[-1] >= 0.25


async def test_failures_are_counted_by_name_and_left_out_of_the_latency() -> None:
    async def odd_ones_fail(i: int) -> None:
        if i % 2:
            raise ConnectionResetError

    numbers = (await open_loop(np.zeros(10), odd_ones_fail, time.perf_counter())).numbers()
    assert numbers["failures"] == {"ConnectionResetError": 5}
    assert numbers["count"] == 5


async def test_the_warm_up_is_cut_off() -> None:
    async def nothing(i: int) -> None: ...

    calls = await open_loop(np.linspace(0.0, 0.1, 11), nothing, time.perf_counter())
    assert calls.numbers(warm_s=0.05)["count"] == 6


async def test_a_stopped_loop_begins_no_more_calls() -> None:
    stop = asyncio.Event()

    async def stop_at_the_third(i: int) -> None:
        if i == 2:
            stop.set()

    calls = await open_loop(np.linspace(0.0, 5.0, 501), stop_at_the_third, time.perf_counter(), stop)
    assert 3 <= len(calls.due) < 500
    assert np.isfinite(calls.done).all()


async def test_a_closed_loop_waits_for_its_answers() -> None:
    at_once = most = 0

    async def watched(i: int) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.005)
        at_once -= 1

    calls = await closed_loop(3, 0.1, watched, time.perf_counter())
    assert most == 3
    assert len(calls.done) >= 3


def test_a_process_is_charged_for_what_it_did() -> None:
    accounts = Accounts({"me": os.getpid()})
    accounts.sample()
    until = time.process_time() + 0.3
    while time.process_time() < until:
        pass
    accounts.sample()
    wall_s = accounts.at[1] - accounts.at[0]
    assert 0.2 < accounts.cores()["me"] * wall_s < 0.5
    assert accounts.memory()["me"]["last_mib"] > 1


def test_zipf_draws_the_first_most_and_never_beyond_the_last() -> None:
    drawn = Zipf.of(100, 1.0).draw(20_000, np.random.default_rng(0))
    counts = np.bincount(drawn, minlength=100)
    assert len(counts) == 100
    assert counts[0] > 1.5 * counts[1] > 0


def test_a_request_of_serialised_events_reads_as_one() -> None:
    events = [Event(user_id="u", item_id="i" * n, event_type="click") for n in (1, 200)]
    assert list(WriteEventsRequest.FromString(request_of([e.SerializeToString() for e in events])).events) == events
