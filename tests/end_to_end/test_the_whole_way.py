"""From a made-up dataset to slates that react and measured quality: the commands a person types, real everything."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from penchant.client import Client
from stack.background import Background
from stack.change import make_change
from stack.layout import LISTENERS, ROOT
from stack.ports import free_run, is_free
from stack.supervised import tail

pytestmark = pytest.mark.slow
SERVED = ("ranked", "retrieval")
TARGETS = "40"


class Person:
    """Somebody at a shell, with a run folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run = folder / "run"
        self.data = folder / "data"
        self.reacted = 0
        self.port = free_run(len(LISTENERS))
        self.door = f"127.0.0.1:{self.port}"

    def types(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", *map(str, arguments)],
            cwd=ROOT, env={**os.environ}, capture_output=True, text=True, timeout=280,
        )  # fmt: skip

    def stack(self, command: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return self.types("stack", command, "--run", self.run, "--port", str(self.port), *arguments)

    def evaluates(self, *arguments: str) -> dict[str, Any]:
        done = self.types(
            "training", "evaluate", "--data", self.data, "--bundles", self.run / "bundles",
            "--protocol", "time-split", "--max-targets", TARGETS, "--seed", "1", *arguments,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return last_line(done)

    def left_behind(self) -> list[str]:
        """Listening ports and processes of the run folder."""
        ports = [f"port {self.port + i}" for i in range(len(LISTENERS)) if not is_free(self.port + i)]
        ours = [
            " ".join(process.info["cmdline"])
            for process in psutil.process_iter(["cmdline", "environ"])
            if any(str(self.run) in text for text in process.info["cmdline"] or ())
            or any(str(self.run) in text for text in (process.info["environ"] or {}).values())
        ]
        return ports + ours


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    somebody = Person(tmp_path_factory.mktemp("person"))
    made = somebody.types(
        "training", "generate", "--out", somebody.data, "--users", "150", "--items", "120", "--events", "5000",
        "--seed", "3",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    yield somebody
    Background(somebody.run).stop()


@pytest.fixture(scope="module")
def demo(person: Person) -> dict[str, Any]:
    """The line that a demo in one process ended with."""
    done = person.types(
        "stack.demo", "--data", person.data, "--recipe", "tiny", "--run", person.run, "--max-targets", TARGETS,
        "--port", str(person.port),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "everything is stopped" in done.stderr
    assert person.left_behind() == []
    return last_line(done)


def test_a_demo_measures_through_the_front_door_what_the_bundle_is_worth(demo: dict[str, Any], person: Person) -> None:
    assert demo["through"] == person.door
    assert demo["data"] == {"folder": str(person.data), "origin": "given"}
    assert set(demo["seconds"]) >= {"fit", "features", "apply", "materialize", "start standalone", "evaluate"}
    assert demo["change"]["new"] or demo["change"]["moved"]
    agree(demo, person.evaluates())


def test_separate_services_come_up_serve_the_same_and_go_down(demo: dict[str, Any], person: Person) -> None:
    up = person.stack("up", "--services", "separate")
    assert up.returncode == 0, up.stderr + tail(person.run / "supervisor.log")
    for name in ("redis", "feature_store", "candidate_gen", "ranker", "recommender"):
        assert f"{name} " in up.stdout
    status = json.loads(person.stack("status", "--json").stdout)
    assert [p["state"] for p in status["processes"]] == ["up"] * 5

    again = person.stack("up")
    assert again.returncode == 0
    assert f"already up: front door {person.door}" in again.stdout
    other = person.types("stack", "up", "--run", person.folder / "other", "--port", str(person.port))
    assert other.returncode == 1
    assert f"port {person.port} for standalone is in use by python" in other.stderr

    reacts(person)
    agree(person.evaluates("--through", person.door), demo)

    assert person.stack("status").returncode == 0
    down = person.stack("down")
    assert (down.returncode, down.stdout.strip()) == (0, "down")
    assert person.left_behind() == []
    assert "down already" in person.stack("down").stdout
    assert person.stack("status").returncode == 1


def test_the_store_is_kept_and_a_killed_supervisor_leaves_nothing(demo: dict[str, Any], person: Person) -> None:
    loaded = (person.run / "steps" / "materialize.log").stat().st_mtime
    up = person.stack("up")
    assert up.returncode == 0, up.stderr + tail(person.run / "supervisor.log")
    assert (person.run / "steps" / "materialize.log").stat().st_mtime == loaded
    reacts(person)
    loses_its_store(person)
    reacts(person)

    supervisor = Background(person.run).pid()
    processes = [p["pid"] for p in Background(person.run).status()["processes"]]
    assert supervisor is not None
    psutil.Process(supervisor).kill()
    psutil.wait_procs([psutil.Process(pid) for pid in processes if psutil.pid_exists(pid)], timeout=5)
    assert person.left_behind() == []
    assert "down" in person.stack("status").stdout


def last_line(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def loses_its_store(person: Person) -> None:
    """Redis is killed, is started again with what was loaded, and the front door answers in full once more."""
    background = Background(person.run)
    redis = next(p for p in background.status()["processes"] if p["name"] == "redis")
    psutil.Process(redis["pid"]).kill()
    deadline = time.monotonic() + 60
    with Client(person.door) as client:
        while True:
            slate = client.recommend_items(10, user_id="somebody")
            assert len(slate.items) == 10
            now = background.status()["processes"][0]
            if now["state"] == "up" and now["pid"] != redis["pid"] and not slate.degraded_stages:
                break
            assert time.monotonic() < deadline, (now, slate.degraded_stages)
            time.sleep(0.1)


def reacts(person: Person) -> None:
    """A user's slate changes with a few events, and nothing liked stays on it."""
    manifest = json.loads(next((person.run / "bundles").glob("*/manifest.json")).read_text())
    users = json.loads(next((person.run / "bundles").glob("*/users/ids.json")).read_text())
    with Client(person.door) as client:
        person.reacted += 1  # Another one each time: who liked the same before has the slate of it already.
        change = make_change(client, users[2 + person.reacted], manifest["tasks"])
        assert change.before.degraded_stages == change.after.degraded_stages == ()
        assert change.after.token_satisfied
        numbers = change.numbers()
        assert len(numbers["after"]) == 10
        assert numbers["new"] or numbers["moved"]
        assert not {item for _, item in numbers["events"]} & set(numbers["after"])
        stranger = client.recommend_items(10, user_id="nobody-knows")
        assert len(stranger.items) == 10


def agree(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Two evaluations of one bundle, offline or through whatever door, measure the same."""
    assert one["targets_sha256"] == other["targets_sha256"]
    assert one["degraded"] == other["degraded"] == {}
    for mask in ("masked", "unmasked"):
        for system in SERVED:
            assert one["test"][mask][system] == pytest.approx(other["test"][mask][system], abs=1e-3)
