"""python -m stack.demo: from data to slates that react and measured quality, in one go, and nothing left running."""

import argparse
import functools
import json
import signal
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from penchant.bundle import current, read_manifest
from penchant.client import Client
from penchant.errors import PenchantError
from penchant.text_table import text_table
from stack import prepare, published
from stack.background import Background
from stack.change import make_change
from stack.data_choice import GENERATED, choose_data
from stack.layout import KINDS, LISTENERS, PORT, ROOT, free_layout
from stack.ports import first_port
from stack.running import running
from stack.steps import Steps
from stack.titles import item_titles

MAX_TARGETS = 1500
"""Of the evaluation through the front door: four slates each."""
_ASKED = 100


def main(argv: Sequence[str] | None = None) -> int:
    """0, or 1 with the failing step's last words; the last line of stdout is the JSON object of what was measured."""
    options = _parser().parse_args(argv)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        found = demo(options)
    except PenchantError as error:
        _say(f"\ndemo: {error}")
        return 1
    except KeyboardInterrupt:
        _say("\ndemo: interrupted; everything is stopped")
        return 130
    print(json.dumps(found), flush=True)
    return 0


def demo(options: argparse.Namespace) -> dict[str, Any]:
    """Everything, in the order it happens. Raises PenchantError."""
    started = time.monotonic()
    run = options.run.resolve()
    prepare.require_redis(options.redis)
    background = Background(run)
    background.hold()
    layout = free_layout(run, run / "bundles", options.services, options.port)
    layout.clear()
    background.describe("training", f"log {run / 'steps' / 'fit.log'}", layout.said())
    steps = Steps(run / "steps")
    with steps.timed("choose data"):
        data = choose_data(options.data, ROOT / ".penchant" / "data", lambda folder: _generate(steps, folder), _say)

    _head("Training retrieval and ranking, and publishing a bundle")
    fit = prepare.train(steps, data.folder, layout, options.recipe, options.seed)
    published.remember(layout, data.folder)
    _head("Replaying the features of every user and item up to the bundle's cut")
    features = prepare.replay_features(steps, data.folder, layout)
    _head(f"Starting the stack ({layout.kind}), front door {layout.front_door}")
    with running(layout, steps, options.redis, say=_say) as supervisor, Client(layout.front_door) as client:
        bundle = current(layout.bundles)
        assert bundle is not None
        manifest = read_manifest(bundle)
        user = options.user or _someone(bundle)
        _head(f"User {user}: a slate, a few events, and the slate that follows")
        with steps.timed("show change"):
            change = make_change(client, user, manifest.tasks)
        titles = item_titles(data.folder)
        _say("sent: " + ", ".join(f"{t} {i} {titles.get(i, '')}".rstrip() for t, i in change.events))
        _say(f"the new slate came {change.seconds * 1000:.0f} ms after the first event was sent\n")
        _say(change.table(titles))
        with steps.timed("time slates"):
            slate_ms = _slate_times(client, user)
        _head(f"Evaluating on the held-out part through {layout.front_door}")
        measured = steps.run(
            "evaluate", "-m", "training", "evaluate", "--data", data.folder, "--bundles", layout.bundles,
            "--protocol", prepare.protocol_of(layout.bundles), "--through", layout.front_door,
            "--max-targets", str(options.max_targets), "--seed", str(options.seed), "--max-slates", "200",
            "--report", layout.run / "report.html",
        )  # fmt: skip
        supervisor.require_up()
    total_s = round(time.monotonic() - started, 1)
    _head(f"Done in {total_s:.0f} s; everything is stopped")
    cpu = {name: f"{seconds:.1f}" for name, seconds in steps.cpu_seconds_of.items()}
    rows = [(name, f"{seconds:.1f}", cpu.get(name, "")) for name, seconds in steps.seconds_of.items()]
    _say(text_table(("step", "seconds", "of CPU"), rows))
    return {
        **measured,
        "data": {"folder": str(data.folder), "origin": data.origin},
        "services": layout.kind,
        "fit": fit,
        "features": features,
        "change": change.numbers(),
        "slate_ms": slate_ms,
        "seconds": steps.seconds_of,
        "cpu_seconds": steps.cpu_seconds_of,
        "total_s": total_s,
    }


def _someone(bundle: Path) -> str:
    """A user of the training data: the middle one of the bundle's."""
    ids = json.loads((bundle / "users" / "ids.json").read_text())
    return str(ids[len(ids) // 2])


def _slate_times(client: Client, user: str) -> dict[str, float]:
    """Of slates asked for one after the other, as the client sees them."""
    took = []
    for _ in range(_ASKED):
        started = time.perf_counter()
        client.recommend_items(10, user_id=user)
        took.append((time.perf_counter() - started) * 1000)
    cuts = statistics.quantiles(took, n=20)
    return {"p50": round(statistics.median(took), 2), "p95": round(cuts[18], 2), "requests": _ASKED}


def _generate(steps: Steps, folder: Path) -> None:
    steps.run("generate", "-m", "training", "generate", "--out", folder, *GENERATED)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _head(text: str) -> None:
    _say(f"\n== {text}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stack.demo", description=__doc__)
    parser.add_argument("--data", type=Path, default=None, help="dataset folder; default: MovieLens, else generated")
    parser.add_argument("--run", type=Path, default=ROOT / ".penchant" / "demo", help="folder of everything it makes")
    parser.add_argument("--services", choices=KINDS, default="standalone", help="one process, or one a service")
    parser.add_argument(
        "--port",
        type=functools.partial(first_port, len(LISTENERS) - 1),
        default=PORT,
        help="of the front door; free ones are taken if it is not",
    )
    parser.add_argument("--redis", default="", metavar="URL", help="a server of your own; default: one is started")
    parser.add_argument("--recipe", default="default")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--user", default="", help="whose slate is shown; default: one of the training data")
    parser.add_argument("--max-targets", type=int, default=MAX_TARGETS, help="held-out events to predict")
    return parser


if __name__ == "__main__":
    sys.exit(main())
