"""python -m stack up | down | status: the stack on this machine, left running, with logs and a status."""

import argparse
import functools
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from penchant.bundle import current
from penchant.client import Client
from penchant.errors import ConfigError, PenchantError
from penchant.text_table import text_table
from stack import prepare, published
from stack.background import LOG, Background
from stack.data_choice import GENERATED, choose_data
from stack.layout import KINDS, LISTENERS, PORT, ROOT, Layout
from stack.ports import first_port, require_free
from stack.running import running
from stack.steps import Steps

DEFAULT_RUN = ROOT / ".penchant" / "up"
_UP_S = 300.0


def main(argv: Sequence[str] | None = None) -> int:
    """0 all well (status: everything is up); 1 it is not up, or did not come up; 2 wrong arguments."""
    options = _parser().parse_args(argv)
    layout = Layout(
        options.run.resolve(),
        (options.bundles or options.run / "bundles").resolve(),
        options.services or KINDS[0],
        options.port or PORT,
    )
    try:
        return int(options.go(options, layout))
    except PenchantError as error:
        print(f"stack {options.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"stack {options.command}: interrupted; what it started is stopped", file=sys.stderr)
        return 130


def _up(options: argparse.Namespace, layout: Layout) -> int:
    """Trains first if no bundle is published."""
    signal.signal(signal.SIGTERM, _interrupt)
    background = Background(layout.run)
    with background.starting():
        if (pid := background.pid()) is not None:
            return _already(options, background.status(), pid)
        background.describe("starting", "looking at what is published", layout.said())
        _prepare(options, layout, background)
        arguments = ["--run", layout.run, "--bundles", layout.bundles, "--services", layout.kind, "--port", layout.port]
        environment = {prepare.REDIS_VARIABLE: options.redis} if options.redis else {}
        status = background.start([str(a) for a in arguments], environment, _UP_S, _say)
    _print_status(status, layout.run)
    return 0


def _already(options: argparse.Namespace, status: dict[str, Any], pid: int) -> int:
    """What runs is what was asked for, or a ConfigError says how it differs."""
    asked = {"services": options.services, "front_door": options.port and f"127.0.0.1:{options.port}"}
    for name, wanted in asked.items():
        runs = status.get(name, wanted)
        if wanted and wanted != runs:
            raise ConfigError(
                f"the stack runs already, with {name.replace('_', ' ')} {runs}, not {wanted}: `make down` first, or "
                'start a second one with ARGS="--run FOLDER --port N"'
            )
    if "bundles" in status and not options.retrain:
        runs_in = Layout(options.run.resolve(), Path(status["bundles"]))
        published.require_asked_for(runs_in, options.data, options.recipe)
    if options.retrain:
        raise ConfigError("the stack runs already: `make down` first, then train again")
    print(f"already {status.get('state', 'starting')}: front door {status.get('front_door')}, supervisor {pid}")
    return 0


def _prepare(options: argparse.Namespace, layout: Layout, background: Background) -> None:
    """A whole bundle is published, of what was asked for, and its features lie there where data is named."""
    for name, port in layout.own_ports(own_redis=not options.redis).items():
        require_free(port, name)
    prepare.require_redis(options.redis)
    if options.retrain and not options.data:
        raise ConfigError("--retrain needs the data to train on: make up DATA=folder ARGS=--retrain")
    trained = not options.retrain and current(layout.bundles) is not None
    if trained:
        published.require_whole(layout.bundles)
        published.require_asked_for(layout, options.data, options.recipe)
    steps = Steps(layout.run / "steps")
    if not trained or options.data:
        data = choose_data(options.data, ROOT / ".penchant" / "data", lambda f: _generate(steps, f), _say).folder
        if not trained:
            _say(f"training a bundle for {layout.bundles}")
            background.describe("training", f"log {layout.run / 'steps' / 'fit.log'}", layout.said())
            prepare.train(steps, data, layout, options.recipe or "default", options.seed)
            published.remember(layout, data)
            background.describe("starting", "trained", layout.said())
        if prepare.features_are_of(layout) != prepare.published_version(layout.bundles):
            prepare.replay_features(steps, data, layout)
    if not prepare.features_are_of(layout):
        _say("no offline features here: users start without a past (give --data to load theirs)")


def _generate(steps: Steps, folder: Path) -> None:
    steps.run("generate", "-m", "training", "generate", "--out", folder, *GENERATED)


def _down(options: argparse.Namespace, layout: Layout) -> int:
    """As often as you like."""
    print("down" if Background(layout.run).stop() else "nothing runs: it was down already")
    return 0


def _status(options: argparse.Namespace, layout: Layout) -> int:
    background = Background(layout.run)
    status: dict[str, Any] = {"state": "starting", "processes": [], **background.status()}
    pid, starter = background.pid(), background.starter()
    if pid is None and starter is None:
        status = {**status, "state": "down"}
        status.pop("processes")
    elif pid is None:
        status["pid"] = starter
    status["trouble"] = _trouble(status) if status["state"] == "up" else ""
    if options.json:
        print(json.dumps(status))
    elif status["state"] == "down":
        print("down: start it with `make up`")
    elif pid is None:
        print(f"{status['state']} (pid {starter}): {status.get('message') or 'started a moment ago'}")
    else:
        _print_status(status, layout.run)
    well = status["state"] == "up" and all(p["state"] == "up" for p in status["processes"]) and not status["trouble"]
    return 0 if well else 1


def _trouble(status: dict[str, Any]) -> str:
    """In words: what the running feature store says is wrong with writing; "" if nothing is."""
    if "feature_store" not in status:
        return ""
    try:
        with Client(status["feature_store"], os.environ.get("PENCHANT_TOKEN", ""), deadline_s=2.0) as client:
            return client.status().trouble()
    except PenchantError as error:
        return f"the feature store does not say how it is: {error}"


def _print_status(status: dict[str, Any], run: Path) -> None:
    if status.get("trouble"):
        print(f"degraded: {status['trouble']}\n")
    rows = [
        (
            p["name"],
            p["state"],
            str(p["pid"] or "-"),
            " ".join(map(str, p["ports"])),
            f"{time.time() - p['since']:.0f} s",
            str(p["restarts"]),
            p["log"],
        )
        for p in status["processes"]
    ]
    print(text_table(("process", "state", "pid", "port", "since", "restarts", "log"), rows))
    said = f" ({status['message']})" if status.get("message") else ""
    runs = f"front door {status.get('front_door')}, supervisor {status.get('pid')}, log {run / LOG}"
    print(f"\n{status['state']}{said}: {runs}")


def _supervise(options: argparse.Namespace, layout: Layout) -> int:
    """What `up` leaves running. SIGTERM ends it, its processes first."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    background = Background(layout.run)
    background.hold()
    steps = Steps(layout.run / "steps")
    try:
        with running(layout, steps, options.redis, keep=True, say=print):
            print("up", flush=True)
            while True:
                signal.pause()
    except _Leave:
        return 0


class _Leave(BaseException):
    """SIGTERM."""


def _interrupt(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def _leave(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: what follows must not be interrupted
    raise _Leave


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stack", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, go, said in (
        ("up", _up, "train if nothing is published, start everything, leave it running"),
        ("down", _down, "stop everything"),
        ("status", _status, "what runs"),
        ("supervise", _supervise, "what `up` leaves running; in the foreground"),
    ):
        command = commands.add_parser(name, help=said)
        command.set_defaults(go=go)
        command.add_argument(
            "--run", type=Path, default=DEFAULT_RUN, help="folder of logs, status, store and event log"
        )
        command.add_argument("--bundles", type=Path, default=None, help="folder of bundles; default: RUN/bundles")
        command.add_argument(
            "--services", choices=KINDS, default=None, help="one process (standalone), or one a service"
        )
        command.add_argument(
            "--port", type=functools.partial(first_port, len(LISTENERS) - 1), default=None,
            help=f"of the front door ({PORT}); the others follow it",
        )  # fmt: skip
        command.add_argument(
            "--redis",
            default=os.environ.get(prepare.REDIS_VARIABLE, ""),
            metavar="URL",
            help=f"a server of your own; default: {prepare.REDIS_VARIABLE}, and without it one is started",
        )
        if name == "up":
            command.add_argument("--data", type=Path, default=None, help="train on it if no bundle is published")
            command.add_argument("--recipe", default=None, help="to train by; a published bundle must be of it")
            command.add_argument("--retrain", action="store_true", help="train and publish, also where a bundle is")
            command.add_argument("--seed", type=int, default=1)
        if name == "status":
            command.add_argument("--json", action="store_true")
    return parser


if __name__ == "__main__":
    sys.exit(main())
