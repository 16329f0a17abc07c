"""From a made-up dataset to slates that react and measured quality: the commands a person types, real everything."""

import json
import os
import subprocess
import sys
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
MEASURED = ("ranked", "retrieval")


class Person:
    """Somebody at a shell, with a run folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run = folder / "run"
        self.data = folder / "data"
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
            "--protocol", "time-split", "--max-targets", "40", *arguments,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

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


def test_a_stack_that_was_never_trained_comes_up_and_goes_down(person: Person) -> None:
    up = person.stack("up", "--services", "separate", "--data", person.data, "--recipe", "tiny")
    assert up.returncode == 0, up.stderr + tail(person.run / "supervisor.log")
    for name in ("redis", "feature_store", "candidate_gen", "ranker", "recommender"):
        assert f"{name} " in up.stdout
    status = json.loads(person.stack("status", "--json").stdout)
    assert [p["state"] for p in status["processes"]] == ["up"] * 5
    assert person.stack("status").returncode == 0

    again = person.stack("up", "--services", "separate")
    assert again.returncode == 0
    assert f"already up: front door {person.door}" in again.stdout

    reacts(person)
    agrees(person)

    down = person.stack("down")
    assert (down.returncode, down.stdout.strip()) == (0, "down")
    assert "down already" in person.stack("down").stdout
    assert person.stack("status").returncode == 1
    assert person.left_behind() == []


def test_standalone_serves_the_same_store_and_dies_with_its_supervisor(person: Person) -> None:
    up = person.stack("up")
    assert up.returncode == 0, up.stderr + tail(person.run / "supervisor.log")
    assert "standalone " in up.stdout
    assert not (person.run / "steps" / "materialize.log").stat().st_mtime > up_since(person)
    reacts(person)
    agrees(person)

    other = person.types("stack", "up", "--run", person.folder / "other", "--port", str(person.port))
    assert other.returncode == 1
    assert f"port {person.port} for standalone is in use by python" in other.stderr

    supervisor = Background(person.run).pid()
    processes = [p["pid"] for p in Background(person.run).status()["processes"]]
    assert supervisor is not None
    psutil.Process(supervisor).kill()
    psutil.wait_procs([psutil.Process(pid) for pid in processes if psutil.pid_exists(pid)], timeout=5)
    assert person.left_behind() == []
    assert "down" in person.stack("status").stdout


def up_since(person: Person) -> float:
    """When the first process of the running stack became healthy."""
    return min(p["since"] for p in Background(person.run).status()["processes"])


def reacts(person: Person) -> None:
    """A user's slate changes with a few events, and nothing liked stays on it."""
    manifest = json.loads(next((person.run / "bundles").glob("*/manifest.json")).read_text())
    users = json.loads(next((person.run / "bundles").glob("*/users/ids.json")).read_text())
    with Client(person.door) as client:
        change = make_change(client, users[3], manifest["tasks"])
        assert change.before.degraded_stages == change.after.degraded_stages == ()
        assert change.after.token_satisfied
        numbers = change.numbers()
        assert len(numbers["after"]) == 10
        assert numbers["new"] or numbers["moved"]
        assert not {item for _, item in numbers["events"]} & set(numbers["after"])
        stranger = client.recommend_items(10, user_id="nobody-knows")
        assert len(stranger.items) == 10


def agrees(person: Person) -> None:
    """The front door serves what the bundle is worth offline."""
    served, offline = person.evaluates("--through", person.door), person.evaluates()
    assert served["through"] == person.door
    assert served["degraded"] == {}
    assert served["targets_sha256"] == offline["targets_sha256"]
    for mask in ("masked", "unmasked"):
        for system in MEASURED:
            assert served["test"][mask][system] == pytest.approx(offline["test"][mask][system], abs=1e-3)
