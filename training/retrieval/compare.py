"""python -m training compare: recipes of retrieval side by side, on held-out events, at a stated cost.

A run is one recipe, one seed and one share of the recipe's work. Its first stage learns from the training part; its
blend is chosen on the validation part. Its second stage, which `fit` would serve, goes on from there over both. Both
are measured on the test part, over the full catalogue and exactly: the first as published tables do it, the second as
it is served. Runs that --out holds already are not run again, so a stopped comparison goes on where it was;
those of other data or of other code are.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.markup import escape

from penchant.errors import ConfigError, PenchantError
from training.arguments import positive
from training.catalogue import build_catalogue
from training.data.dataset import Dataset
from training.data.read import read_dataset
from training.data.split import Split, split
from training.evaluation.bootstrap import paired_intervals
from training.evaluation.metrics import hr, ndcg
from training.evaluation.protocol import TargetSet, target_set
from training.fingerprint import fingerprint
from training.progress import Tell, shown
from training.recipes import described, resolve
from training.retrieval.choose import choose_settings
from training.retrieval.compare_report import plot_curve, print_tables
from training.retrieval.fit import fit_retrieval
from training.retrieval.measure import Places, baseline_places, metrics, places
from training.retrieval.recipe import RetrievalRecipe


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status; the last line of stdout is the JSON object, everything for people goes to stderr."""
    options = _parser().parse_args(argv)
    console = Console(stderr=True)
    try:
        with shown(console) as tell:
            result = compare(options, tell)
    except PenchantError as error:
        console.print(f"[red]compare:[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
        return 2
    print_tables(result, console)
    plot_curve(result, options.out / "curve.png")
    line = json.dumps(result)
    (options.out / "compare.json").write_text(line + "\n")
    print(line, flush=True)
    return 0


def compare(options: argparse.Namespace, tell: Tell) -> dict[str, Any]:
    """The JSON object. Raises PenchantError with the remedy."""
    dataset = read_dataset(options.data)
    cut = split(dataset, options.protocol)
    targets = target_set(dataset, cut)
    if len(targets) == 0 or len(cut.valid) == 0:
        raise ConfigError(
            f"{dataset.name} holds out no event under {cut.protocol}: histories of three or more are needed"
        )
    if options.threads:
        torch.set_num_threads(options.threads)
    names = [name for name in options.recipes.split(",") if name]
    recipes = {name: resolve(name, dataset).retrieval for name in names}
    options.out.mkdir(parents=True, exist_ok=True)
    runs: list[dict[str, Any]] = []
    found: dict[str, Places] = {}
    for seed in options.seeds:
        for name, recipe in recipes.items():
            for share in options.shares:
                partial = replace(recipe, budget_tflop=recipe.budget_tflop * share)
                label = f"{name}, seed {seed}, {share:g} of the work"
                run, run_places = _kept(options.out, dataset, cut, targets, partial, seed, label, tell)
                runs.append({"recipe": name, "seed": seed, "share": share, **run})
                if share == max(options.shares) and seed == options.seeds[0]:
                    found[name] = run_places
    cpu = time.process_time()
    before = np.sort(np.concatenate([cut.train, cut.valid]))
    baselines = baseline_places(dataset, build_catalogue(dataset, before, cut.cut_us), before, targets)
    return {
        "dataset": dataset.name,
        "protocol": cut.protocol,
        "targets": len(targets),
        "users": targets.user_count,
        "targets_sha256": targets.sha256,
        "threads": torch.get_num_threads(),
        "seeds": options.seeds,
        "runs": runs,
        "baselines": {mask: {s: metrics(p) for s, p in by_system.items()} for mask, by_system in baselines.items()},
        "baselines_cpu_s": round(time.process_time() - cpu, 1),
        "paired": _paired(found, names[0], targets) if names else {},
    }


def _kept(
    out: Path,
    dataset: Dataset,
    cut: Split,
    targets: TargetSet,
    recipe: RetrievalRecipe,
    seed: int,
    label: str,
    tell: Tell,
) -> tuple[dict[str, Any], Places]:
    """A run, or what is kept of it from before."""
    asked = {"recipe": recipe.to_json(), "seed": seed, "targets_sha256": targets.sha256, "protocol": cut.protocol}
    path = out / f"{fingerprint(dataset, asked)}.npz"
    if path.is_file():
        with np.load(path, allow_pickle=False) as file:
            kept: Places = {}
            for name in file.files:
                if name != "run":
                    mask, system = name.split(":")
                    kept.setdefault(mask, {})[system] = file[name]
            return json.loads(str(file["run"])), kept
    run, found = _run(dataset, cut, targets, recipe, seed, label, tell)
    arrays = {f"{mask}:{system}": p for mask, by_system in found.items() for system, p in by_system.items()}
    part = path.with_suffix(".part.npz")
    # The stub takes every keyword for an option of its own.
    np.savez(part, run=json.dumps({**run, "asked": asked}), **arrays)  # type: ignore[arg-type]
    part.replace(path)
    return {**run, "asked": asked}, found


def _run(
    dataset: Dataset, cut: Split, targets: TargetSet, recipe: RetrievalRecipe, seed: int, label: str, tell: Tell
) -> tuple[dict[str, Any], Places]:
    cpu, wall = time.process_time(), time.monotonic()
    both = np.sort(np.concatenate([cut.train, cut.valid]))
    train_us = int(dataset.events.times[cut.train].max())
    catalogue = build_catalogue(dataset, cut.train, train_us)
    first = fit_retrieval(
        dataset, catalogue, cut.train, recipe, seed, progress=lambda done: tell(f"{label}, first stage", done)
    )
    first_cpu = time.process_time() - cpu
    chosen = choose_settings(first, dataset, cut.train, cut.valid, seed)
    first = first.with_settings(chosen.settings)
    choose_cpu = time.process_time() - cpu - first_cpu
    found = places(first, dataset, both, targets, "first_alone", "first_blended")
    began = time.process_time()
    second = fit_retrieval(
        dataset, build_catalogue(dataset, both, cut.cut_us), both, recipe, seed, warm=first,
        progress=lambda done: tell(f"{label}, second stage", done),
    ).with_settings(chosen.settings)  # fmt: skip
    second_cpu = time.process_time() - began
    for mask, by_system in places(second, dataset, both, targets, "second_alone", "second_blended").items():
        found[mask] |= by_system
    run = {
        "first_cpu_s": round(first_cpu, 1),
        "choose_cpu_s": round(choose_cpu, 1),
        "second_cpu_s": round(second_cpu, 1),
        "wall_s": round(time.monotonic() - wall, 1),
        "settings": chosen.settings.to_json(),
        "valid": chosen.metrics,
        "test": {mask: {s: metrics(p) for s, p in by_system.items()} for mask, by_system in found.items()},
    }
    return run, found


def _paired(found: dict[str, Places], base: str, targets: TargetSet) -> dict[str, dict[str, list[float]]]:
    """95 % intervals over users of each recipe's served blend less the first one's, masked, of the first seed."""
    differences = {}
    for name, by_mask in found.items():
        if name != base:
            own, other = (p["masked"]["second_blended"] for p in (by_mask, found[base]))
            differences[name, "hr@10"] = hr(own, 10) - hr(other, 10)
            differences[name, "ndcg@10"] = ndcg(own, 10) - ndcg(other, 10)
    intervals: dict[str, dict[str, list[float]]] = {}
    for (name, metric), bounds in paired_intervals(differences, targets.users, 0).items():
        intervals.setdefault(f"{name}_minus_{base}", {})[metric] = list(bounds)
    return intervals


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _shares(text: str) -> list[float]:
    shares = [float(part) for part in text.split(",")]
    if min(shares) <= 0:
        raise argparse.ArgumentTypeError(f"{text}: a share of the work is above 0")
    return shares


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training compare", description=__doc__, epilog=f"recipes:\n{described()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--data", type=Path, required=True, help="data folder or file, as fit takes it")
    parser.add_argument("--recipes", default="default", help="names, by comma; intervals are against the first")
    parser.add_argument("--out", type=Path, required=True, help="folder for results, kept from run to run")
    parser.add_argument("--protocol", choices=("leave-one-out", "time-split"), default="leave-one-out")
    parser.add_argument("--seeds", type=_numbers, default=[0], help="by comma")
    parser.add_argument(
        "--shares", type=_shares, default=[1.0],
        help="of the recipe's work, by comma: each is a training of its own, and the curve is drawn through them",
    )  # fmt: skip
    parser.add_argument(
        "--threads", type=positive, default=None, help="of torch; by default as many as there are cores"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
