"""python -m training generate: write a made-up dataset with its truth, or check how real one looks.

python -m training generate --out DIR --users 1000 --items 2000 --events 100000
python -m training generate --check DIR --against REAL_DIR [REAL_DIR ...] [--plot PNG]
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

from penchant.errors import ConfigError, PenchantError
from training.data.generator.realism import MEASURES, measure, outside
from training.data.generator.settings import FORMATS, GeneratorSettings
from training.data.generator.world import generate
from training.data.read import read_dataset

_DEFAULT = GeneratorSettings()


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 2 for bad input, 1 where --check finds something outside; stdout ends with a JSON object."""
    options = _parser().parse_args(argv)
    console = Console(stderr=True)
    try:
        result = _check(options, console) if options.check else _generate(options, console)
        print(json.dumps(result))
    except (PenchantError, OSError) as error:
        console.print(f"[red]generate:[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
        return 2
    return 1 if result.get("outside") else 0


def _generate(options: argparse.Namespace, console: Console) -> dict[str, object]:
    if options.out is None:
        raise ConfigError("name a folder with --out, or a dataset to look at with --check")
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


def _check(options: argparse.Namespace, console: Console) -> dict[str, object]:
    """Measures beside those of real sets; what lies outside makes the exit status 1."""
    if not options.against:
        raise ConfigError("--check needs --against with one or more folders of real data")
    datasets = {str(path): read_dataset(path) for path in [options.check, *options.against]}
    measured = {path: measure(dataset) for path, dataset in datasets.items()}
    checked, *real = measured.values()
    strange = outside(checked, real)
    table = Table(Column("measure", no_wrap=True), *(Path(path).name for path in measured), "verdict")
    for name in MEASURES:
        allowed = strange.get(name)
        verdict = f"[red]outside {allowed[0]:.3g} to {allowed[1]:.3g}[/red]" if allowed else "[green]plausible[/green]"
        table.add_row(name, *("" if math.isnan(m[name]) else f"{m[name]:.3g}" for m in measured.values()), verdict)
    console.print(table)
    if options.plot:
        from training.data.generator.plot import plot_realism  # matplotlib takes a second to load

        plot_realism({Path(path).name: dataset for path, dataset in datasets.items()}, options.plot)
    finite = {
        path: {name: round(value, 4) for name, value in m.items() if math.isfinite(value)}
        for path, m in measured.items()
    }
    return {"check": str(options.check), "measures": finite, "outside": sorted(strange)}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training generate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
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
    parser.add_argument("--check", type=Path, metavar="DIR", help="measure a dataset instead of making one")
    parser.add_argument("--against", type=Path, nargs="+", metavar="DIR", help="real sets to compare with")
    parser.add_argument("--plot", type=Path, metavar="PNG", help="draw what --check measured")
    return parser


if __name__ == "__main__":
    sys.exit(main())
