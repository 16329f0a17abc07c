"""Whole stacks as processes of their own: real Redis, real Feast plan, a real if tiny bundle, real gRPC."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
from tiny_bundle import generated, write_bundle

from penchant.client import Client
from stack.health import GrpcHealth
from stack.ports import free_port
from stack.supervised import ProcessSpec
from stack.supervisor import BackOff, Supervisor
from training.data.split import split

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def plan(new_redis: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The serving plan, compiled by the step that a deployment runs."""
    folder = tmp_path_factory.mktemp("feast")
    command = [
        sys.executable,
        "-m",
        "feature_repo",
        "apply",
        "--offline",
        str(folder),
        "--plan",
        str(folder / "plan.json"),
    ]
    environment = {**os.environ, "PENCHANT_FEATURE_STORE__REDIS": new_redis()}
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, timeout=120)
    return folder / "plan.json"


@dataclass
class Deployment:
    """Running processes and where they listen, by service."""

    supervisor: Supervisor
    ports: dict[str, int]
    bundles: Path
    folder: Path
    clients: list[Client] = field(default_factory=list)

    @property
    def address(self) -> str:
        """Of the front door."""
        return f"127.0.0.1:{self.ports.get('standalone') or self.ports['recommender']}"

    def client(self, deadline_s: float = 10.0) -> Client:
        """A client of the front door, closed at the end."""
        self.clients.append(Client(self.address, deadline_s=deadline_s))
        return self.clients[-1]

    def channel(self) -> grpc.Channel:
        """A bare channel to the front door."""
        return grpc.insecure_channel(self.address)

    def pid(self, service: str) -> int:
        """Of a process."""
        pid = self.supervisor.process(service)["pid"]
        assert isinstance(pid, int)
        return pid


StartStack = Callable[..., Deployment]


@pytest.fixture(scope="module")
def start_stack(plan: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartStack]:
    """Starts deployments, "standalone" or "separate", and stops them when the module's tests are done.

    Each has folders of its own; Redis and the folder of bundles may be shared.
    """
    running: list[Deployment] = []

    def start(kind: str, redis: str, bundles: Path | None = None, **settings: str) -> Deployment:
        folder = tmp_path_factory.mktemp(kind)
        if bundles is None:
            bundles = folder / "bundles"
            dataset = generated()
            write_bundle(dataset, split(dataset, "time-split"), bundles)
        supervisor = Supervisor(folder / "run", BackOff(first_s=0.5))
        deployment = Deployment(supervisor, {}, bundles, folder)
        running.append(deployment)
        stored = {"redis": redis, "plan": str(plan), "log": str(folder / "log")}
        if "policy" in settings:
            stored["policy"] = settings["policy"]
        shown = {"exposures": str(folder / "exposures"), **settings}
        if kind == "standalone":
            _start(deployment, "standalone", {**stored, **shown})
            return deployment
        _start(deployment, "feature_store", stored)
        store = {"feature_store": f"127.0.0.1:{deployment.ports['feature_store']}"}
        for leaf in ("candidate_gen", "ranker"):
            _start(deployment, leaf, store)
        leaves = {leaf: f"127.0.0.1:{deployment.ports[leaf]}" for leaf in ("candidate_gen", "ranker")}
        _start(deployment, "recommender", {**store, **leaves, **shown})
        return deployment

    yield start
    for deployment in running:
        for client in deployment.clients:
            client.close()
        deployment.supervisor.stop()


def _start(deployment: Deployment, service: str, settings: dict[str, str]) -> None:
    port = deployment.ports[service] = free_port()
    told = {"port": str(port), "bundles": str(deployment.bundles), "bundle_poll_s": "0.1", **settings}
    deployment.supervisor.start(
        ProcessSpec(
            service,
            (sys.executable, "-m", f"services.{service}"),
            GrpcHealth(f"127.0.0.1:{port}"),
            (port,),
            {f"PENCHANT_{service.upper()}__{name.upper()}": value for name, value in told.items()},
            ROOT,
        )
    )
