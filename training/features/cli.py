"""python -m training features: replay a data set into Feast's offline store, as of the published bundle's cut."""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from penchant.bundle import current, read_manifest
from penchant.errors import BundleMismatch, PenchantError
from penchant.features import FeatureSchema
from training.data.read import read_dataset
from training.data.split import split
from training.features.offline import write_offline


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status; the last line of stdout is a JSON object."""
    options = _parser().parse_args(argv)
    try:
        done = write(options.data, options.bundles, options.out, options.history_users)
    except PenchantError as error:
        print(f"features: {error}", file=sys.stderr)
        return 2
    print(json.dumps(done), flush=True)
    return 0


def write(data: Path, bundles: Path, out: Path, history_users: int = 0) -> dict[str, Any]:
    """Write the views of a data set up to the published bundle's cut: all events but those it held out.

    Raises BundleMismatch where there is no bundle or it is of another data set.
    """
    started = time.monotonic()
    folder = current(bundles)
    if folder is None:
        raise BundleMismatch(f"{bundles} publishes no bundle: train one with `python -m training fit`")
    manifest = read_manifest(folder)
    dataset = read_dataset(data)
    if manifest.dataset != dataset.name:
        raise BundleMismatch(f"bundle {manifest.version} was trained on {manifest.dataset}, --data is {dataset.name}")
    cut = split(dataset, str(manifest.recipe.get("protocol", "none")))
    index = np.sort(np.concatenate([cut.train, cut.valid]))
    schema = FeatureSchema.from_json(manifest.schema)
    rows = write_offline(dataset, index, schema, manifest.cut_us, out, history_users)
    return {
        "dataset": dataset.name,
        "bundle": manifest.version,
        "events": len(index),
        "rows": rows,
        "out": str(out),
        "wall_s": round(time.monotonic() - started, 3),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training features", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="data folder or file, as given to fit")
    parser.add_argument("--bundles", type=Path, required=True, help="folder of bundles; the published one sets the cut")
    parser.add_argument("--out", type=Path, required=True, help="folder of the views' parquet files")
    parser.add_argument(
        "--history-users", type=int, default=0, help="write every past state of this many users, not the last alone"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
