"""python -m training replay: a dataset's newest part through the real front door, in the order of time."""

import argparse
import asyncio
import json
import os
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from penchant.bundle import current
from penchant.errors import BundleMismatch, PenchantError
from penchant.item_table import ItemTable
from training.data.read import read_dataset
from training.data.split import default_protocol, split
from training.evaluation.door import open_door
from training.evaluation.protocol import target_set
from training.replay.play import play
from training.replay.report import measured, plot, print_tables, values_of


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status; the last line of stdout is the JSON object, everything for people goes to stderr."""
    options = _parser().parse_args(argv)
    console = Console(stderr=True)
    try:
        result = replay(options, console)
    except PenchantError as error:
        console.print(f"[red]replay:[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
        return 2
    except grpc.aio.AioRpcError as error:
        said = f"the stack answered {error.code().name}: {error.details()}"
        console.print(f"[red]replay:[/red] {escape(str(said))}", highlight=False, soft_wrap=True)
        return 2
    print_tables(result, console)
    print(json.dumps(result), flush=True)
    return 0


def replay(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """The JSON object of one replay. Raises PenchantError with the remedy."""
    started = time.monotonic()
    folder = current(options.bundles)
    if folder is None:
        raise BundleMismatch(f"{options.bundles} publishes no bundle: train one with `python -m training fit`")
    dataset = read_dataset(options.data)
    protocol = default_protocol(dataset)
    targets = target_set(dataset, split(dataset, protocol), options.max_targets, options.seed)
    table = ItemTable.open(folder)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())

    async def run(bars: Progress) -> Any:
        token = os.environ.get("PENCHANT_TOKEN", "")
        bar = bars.add_task(f"replay through {options.through}", total=len(targets))
        async with open_door(options.through, options.bundles, dataset, table, uuid.uuid4().hex[:8], token) as door:
            return await play(door, dataset, targets, table, lambda done: bars.advance(bar, done)), door.answers

    with Progress(*columns, console=console) as bars:
        played, answers = asyncio.run(run(bars))
    values = values_of(played, table.rows_of(targets.item_keys).astype("int64"))
    if options.plot:
        plot(options.plot, values, dataset.events.times[targets.events], dataset.has_times)
    return {
        "dataset": dataset.name,
        "protocol": protocol,
        "through": options.through,
        "bundle": folder.name,
        "seed": options.seed,
        "targets": len(targets),
        "targets_sha256": targets.sha256,
        "users": targets.user_count,
        "wall_s": round(time.monotonic() - started, 3),
        **measured(played, values, targets, options.seed),
        "unsatisfied_tokens": played.unsatisfied_tokens,
        "degraded": answers.degraded,
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training replay", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="data folder or file, as given to fit")
    parser.add_argument("--through", metavar="HOST:PORT", required=True, help="front door of a running stack")
    parser.add_argument("--bundles", type=Path, default=Path("bundles"), help="folder of bundles that the stack serves")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap and of --max-targets' sample")
    parser.add_argument("--max-targets", type=int, default=0, help="a seeded sample of whole users; 0: all")
    parser.add_argument("--plot", type=Path, default=None, help="PNG of HR@10 over time")
    return parser


if __name__ == "__main__":
    sys.exit(main())
