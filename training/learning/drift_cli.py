"""python -m training drift: how far features, items and scores are from what the published bundle was trained on.

Users are replayed up to the newest events of the log and the bundle is asked as it serves; scores of slates that were
really shown come from the exposure log. A table, on demand a picture, and one JSON line.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from penchant.bundle import current
from penchant.errors import BundleMismatch, ConfigError, PenchantError
from training.data.read import read_dataset
from training.data.split import history_mask
from training.evaluation.offline import open_bundle
from training.learning.contest import observe, target_set_of
from training.learning.drift import Drift, compared, drifts
from training.learning.exposures import ExposureJournal, join, skew
from training.learning.files import FOLDER, read_checkpoint
from training.learning.journal import Journal
from training.learning.reading import LogFollower
from training.progress import Tell, shown

_COLOURS = {"none": "green", "slight": "yellow", "strong": "red"}


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 2 for bad input, 1 with --check where anything drifted strongly, else 0."""
    options = _parser().parse_args(argv)
    console = Console(stderr=True)
    try:
        with shown(console) as tell:
            result = measure(options, tell)
    except PenchantError as error:
        console.print(f"[red]drift:[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
        return 2
    table = Table(Column("quantity", no_wrap=True), "PSI", "KS", "values", "verdict")
    for row in result["drift"]:
        colour = _COLOURS[row["verdict"]]
        cells = (row["name"], f"{row['psi']:.3f}", f"{row['ks']:.3f}", f"{row['count']:,}")
        table.add_row(*cells, f"[{colour}]{row['verdict']}[/{colour}]")
    console.print(table)
    if options.plot:
        from training.learning.plot import plot_drift  # matplotlib takes a second to load

        plot_drift(result["drift"], options.plot)
    print(json.dumps(result), flush=True)
    return 1 if options.check and any(row["verdict"] == "strong" for row in result["drift"]) else 0


def measure(options: argparse.Namespace, tell: Tell) -> dict[str, Any]:
    """The JSON object. Raises PenchantError with the remedy."""
    folder = current(options.bundles)
    if folder is None:
        raise BundleMismatch(f"{options.bundles} publishes no bundle: train one with `python -m training fit`")
    bundle = open_bundle(folder)
    if not bundle.manifest.reference:
        raise BundleMismatch(
            f"bundle {bundle.manifest.version} says nothing of what it was trained on: train anew with "
            "`python -m training fit`"
        )
    journal = _journal(options)
    view = journal.view()
    events = view.dataset.events
    newest = np.arange(len(events))[-options.events :]
    targets = newest[history_mask(view.dataset)[newest]][-options.targets :]
    if len(targets) == 0:
        raise ConfigError(f"{options.log} holds no click, like, purchase, rating or play among its newest events")
    done = 0

    def told(count: int) -> None:
        nonlocal done
        done += count
        tell("drift", done / len(targets))

    seen = observe(bundle, view.dataset, target_set_of(view.dataset, targets), told)
    found = drifts(bundle.manifest.reference, bundle, view.dataset, newest, seen.user_dense, seen.scores)
    exposures = ExposureJournal(options.exposures)
    exposures.read()
    mine = [one for one in exposures.held if one.bundle == bundle.manifest.version and not one.degraded]
    scores = [one.scores[:10] for one in mine]
    if scores:
        found.append(compared("exposed_scores", bundle.manifest.reference["slate_scores"], np.concatenate(scores)))
    last_us = int(events.times.max())
    checked, worst = skew(bundle, join(journal, view, exposures.held, 0, last_us))
    return {
        "bundle": bundle.manifest.version, "events": len(newest), "targets": len(targets), "exposures": len(mine),
        "drift": [drift.to_json() for drift in sorted(found, key=_by_psi)],
        "skew": {"slates": checked, "worst": worst},
        "ndcg@10": float(seen.ndcg.mean()),
    }  # fmt: skip


def _by_psi(drift: Drift) -> float:
    return -drift.psi


def _journal(options: argparse.Namespace) -> Journal:
    """The learner's, where there is one, and the log after it; else the data set and the whole log."""
    mark = read_checkpoint(options.bundles)
    if mark is not None:
        journal = Journal.load(options.bundles / FOLDER / f"journal-{mark.position}-{mark.item_position}")
    else:
        journal = Journal(read_dataset(options.data) if options.data else None)
    follower = LogFollower(options.log)
    follower.read(journal)
    follower.close()
    return journal


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training drift", description=__doc__)
    parser.add_argument("--log", required=True, metavar="URL", help="the feature store's `log` setting")
    parser.add_argument("--exposures", type=Path, default=None, metavar="DIR", help="the front door's `exposures`")
    parser.add_argument("--bundles", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=None, help="data set before the log, where no learner has run")
    parser.add_argument("--events", type=int, default=20_000, help="newest events whose items and types are compared")
    parser.add_argument("--targets", type=int, default=300, help="newest history events whose users are replayed")
    parser.add_argument("--plot", type=Path, metavar="PNG", default=None)
    parser.add_argument("--check", action="store_true", help="status 1 where anything drifted strongly")
    return parser


if __name__ == "__main__":
    sys.exit(main())
