"""The test stand: a standalone stack with a Redis of its own and a published bundle, and who is to pay for what."""

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import redis

from benchmarks.accounts import Accounts
from penchant.bundle import current
from penchant.errors import ConfigError
from stack import prepare
from stack.layout import ROOT, Layout, free_layout
from stack.running import running
from stack.steps import Steps
from stack.supervisor import Supervisor

CLIENT, SERVER, REDIS = "client", "standalone", "redis"
_OWN_PORT = 52051
"""Away from those of a stack that may be up."""


@dataclass(frozen=True, slots=True)
class Stand:
    """A running stack: where it listens, what it serves, whose CPU counts."""

    address: str
    bundles: Path
    redis_url: str
    supervisor: Supervisor
    out: Path
    layout: Layout

    @property
    def bundle(self) -> Path:
        """Folder of the published bundle."""
        folder = current(self.bundles)
        if folder is None:
            raise ConfigError(f"{self.bundles} publishes no bundle: give --data, or train one")
        return folder

    def accounts(self) -> Accounts:
        """Of this process, the servers and Redis."""
        names = [one["name"] for one in self.supervisor.status()["processes"]]
        return Accounts({CLIENT: os.getpid(), **{name: self._pid(name) for name in names}})

    def redis_used_bytes(self) -> int:
        """What Redis says its data takes."""
        with redis.Redis.from_url(self.redis_url) as client:
            return int(client.info("memory")["used_memory"])

    def _pid(self, name: str) -> int:
        pid = self.supervisor.process(name)["pid"]
        if not isinstance(pid, int):
            raise ConfigError(f"{name} does not run: see {self.supervisor.folder / name}.log")
        return pid


def add_options(parser: argparse.ArgumentParser) -> None:
    """What every benchmark can be told."""
    parser.add_argument("--bundles", type=Path, default=None, help="a folder with a published bundle to serve")
    parser.add_argument("--data", type=Path, default=None, help="a dataset folder to train one on, once")
    parser.add_argument("--recipe", default="default", help="of the training")
    parser.add_argument("--run", type=Path, default=ROOT / ".penchant" / "bench", help="folder of everything it makes")
    parser.add_argument("--seed", type=int, default=1, help="of arrivals, users and items")


def add_load_options(parser: argparse.ArgumentParser, slate_rate: float, slates: str = "a second") -> None:
    """What a benchmark under slates can be told of them and of who asks."""
    parser.add_argument("--slate-rate", type=float, default=slate_rate, help=slates)
    parser.add_argument("--histories", type=int, default=20_000, help="events written before the load")
    parser.add_argument("--users", type=int, default=2000)
    parser.add_argument("--zipf", type=float, default=0.8, help="exponent of users and items")


@contextlib.contextmanager
def stand(options: argparse.Namespace) -> Iterator[Stand]:
    """A stack of its own inside the block, with an empty log and store; gone after it. Raises PenchantError.

    options.services: a kind of stack, where a benchmark can be told; standalone without.
    """
    run = options.run.resolve()
    kind = getattr(options, "services", SERVER)
    bundles = trained(options, run) if options.bundles is None else options.bundles.resolve()
    layout = free_layout(run / "stack", bundles, kind, _OWN_PORT)
    layout.clear()
    steps = Steps(layout.run / "steps")
    with running(layout, steps, say=say) as supervisor:
        configuration = (layout.run / "redis" / "redis.conf").read_text().splitlines()
        password = next(line.split()[1] for line in configuration if line.startswith("requirepass"))
        url = f"redis://:{password}@127.0.0.1:{layout.ports['redis']}/0"
        out = run / "results"
        out.mkdir(parents=True, exist_ok=True)
        yield Stand(layout.front_door, bundles, url, supervisor, out, layout)


def trained(options: argparse.Namespace, run: Path) -> Path:
    """The folder of bundles trained on options.data, trained now if it is not there yet."""
    if options.data is None:
        raise ConfigError("no bundle to serve: give --bundles FOLDER, or --data FOLDER to train one")
    bundles: Path = run / f"trained-{options.data.resolve().name}" / "bundles"
    if current(bundles) is None:
        layout = free_layout(bundles.parent, bundles, "standalone", _OWN_PORT)
        prepare.train(Steps(bundles.parent / "steps"), options.data, layout, options.recipe, options.seed)
    return bundles


def say(text: str) -> None:
    """For people: stdout's last line is for programs."""
    print(text, file=sys.stderr, flush=True)


Say = Callable[[str], None]
