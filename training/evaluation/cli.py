"""python -m training evaluate: what a bundle is worth on the held-out part, offline or through a running stack."""

import argparse
import asyncio
import json
import os
import shlex
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from penchant.bundle import Manifest, current, read_manifest
from penchant.errors import BundleMismatch, ConfigError, PenchantError
from training.arguments import positive
from training.data.dataset import Dataset
from training.data.read import read_dataset
from training.data.split import split, targets_sha256
from training.evaluation.background import background
from training.evaluation.behaviour import logged_behaviour, served_behaviour
from training.evaluation.beyond import left_out, list_values, lists_summary
from training.evaluation.door import open_door
from training.evaluation.heads import head_quality
from training.evaluation.lists import PER_LIST
from training.evaluation.offline import MAX_CANDIDATES, SYSTEMS, OpenBundle, evaluate_offline, open_bundle
from training.evaluation.page import page_of
from training.evaluation.pairs import PAIRED_METRICS, paired_values
from training.evaluation.protocol import TargetSet, target_set
from training.evaluation.report import measured, print_tables, values_of
from training.evaluation.segments import BANDS, bands, by_age, by_band, segmented
from training.evaluation.through import SERVED, Served, evaluate_through


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status; the last line of stdout is the JSON object, everything for people goes to stderr."""
    options = _parser().parse_args(argv)
    options.asked = sys.argv[2:] if argv is None else list(argv)
    console = Console(stderr=True)
    try:
        for name, path in (("--json-out", options.json_out), ("--report", options.report)):
            _check_writable(name, path)
        if options.report and options.report.suffix not in (".html", ".htm"):
            raise ConfigError(f"--report {options.report}: name it .html; its JSON is written beside it")
        _check_logs(options.log, options.exposures)
        result = evaluate(options, console)
    except PenchantError as error:
        console.print(f"[red]evaluate:[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
        return 2
    except grpc.aio.AioRpcError as error:
        said = f"the stack answered {error.code().name}: {error.details()}"
        console.print(f"[red]evaluate:[/red] {escape(str(said))}", highlight=False, soft_wrap=True)
        return 2
    print_tables(result, console)
    line = json.dumps(result)
    for path in (options.json_out, options.report and options.report.with_suffix(".json")):
        if path:
            path.write_text(line + "\n")
    if options.report:
        options.report.write_text(page_of(result))
        console.print(f"report: {options.report}", highlight=False)
    print(line, flush=True)
    return 0


def evaluate(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """The JSON object of one evaluation. Raises PenchantError with the remedy."""
    started = time.process_time()
    wall_started = time.monotonic()
    folder = published(options.bundles, options.protocol)
    dataset = read_dataset(options.data)
    cut = split(dataset, options.protocol)
    targets = target_set(dataset, cut, options.max_targets, options.seed)
    bundle = open_bundle(folder, options.index)
    if bundle.manifest.dataset != dataset.name:
        raise BundleMismatch(
            f"bundle {bundle.manifest.version} was trained on {bundle.manifest.dataset}, --data holds {dataset.name}"
        )
    _check_targets(bundle.manifest, targets_sha256(dataset, cut), options.data)
    local = [s for s in SYSTEMS if not (options.through and s in SERVED)]
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console
    ) as bars:
        bar = bars.add_task("offline", total=len(targets))
        slates, missing = evaluate_offline(
            bundle, dataset, cut, targets, local, options.candidates, lambda done: bars.advance(bar, done)
        )
        degraded: dict[str, int] = {}
        if options.through:
            bar = bars.add_task(f"through {options.through}", total=len(targets))
            served = asyncio.run(_served(options, dataset, targets, bundle, lambda done: bars.advance(bar, done)))
            slates = {mask: {**served.slates[mask], **by_system} for mask, by_system in slates.items()}
            degraded = served.degraded
        of_heads = bars.add_task("task heads", total=None)
        heads = head_quality(
            bundle, dataset, cut, targets, options.max_slates, options.candidates, options.seed,
            lambda done: bars.advance(of_heads, done),
        )  # fmt: skip
    table = bundle.table
    target_rows = table.rows_of(targets.item_keys).astype(np.int64)
    values = {mask: values_of(by_system, targets, table) for mask, by_system in slates.items()}
    known = background(table, dataset, cut, targets, options.calibrate_by)
    lists = {mask: list_values(by_system, target_rows, known) for mask, by_system in slates.items()}
    return {
        "command": shlex.join(["python", "-m", "training", "evaluate", *options.asked]),
        "dataset": dataset.name,
        "counts": {"users": len(dataset.user_ids), "items": len(dataset.item_ids), "events": len(dataset.events)},
        "protocol": options.protocol,
        "seed": options.seed,
        "through": options.through,
        "targets_sha256": targets.sha256,
        "users": targets.user_count,
        "cpu_s": round(time.process_time() - started, 3),
        "wall_s": round(time.monotonic() - wall_started, 3),
        "bundle": bundle.manifest.version,
        "bundle_seed": bundle.manifest.seed,
        "bundle_created": bundle.manifest.created,
        "bundle_items": bundle.manifest.item_count,
        "recipe": bundle.manifest.recipe.get("name", ""),
        "index": "the server's" if options.through else options.index,
        "targets": len(targets),
        "targets_outside_catalogue": int((target_rows == 0).sum()),
        "test": measured(slates, missing, targets, table),
        "paired": paired_values(values["masked"], PAIRED_METRICS, targets.users, options.seed),
        "paired_unmasked": paired_values(values["unmasked"], PAIRED_METRICS, targets.users, options.seed),
        "lists": {mask: lists_summary(slates[mask], lists[mask], known) for mask in slates},
        "lists_paired": paired_values(lists["masked"], PER_LIST, targets.users, options.seed),
        "lists_left_out": left_out(slates["masked"], known),
        "calibrated_by": known.genre,
        "segments": {
            "user": segmented(values["masked"], by_age(known.history), targets.users, options.seed),
            "item": segmented(values["masked"], by_band(target_rows, known.interactions), targets.users, options.seed),
        },
        "items_by_band": dict(
            zip(BANDS, np.bincount(bands(known.interactions)[1:], minlength=4).tolist(), strict=True)
        ),
        "heads": heads,
        "behaviour": logged_behaviour(dataset, cut, options.seed),
        "served": served_behaviour(options.log, options.exposures, options.seed),
        "left_out": missing,
        "degraded": degraded,
    }


async def _served(
    options: argparse.Namespace,
    dataset: Dataset,
    targets: TargetSet,
    bundle: OpenBundle,
    progress: Callable[[int], None],
) -> Served:
    token = os.environ.get("PENCHANT_TOKEN", "")
    run = uuid.uuid4().hex[:8]
    async with open_door(options.through, options.bundles, dataset, bundle.table, run, token) as door:
        return await evaluate_through(door, targets, progress)


def published(bundles: Path, protocol: str) -> Path:
    """The published bundle's folder. Raises BundleMismatch without one, ConfigError if it held out something else."""
    folder = current(bundles)
    if folder is None:
        raise BundleMismatch(f"{bundles} publishes no bundle: train one with `python -m training fit`")
    manifest = read_manifest(folder)
    held_out = manifest.recipe.get("protocol")
    if held_out != protocol:
        raise ConfigError(
            f"bundle {manifest.version} was trained with {held_out} held out, so {protocol} would test on what it has "
            f"seen: evaluate with --protocol {held_out}, or train with `fit --hold-out {protocol}`"
        )
    return folder


def _check_targets(manifest: Manifest, found: str, data: Path) -> None:
    """Raises BundleMismatch where the data holds out other targets than fit did; bundles that do not say pass."""
    expected = manifest.recipe.get("targets_sha256", found)
    if expected != found:
        raise BundleMismatch(
            f"bundle {manifest.version} held out targets of sha256 {expected[:12]}, {data} holds out "
            f"{found[:12]}: the data is not what the bundle was trained on, so that it may have seen the targets. "
            "Evaluate on the data given to fit, or fit again on this"
        )


def _check_writable(option: str, path: Path | None) -> None:
    """Raises ConfigError where the result could not be written once it is there."""
    if path is None:
        return
    if path.is_dir():
        raise ConfigError(f"{option} {path} is a folder: name a file")
    if not path.parent.is_dir():
        raise ConfigError(f"{option} {path}: there is no folder {path.parent}; make it first")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise ConfigError(f"{option} {path} may not be written: name another file")


def _check_logs(log: str | None, exposures: Path | None) -> None:
    """Raises ConfigError where one of the two is missing."""
    if (log is None) != (exposures is None):
        given, lacks = ("--log", "--exposures") if exposures is None else ("--exposures", "--log")
        raise ConfigError(f"{given} needs {lacks}: what was shown is in one log, what came of it in the other")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training evaluate", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="data folder or file, as given to fit")
    parser.add_argument("--bundles", type=Path, required=True, help="folder of bundles; the published one is evaluated")
    parser.add_argument("--protocol", choices=("leave-one-out", "time-split"), required=True)
    parser.add_argument("--through", metavar="HOST:PORT", default=None, help="front door of a running stack")
    parser.add_argument(
        "--index",
        choices=("auto", "hnsw", "exact"),
        default="auto",
        help="offline; a server has its own",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap and of --max-targets' sample")
    parser.add_argument("--max-targets", type=positive, default=0, help="a seeded sample of whole users")
    parser.add_argument("--candidates", type=positive, default=MAX_CANDIDATES, help="candidates ranked for a slate")
    parser.add_argument(
        "--calibrate-by",
        metavar="ATTRIBUTE",
        default=None,
        help="categorical or multi-valued item attribute of the genre calibration; without it, genre or category",
    )
    parser.add_argument(
        "--max-slates", type=positive, default=1000, help="held-out slates (and targets) the task heads are judged on"
    )
    parser.add_argument("--log", metavar="URL", default=None, help="event log of a running stack; with --exposures")
    parser.add_argument("--exposures", type=Path, default=None, help="its exposure log: adds what came of its slates")
    parser.add_argument(
        "--report", metavar="FILE.html", type=Path, default=None, help="a page for people, and its JSON"
    )
    parser.add_argument("--json-out", type=Path, default=None, help="write the JSON object to this file as well")
    return parser


if __name__ == "__main__":
    sys.exit(main())
