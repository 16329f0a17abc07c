"""Leaves that die or freeze under a running front door: the slate comes, in time, and names the stage."""

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from penchant.bundle import MANIFEST, publish
from penchant.cli import main
from penchant.errors import ServiceUnavailable
from penchant.writes import EventWrite
from stack.ports import free_port
from stack.redis_server import redis_spec
from stack.supervisor import Supervisor

DEADLINE_S = 2.0
"""The client gives up then: an answer is an answer in time."""


@pytest.fixture(scope="module")
def four(start_stack: Any, new_redis: Callable[[], str]) -> Any:
    """Four services, with a user who hid i1 and clicked i2 and i3."""
    stack = start_stack("separate", new_redis(), status_poll_s="0.1")
    events = [("hide", "i1"), ("click", "i2"), ("click", "i3")]
    written = stack.client().write_events(
        [EventWrite(user_id="ann", item_id=item, event_type=kind) for kind, item in events]
    )  # fmt: skip
    assert written.accepted == 3
    well(stack)
    return stack


def well(stack: Any) -> None:
    """Waits until slates come undegraded again."""
    client, deadline = stack.client(), time.monotonic() + 30
    while client.recommend_items(5, user_id="ann").degraded_stages:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@contextmanager
def frozen(stack: Any, *services: str) -> Iterator[None]:
    """The processes do nothing, and their connections stay open."""
    pids = [stack.pid(service) for service in services]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        well(stack)


@contextmanager
def killed(stack: Any, service: str) -> Iterator[None]:
    """The process is gone; the supervisor starts it again half a second later."""
    os.kill(stack.pid(service), signal.SIGKILL)
    try:
        yield
    finally:
        well(stack)


STAGES = {"ranker": "score", "candidate_gen": "retrieve", "feature_store": "hydrate_query"}


@pytest.mark.parametrize("service", STAGES)
@pytest.mark.parametrize("fault", [killed, frozen])
def test_a_lost_leaf_costs_its_stage_and_no_more(four: Any, service: str, fault: Any) -> None:
    client = four.client(deadline_s=DEADLINE_S)
    with fault(four, service):
        slate = client.recommend_items(10, user_id="ann")
    assert len({item.item_id for item in slate.items}) == 10
    (stage,) = slate.degraded_stages
    assert stage.startswith(f"{STAGES[service]}:")
    if service != "feature_store":
        assert not {"i1", "i2", "i3"} & {item.item_id for item in slate.items}
    assert bool(slate.items[0].task_scores) == (service != "ranker")


def test_frozen_leaves_altogether_still_leave_a_slate_in_time(four: Any) -> None:
    client = four.client(deadline_s=DEADLINE_S)
    with frozen(four, *STAGES):
        slate = client.recommend_items(10, user_id="ann")
    assert len(slate.items) == 10
    assert {stage.split(":")[0] for stage in slate.degraded_stages} == set(STAGES.values())


def test_a_frozen_store_does_not_hold_a_write_beyond_its_deadline(four: Any) -> None:
    client = four.client(deadline_s=0.5)
    with frozen(four, "feature_store"):
        started = time.monotonic()
        with pytest.raises(ServiceUnavailable):
            client.write_events([EventWrite(user_id="ann", item_id="i4", event_type="view")])
        assert time.monotonic() - started < 5.0


def test_a_new_bundle_takes_over_without_one_degraded_answer(four: Any) -> None:
    folder = four.bundles / "walks-2"
    shutil.copytree(four.bundles / "walks-1", folder)
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps({**manifest, "version": "walks-2"}))
    client, versions = four.client(), set()
    publish(four.bundles, "walks-2")
    deadline = time.monotonic() + 30
    while "walks-2" not in versions:
        assert time.monotonic() < deadline
        slate = client.recommend_items(10, user_id="ann")
        assert (len(slate.items), slate.degraded_stages) == (10, ())
        versions.add(slate.versions.bundle)
    assert versions <= {"walks-1", "walks-2"}


def test_the_front_door_itself_never_went_down(four: Any) -> None:
    assert four.supervisor.process("recommender")["restarts"] == 0
    assert "Traceback" not in (four.folder / "run" / "recommender.log").read_text()


@pytest.fixture(scope="module")
def one(start_stack: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Supervisor]]:
    """A standalone stack with a Redis of its own, and the supervisor of that Redis."""
    folder = tmp_path_factory.mktemp("redis")
    with Supervisor(folder / "run") as supervisor:
        spec, url = redis_spec(folder, free_port())
        supervisor.start(spec)
        stack = start_stack("standalone", url)
        assert stack.client().write_events([EventWrite(user_id="ann", item_id="i1", event_type="hide")]).accepted
        yield stack, supervisor


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP])
def test_a_lost_redis_costs_the_users_state_and_no_more(one: tuple[Any, Supervisor], fault: signal.Signals) -> None:
    stack, supervisor = one
    client = stack.client(deadline_s=DEADLINE_S)
    pid = supervisor.process("redis")["pid"]
    os.kill(pid, fault)
    try:
        slate = client.recommend_items(10, user_id="ann")
    finally:
        if fault is signal.SIGSTOP:
            os.kill(pid, signal.SIGCONT)
    assert len(slate.items) == 10
    assert slate.items[0].task_scores
    assert [stage.split(":")[0] for stage in slate.degraded_stages] == ["hydrate_query"]
    well(stack)
    assert "i1" not in {item.item_id for item in client.recommend_items(1000, user_id="ann").items}


def test_the_command_passes_on_what_the_server_says_of_a_frozen_redis(
    one: tuple[Any, Supervisor], tmp_path: Path, capsys: Any
) -> None:
    stack, supervisor = one
    file = tmp_path / "events.csv"
    file.write_text("user_id,item_id,event_type\nann,i2,click\n")
    pid = supervisor.process("redis")["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        status = main(["send", str(file), "--address", stack.address, "--deadline", "20"])
    finally:
        os.kill(pid, signal.SIGCONT)
    said = capsys.readouterr().err
    assert status == 1
    assert "Redis" in said
    assert "make up" not in said
    well(stack)
