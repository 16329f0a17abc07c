"""Where everything of a stack lies, and which processes make it up."""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from stack.health import GrpcHealth
from stack.ports import free_run
from stack.supervised import ProcessSpec

ROOT = Path(__file__).resolve().parents[1]
"""Of the checkout: services, training and feature_repo start from here."""
KINDS = ("standalone", "separate")
PORT = 50051
"""Of the front door; the others follow in the order of LISTENERS."""
LISTENERS = ("recommender", "candidate_gen", "ranker", "feature_store", "redis")
"""standalone listens on recommender's."""

_MADE = ("bundles", "exposures", "feast", "log", "redis", "steps")


@dataclass(frozen=True, slots=True)
class Layout:
    """Folders and ports of one stack on this machine."""

    run: Path
    bundles: Path
    kind: str = "standalone"
    port: int = PORT
    host: str = "127.0.0.1"

    @property
    def ports(self) -> dict[str, int]:
        """By who listens."""
        return {name: self.port + i for i, name in enumerate(LISTENERS)}

    @property
    def offline(self) -> Path:
        """Feast's offline store and registry."""
        return self.run / "feast"

    @property
    def plan(self) -> Path:
        """The serving plan that the apply step compiles."""
        return self.offline / "plan.json"

    @property
    def front_door(self) -> str:
        """HOST:PORT that clients call."""
        return self._address("recommender")

    def said(self) -> dict[str, str]:
        """For the status file."""
        return {
            "front_door": self.front_door,
            "feature_store": self.front_door if self.kind == "standalone" else self._address("feature_store"),
            "services": self.kind,
            "bundles": str(self.bundles),
        }

    def clear(self) -> None:
        """Remove what an earlier stack of this folder made, and nothing else that may lie there."""
        for name in _MADE:
            shutil.rmtree(self.run / name, ignore_errors=True)

    def own_ports(self, own_redis: bool = True) -> dict[str, int]:
        """Ports that this stack listens on, by who does."""
        names = {"recommender": self.kind if self.kind == "standalone" else "recommender"}
        if self.kind == "separate":
            names |= {name: name for name in ("feature_store", "candidate_gen", "ranker")}
        if own_redis:
            names["redis"] = "redis"
        return {said: self.ports[name] for name, said in names.items()}

    def services(self, redis: str) -> list[ProcessSpec]:
        """The serving processes in the order they start: the front door last."""
        stored = {"redis": redis, "plan": str(self.plan), "log": str(self.run / "log")}
        exposures = {"exposures": str(self.run / "exposures")}
        if self.kind == "standalone":
            return [self._service("standalone", "recommender", {**stored, **exposures})]
        feature_store = {"feature_store": self._address("feature_store")}
        leaves = {name: self._address(name) for name in ("candidate_gen", "ranker")}
        return [
            self._service("feature_store", "feature_store", stored),
            self._service("candidate_gen", "candidate_gen", feature_store),
            self._service("ranker", "ranker", feature_store),
            self._service("recommender", "recommender", {**feature_store, **leaves, **exposures}),
        ]

    def _address(self, name: str) -> str:
        return f"{self.host}:{self.ports[name]}"

    def _service(self, name: str, port_name: str, settings: dict[str, str]) -> ProcessSpec:
        port = self.ports[port_name]
        told = {"host": self.host, "port": str(port), "bundles": str(self.bundles), **settings}
        return ProcessSpec(
            name,
            (sys.executable, "-m", f"services.{name}"),
            GrpcHealth(f"{self.host}:{port}"),
            (port,),
            {f"PENCHANT_{name.upper()}__{field.upper()}": value for field, value in told.items()},
            ROOT,
        )


def free_layout(run: Path, bundles: Path, kind: str, prefer: int = PORT) -> Layout:
    """A layout on ports that are free now: the preferred ones where they are."""
    return Layout(run, bundles, kind, free_run(len(LISTENERS), prefer))
