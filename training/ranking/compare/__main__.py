"""Train rankers on the very same samples, and judge them by what was held out.

python -m training.ranking.compare --data DIR --out DIR [--models target,din,trees,...] [--seed S]

Samples are collected once and kept in OUT/samples. Every model is trained on them from the same seed and judged on the
impressions after the cut: AUC, GAUC, log loss and calibration error of each task, NDCG@10 of the slates and of whole
candidate lists, paired intervals by bootstrap over users against the default, which reads no history, target attention
and the trees.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as python -m training: before torch is imported

from rich.console import Console
from rich.markup import escape

from penchant.errors import ConfigError, PenchantError
from training.arguments import positive
from training.data.read import read_dataset
from training.data.split import default_protocol
from training.progress import shown
from training.ranking.compare.collected import PARTS, Collected, Held, collected
from training.ranking.compare.contestants import CHANGES, DEFAULT, TARGET, TREES, contestants
from training.ranking.compare.judged import differences, labelled, summary
from training.ranking.compare.plot import plot
from training.ranking.compare.predicted import Predicted, by_ranker, by_trees
from training.ranking.compare.served import serving_ms
from training.ranking.compare.table import print_tables
from training.recipes import RECIPES, Recipe, resolve

_BASELINES = (DEFAULT, TARGET, TREES)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status; the last line of stdout is the JSON object, everything for people goes to stderr."""
    options = _parser().parse_args(argv)
    console = Console(stderr=True)
    try:
        result = compare(options, console)
    except PenchantError as error:
        console.print(f"[red]compare:[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
        return 2
    print_tables(result, console)
    text = json.dumps(result)
    (options.out / "compare.json").write_text(text + "\n")
    plot(result, options.out / "compare.png")
    print(text, flush=True)
    return 0


def compare(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """The JSON object of one comparison. Raises PenchantError with the remedy."""
    started, cpu_started = time.monotonic(), time.process_time()
    dataset = read_dataset(options.data)
    recipe = _sized(resolve(options.recipe, dataset), options)
    models = contestants(options.models.split(","), recipe.ranking)
    held = Held(options.test_requests, options.test_slates)
    said: dict[str, Predicted] = {}
    costs: dict[str, dict[str, Any]] = {}
    with shown(console) as tell:
        found = collected(dataset, recipe, held, options.out / "samples", options.seed, tell)
        _check(found, dataset.name)
        for name, ranking in models.items():
            before = time.process_time()
            if ranking is None:
                said[name] = by_trees(found, recipe.ranking, options.seed, partial(tell, TREES))
                costs[name] = {"cpu_s": round(time.process_time() - before, 1)}
                continue
            trained, said[name] = by_ranker(found, ranking, options.seed, partial(tell, name))
            costs[name] = {"cpu_s": round(time.process_time() - before, 1), "epochs": list(trained.epochs)}
            costs[name]["candidates"], costs[name]["serving_ms"] = serving_ms(found, trained)
        tell("intervals", 0.0)
        known = labelled(found)
        by_model: dict[str, Any] = {}
        for i, (name, mine) in enumerate(said.items()):
            against = {
                other: differences(found, mine, said[other], known, options.seed)
                for other in _BASELINES
                if other in said and other != name
            }
            by_model[name] = {**costs[name], "metrics": summary(found, mine, known), "less": _plain(against)}
            tell("intervals", (i + 1) / len(said))
    return {
        "dataset": dataset.name, "protocol": default_protocol(dataset), "recipe": recipe.name, "seed": options.seed,
        "samples": {part: len(found.samples(part)) for part in PARTS},
        "impressions": {name: len(where.labels) for name, where in known.items()},
        "positives": {name: round(float(where.labels.mean()), 4) for name, where in known.items()},
        "models": by_model,
        "cpu_s": round(time.process_time() - cpu_started, 1), "wall_s": round(time.monotonic() - started, 1),
    }  # fmt: skip


def _sized(recipe: Recipe, options: argparse.Namespace) -> Recipe:
    given = {"max_requests": options.requests, "max_slates": options.slates}
    given = {name: value for name, value in given.items() if value is not None}
    return replace(recipe, ranking=replace(recipe.ranking, **given))


def _check(found: Collected, name: str) -> None:
    if not (found.samples("train").chosen >= 0).any() or len(found.samples("requests")) == 0:
        raise ConfigError(f"{name} is too small to compare on: no request before or none after the cut")


def _plain(against: dict[str, Any]) -> dict[str, Any]:
    return {
        other: {part: {m: asdict(d) for m, d in metrics.items()} for part, metrics in by_part.items()}
        for other, by_part in against.items()
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.ranking.compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with dataset.toml or MovieLens, or a file")
    parser.add_argument("--out", type=Path, required=True, help="folder for samples, compare.json and compare.png")
    parser.add_argument("--recipe", default="default", help=f"one of {', '.join(sorted(RECIPES))}")
    parser.add_argument(
        "--models", default=",".join([*(name for name in CHANGES if name != DEFAULT), TREES]),
        help="beside the default: names joined by commas; a+b makes both changes (by default %(default)s)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--requests", type=positive, help="training requests, at most (by default the recipe's)")
    parser.add_argument("--slates", type=positive, help="training slates, at most (by default the recipe's)")
    parser.add_argument("--test-requests", type=positive, default=1500)
    parser.add_argument("--test-slates", type=positive, default=6000)
    return parser


if __name__ == "__main__":
    sys.exit(main())
