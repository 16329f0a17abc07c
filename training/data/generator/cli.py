"""python -m training generate: write a made-up dataset with its truth, or check how real one looks."""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from penchant.errors import PenchantError
from training.data.generator.settings import FORMATS, GeneratorSettings
from training.data.generator.world import generate

_DEFAULT = GeneratorSettings()


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status; the last line of stdout is a JSON object, everything for people goes to stderr."""
    options = _parser().parse_args(argv)
    console = Console(stderr=True)
    try:
        print(json.dumps(_generate(options, console)))
    except PenchantError as error:
        console.print(f"[red]{type(error).__name__}[/red]: {error}", highlight=False)
        return 1
    return 0


def _generate(options: argparse.Namespace, console: Console) -> dict[str, object]:
    settings = GeneratorSettings(
        options.users, options.items, options.events, options.days, options.seed, options.start, options.shift_share,
        options.slate_size, options.arriving, options.item_life_days, options.exposures, options.media, options.format,
    )  # fmt: skip
    started = time.monotonic()
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console
    ) as bars:
        bar = bars.add_task("generate", total=settings.events)
        counts = generate(settings, options.out, lambda acts: bars.advance(bar, acts))
    return {"out": str(options.out), "seed": settings.seed, **counts, "wall_s": round(time.monotonic() - started, 3)}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training generate", description=__doc__)
    parser.add_argument("--out", type=Path, help="folder to write; not there yet, or empty")
    parser.add_argument("--users", type=int, default=_DEFAULT.users)
    parser.add_argument("--items", type=int, default=_DEFAULT.items)
    parser.add_argument("--events", type=int, default=_DEFAULT.events, help="acts; exposures come on top")
    parser.add_argument("--days", type=int, default=_DEFAULT.days)
    parser.add_argument("--seed", type=int, default=_DEFAULT.seed)
    parser.add_argument(
        "--start", default=_DEFAULT.start, metavar="ISO", help="the first moment, UTC if it has no zone"
    )
    parser.add_argument("--shift-share", type=float, default=_DEFAULT.shift_share, help="sessions whose taste shifts")
    parser.add_argument("--slate-size", type=int, default=_DEFAULT.slate_size)
    parser.add_argument("--arriving", type=float, default=_DEFAULT.arriving, help="share of items born after the start")
    parser.add_argument("--item-life-days", type=float, default=_DEFAULT.item_life_days)
    parser.add_argument("--exposures", action=argparse.BooleanOptionalAction, default=True, help="write what was shown")
    parser.add_argument("--media", action="store_true", help="a picture and a sound for every item")
    parser.add_argument("--format", choices=FORMATS, default=_DEFAULT.format)
    return parser


if __name__ == "__main__":
    sys.exit(main())
