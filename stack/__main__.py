"""python -m stack up | down | status: the stack on this machine, left running, with logs and a status."""

import argparse
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from penchant.bundle import current
from penchant.errors import PenchantError
from penchant.text_table import text_table
from stack import prepare
from stack.background import LOG, Background
from stack.data_choice import GENERATED, choose_data
from stack.layout import KINDS, PORT, ROOT, Layout
from stack.ports import require_free
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
        options.services,
        options.port,
    )
    try:
        return int(options.go(options, layout))
    except PenchantError as error:
        print(f"stack {options.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _up(options: argparse.Namespace, layout: Layout) -> int:
    """Trains first if no bundle is published."""
    background = Background(layout.run)
    if (pid := background.pid()) is not None:
        status = background.status()
        print(f"already {status.get('state', 'starting')}: front door {status.get('front_door')}, supervisor {pid}")
        return 0
    for name, port in layout.own_ports(own_redis=not options.redis).items():
        require_free(port, name)
    steps = Steps(layout.run / "steps")
    trained = current(layout.bundles) is not None
    if not trained or options.data:
        data = choose_data(options.data, ROOT / ".penchant" / "data", lambda f: _generate(steps, f), _say).folder
        if not trained:
            _say(f"no bundle in {layout.bundles} yet: training one")
            prepare.train(steps, data, layout, options.recipe, options.seed)
        if prepare.features_are_of(layout) != prepare.published_version(layout.bundles):
            prepare.replay_features(steps, data, layout)
    if not prepare.features_are_of(layout):
        _say("no offline features here: users start without a past (give --data to load theirs)")
    arguments = ["--run", layout.run, "--bundles", layout.bundles, "--services", layout.kind, "--port", options.port]
    environment = {prepare.REDIS_VARIABLE: options.redis} if options.redis else {}
    status = background.start([str(a) for a in arguments], environment, _UP_S, _say)
    _print_status(status, layout.run)
    return 0


def _generate(steps: Steps, folder: Path) -> None:
    steps.run("generate", "-m", "training", "generate", "--out", folder, *GENERATED)


def _down(options: argparse.Namespace, layout: Layout) -> int:
    """As often as you like."""
    print("down" if Background(layout.run).stop() else "nothing runs: it was down already")
    return 0


def _status(options: argparse.Namespace, layout: Layout) -> int:
    background = Background(layout.run)
    status = background.status()
    if background.pid() is None:
        status = {**status, "state": "down"}
        status.pop("processes", None)
    if options.json:
        print(json.dumps(status))
    elif status["state"] == "down":
        print("down: start it with `make up`")
    else:
        _print_status(status, layout.run)
    well = status["state"] == "up" and all(p["state"] == "up" for p in status["processes"])
    return 0 if well else 1


def _print_status(status: dict[str, object], run: Path) -> None:
    processes = status["processes"]
    assert isinstance(processes, list)
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
        for p in processes
    ]
    print(text_table(("process", "state", "pid", "port", "since", "restarts", "log"), rows))
    print(f"\n{status['state']}: front door {status.get('front_door')}, supervisor {status['pid']}, log {run / LOG}")


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
        command.add_argument("--services", choices=KINDS, default="standalone", help="one process, or one a service")
        command.add_argument("--port", type=int, default=PORT, help="of the front door; the others follow it")
        command.add_argument(
            "--redis",
            default=os.environ.get(prepare.REDIS_VARIABLE, ""),
            metavar="URL",
            help=f"a server of your own; default: {prepare.REDIS_VARIABLE}, and without it one is started",
        )
        if name == "up":
            command.add_argument("--data", type=Path, default=None, help="train on it if no bundle is published")
            command.add_argument("--recipe", default="default")
            command.add_argument("--seed", type=int, default=1)
        if name == "status":
            command.add_argument("--json", action="store_true")
    return parser


if __name__ == "__main__":
    sys.exit(main())
