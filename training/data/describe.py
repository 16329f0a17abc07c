"""python -m training describe: what a dataset holds and what cleaning did, before anything is trained on it."""

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from penchant.errors import PenchantError
from training.data.dataset import Attributes, Dataset
from training.data.media_files import MEDIUM, read_files
from training.data.read import read_dataset
from training.data.split import default_protocol, history_mask


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status; the last line of stdout is a JSON object, the table for people goes to stderr."""
    parser = argparse.ArgumentParser(prog="python -m training describe", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="data folder or file, as given to fit")
    options = parser.parse_args(argv)
    console = Console(stderr=True)
    try:
        described = describe(read_dataset(options.data))
    except PenchantError as error:
        console.print(f"[red]describe:[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
        return 2
    table = Table(show_header=False)
    for name, value in described.items():
        table.add_row(name, _shown(value))
    console.print(table)
    print(json.dumps(described))
    return 0


def describe(dataset: Dataset) -> dict[str, Any]:
    """What there is, by name; cleaning lists only what was not zero."""
    events = dataset.events
    by_type = np.bincount(events.types, minlength=len(dataset.event_types)).tolist()
    span = [
        datetime.fromtimestamp(int(time) / 1e6, UTC).isoformat(timespec="seconds")
        for time in (events.times[0], events.times[-1])
    ]
    return {
        "name": dataset.name,
        "events": len(events),
        "users": len(dataset.user_ids),
        "items": len(dataset.item_ids),
        "items_with_events": len(np.unique(events.items[events.items >= 0])),
        "history_events": int(history_mask(dataset).sum()),
        "event_types": dict(zip(dataset.event_types, by_type, strict=True)),
        "times": span if dataset.has_times else "none: a position clock, time features off",
        "values": int((~np.isnan(events.values)).sum()),
        "exposures": 0 if events.impressions is None else int(events.impressions.sum()),
        "item_attributes": _attributes(dataset.items),
        "user_attributes": _attributes(dataset.users),
        **({"item_media": media} if (media := _media(dataset)) else {}),
        "tasks": dataset.tasks,
        "held_out_by_default": default_protocol(dataset),
        "cleaning": {name: count for name, count in dataset.counts.items() if count},
    }


def _attributes(attributes: Attributes) -> dict[str, str]:
    """Kind, and how much is filled in, by name."""
    described = {}
    for kind in Attributes.__slots__:
        for name, values in getattr(attributes, kind).items():
            filled = int(np.isfinite(values).sum()) if kind == "numeric" else sum(bool(v) for v in values)
            described[name] = f"{kind}, {filled / max(len(values), 1):.0%} filled"
    return described


def _media(dataset: Dataset) -> dict[str, str]:
    """What can be read of the items' files, by attribute; a warning names what cannot."""
    described = {}
    for kind, medium in MEDIUM.items():
        for name, paths in getattr(dataset.items, kind).items():
            given = [(path, id_) for path, id_ in zip(paths, dataset.item_ids, strict=True) if path]
            read = read_files(medium, [path for path, _ in given], [id_ for _, id_ in given])
            whole = sum(one is not None for one in read)
            described[name] = f"{whole:,} read" + (f", {len(read) - whole:,} broken" if whole < len(read) else "")
    return described


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{k}: {v:,}" if isinstance(v, int) else f"{k}: {v}" for k, v in value.items())
    if isinstance(value, list):
        return " to ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) else str(value)


if __name__ == "__main__":
    sys.exit(main())
