"""python -m training learn: follow the event log, fine-tune both models on what is new, publish what is not worse.

python -m training learn --log URL --exposures DIR --bundles DIR --once            one update, if anything is new
python -m training learn --log URL --exposures DIR --bundles DIR --every-events N  whenever N acts are new
python -m training learn --log URL --exposures DIR --bundles DIR --every-s S       every S seconds, if any are
"""

import argparse
import json
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from penchant.errors import PenchantError
from training.arguments import positive
from training.learning.files import only_learner
from training.learning.journal import KEEP_EVENTS
from training.learning.loop import Learner
from training.learning.update import Updated
from training.progress import shown
from training.recipes import RECIPES

_POLL_S = 1.0


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status; stdout has one JSON object a line for each update, everything for people goes to stderr."""
    options = _parser().parse_args(argv)
    console = Console(stderr=True)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    def say(line: str) -> None:
        console.print(f"learn: {escape(line)}", highlight=False, soft_wrap=True)

    try:
        with only_learner(options.bundles):
            learner = Learner(
                options.log, options.exposures, options.bundles, options.data, options.recipe, options.seed,
                options.keep_bundles, options.keep_events,
                None if options.keep_exposures_days is None else 86_400.0 * options.keep_exposures_days, say=say,
            )  # fmt: skip
            with shown(console) as tell:
                learner.tell = tell
                learner.start()
            _run(learner, options, console, stop)
            learner.close()
    except PenchantError as error:
        console.print(f"[red]learn:[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
        return 2
    return 0


def _run(learner: Learner, options: argparse.Namespace, console: Console, stop: threading.Event) -> None:
    """Updates until told to stop; with --once, one."""
    due_at = time.monotonic() + (options.every_s or 0.0)
    while not stop.is_set():
        learner.read()
        due = options.once
        if options.every_events:
            due = due or learner.new_events >= options.every_events
        elif options.every_s:
            due = due or (time.monotonic() >= due_at and learner.new_events > 0)
        if due:
            with shown(console) as tell:
                learner.tell = tell
                done = learner.update()
            learner.say(told(done))
            print(json.dumps(done.to_json()), flush=True)
            due_at = time.monotonic() + (options.every_s or 0.0)
        if options.once:
            return
        stop.wait(_POLL_S)


def told(done: Updated) -> str:
    """An update in one line: what was new, champion against challenger, published or why not."""
    if done.verdict is None:
        return f"{done.reason}; {done.champion} stays"
    verdict = done.verdict
    low, high = verdict.interval
    moved = [drift for drift in done.drifts if drift.verdict != "none"]
    drifted = ", ".join(f"{drift.name} {drift.psi:.2f}" for drift in moved[:3]) or "none"
    skew = f"; {done.skew[0]} logged slates computed again, off by {done.skew[1]:.1g}" if done.skew[0] else ""
    return (
        f"{done.new_events:,} new events ({done.requests:,} ranked, {done.shown:,} slates); NDCG@10 on the newest "
        f"{verdict.targets:,}: {verdict.champion:.4f} -> {verdict.challenger:.4f} ({low:+.4f} to {high:+.4f}); "
        f"{verdict.reason}; {done.bundle if done.published else done.champion} serves; drift: {drifted}{skew}; "
        f"{done.cpu_s:.0f} s of CPU"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training learn", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--log", required=True, metavar="URL", help="the feature store's `log` setting")
    parser.add_argument(
        "--exposures", type=Path, default=None, metavar="DIR", help="the front door's `exposures` setting"
    )
    parser.add_argument(
        "--bundles", type=Path, required=True, help="folder of bundles; better ones are published there"
    )
    parser.add_argument("--data", type=Path, default=None, help="data set that the log goes on from; read once")
    when = parser.add_mutually_exclusive_group(required=True)
    when.add_argument("--once", action="store_true")
    when.add_argument("--every-events", type=positive, metavar="N")
    when.add_argument("--every-s", type=float, metavar="S")
    parser.add_argument(
        "--recipe", choices=sorted(RECIPES), default="default", help="of a first bundle, if there is none"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--keep-bundles", type=positive, default=10, help="of its own, the newest; older ones are removed"
    )
    parser.add_argument(
        "--keep-events", type=positive, default=KEEP_EVENTS, help="newest events that are held; about 50 bytes each"
    )
    parser.add_argument(
        "--keep-exposures-days", type=positive, metavar="N", default=None,
        help="remove the logs of front doors that have shown nothing for so long, once they are read; else never",
    )  # fmt: skip
    return parser


if __name__ == "__main__":
    sys.exit(main())
