"""python -m training cold: how well items are placed that no training has seen, by what is written of them alone.

A share of the items is held wholly out: training knows neither their events nor that they exist. Each user's last event
on the others is held out as well, and retrieval is trained on the rest. The cold items are then embedded as the running
service embeds an item when it is written, and every first act on one of them is a target, predicted from the known
items the user had before it.
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
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape

from penchant.errors import ConfigError, PenchantError
from penchant.types import Matrix
from training.arguments import positive
from training.catalogue import attributes_of, build_catalogue, tokens_of
from training.content.cold_report import print_report
from training.content.held_out import Asked, Histories, draw_cold, histories, with_only, without_items
from training.content.item_map import fit_map
from training.content.likeness import TfidfNeighbours
from training.content.measure import among_all, among_cold
from training.content.sentences import read_vectors
from training.data.dataset import Dataset
from training.data.read import read_dataset
from training.data.split import split
from training.evaluation.bootstrap import paired_intervals, ratio_interval
from training.evaluation.metrics import hr, ndcg
from training.progress import Tell, shown
from training.recipes import described, resolve
from training.retrieval.choose import choose_settings
from training.retrieval.fit import fit_retrieval
from training.retrieval.trained import TrainedRetrieval

K = 10


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status; the last line of stdout is the JSON object, everything for people goes to stderr."""
    options = _parser().parse_args(argv)
    console = Console(stderr=True)
    began = time.process_time()
    try:
        if options.threads:
            torch.set_num_threads(options.threads)
        dataset = read_dataset(options.data)
        options.out.mkdir(parents=True, exist_ok=True)
        with shown(console) as tell:
            result = cold(
                dataset, options.recipe, options.share, options.seed, options.max_users, options.vectors, tell
            )
    except (PenchantError, OSError) as error:
        console.print(f"[red]cold:[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
        return 2
    result["cpu_s"] = round(time.process_time() - began, 1)
    print_report(result, console)
    line = json.dumps(result)
    (options.out / "cold.json").write_text(line + "\n")
    print(line, flush=True)
    return 0


def cold(
    dataset: Dataset,
    recipe_name: str,
    share: float,
    seed: int,
    max_users: int = 0,
    vectors: Path | None = None,
    tell: Tell = lambda step, done: None,
) -> dict[str, Any]:
    """The JSON object. Raises ConfigError where the data set has nothing to hold out or nothing written of its items.

    max_users: of those with a cold target; all by default. vectors: a file as read_vectors takes it, whose item
    tower is measured beside.
    """
    names = described_by(dataset)
    if not names:
        raise ConfigError(f"{dataset.name} says nothing of its items: cold items take texts, categories or tags")
    items = draw_cold(dataset, share, seed)
    warm = without_items(dataset, items)
    cut = split(warm, "leave-one-out")
    catalogue = build_catalogue(warm, cut.train, cut.cut_us)
    recipe = resolve(recipe_name, warm)
    trained = fit_retrieval(
        warm, catalogue, cut.train, recipe.retrieval, seed, progress=lambda done: tell("retrieval", done)
    )
    chosen = choose_settings(trained, warm, cut.train, cut.valid, seed)
    trained = trained.with_settings(chosen.settings)
    past = histories(dataset, catalogue, items, warm.events.order[cut.test])
    past = _of_some_users(past, max_users, seed)
    if len(past.cold) == 0:
        raise ConfigError(f"nobody in {dataset.name} met a held-out item after a known one: give a larger --share")
    tell("measure", 0.0)
    tfidf = TfidfNeighbours(tokens_of(dataset, catalogue.item_of_row[1:]), tokens_of(dataset, items))
    told = read_vectors(vectors, dataset.item_ids) if vectors else None
    towers = {name: embedded(trained, with_only(dataset, kept), items) for name, kept in _ablations(names).items()}
    if told is not None:
        towers |= _with_vectors(trained, dataset, items, told)
    places, choice = among_cold(trained, past, towers, tfidf)
    everywhere = among_all(trained, past, towers["all"])
    tell("measure", 1.0)
    return {
        "dataset": dataset.name,
        "recipe": recipe.name,
        "seed": seed,
        "share": share,
        "described_by": names,
        "cold_items": len(items),
        "warm_items": catalogue.count,
        "cold_targets": len(past.cold),
        "cold_users": len(np.unique(past.cold.users)),
        "left_out": past.left_out,
        "settings": trained.settings.to_json(),
        "valid": chosen.metrics,
        "among_cold": _among_cold(places, choice, past.cold, seed),
        "full_catalogue": _full(*everywhere, past, seed),
    }


def described_by(dataset: Dataset) -> list[str]:
    """Names of the item attributes that content is made of."""
    items = dataset.items
    return [*items.text, *items.categorical, *items.multi, *items.numeric]


def embedded(trained: TrainedRetrieval, dataset: Dataset, items: NDArray[np.int64]) -> Matrix:
    """Embeddings [C, D] of items that the model does not know, as the service makes them when an item is written."""
    return trained.item_map.placed(attributes_of(dataset.items, items))


def _with_vectors(
    trained: TrainedRetrieval, dataset: Dataset, items: NDArray[np.int64], told: Matrix
) -> dict[str, Matrix]:
    """Embeddings of cold items by item towers that read vectors [dataset items, W] too, or alone."""
    catalogue, reader = trained.catalogue, trained.item_map.reader
    counts = np.bincount(trained.histories.rows, minlength=catalogue.count + 1)

    def both(rows: NDArray[np.int64]) -> Matrix:
        return np.concatenate([reader.vectors(catalogue.written(rows)), told[catalogue.item_of_row[rows]]], axis=1)

    def alone(rows: NDArray[np.int64]) -> Matrix:
        return told[catalogue.item_of_row[rows]]

    content = np.concatenate([reader.vectors(attributes_of(dataset.items, items)), told[items]], axis=1)
    return {
        "with vectors": fit_map(reader, both, trained.embeddings, counts).embeddings(content),
        "vectors alone": fit_map(reader, alone, trained.embeddings, counts).embeddings(told[items]),
    }


def _ablations(names: Sequence[str]) -> dict[str, list[str]]:
    """Attributes that cold items are written with, by what it is called."""
    found = {"all": list(names)}
    if len(names) > 1:
        found |= {f"without {name}": [other for other in names if other != name] for name in names}
        found |= {f"{name} alone": [name] for name in names}
    return found


def _of_some_users(past: Histories, max_users: int, seed: int) -> Histories:
    """A seeded sample of the users with cold targets, whole."""
    users = np.unique(past.cold.users)
    if not 0 < max_users < len(users):
        return past
    some = np.random.default_rng(seed).choice(users, max_users, replace=False)
    return replace(past, cold=past.cold.take(np.isin(past.cold.users, some)))


def _among_cold(
    places: dict[str, NDArray[np.int64]], choice: NDArray[np.int64], asked: Asked, seed: int
) -> dict[str, Any]:
    """Metrics by system; intervals of the tower's and of what it is ahead of each other system."""
    within = np.minimum(K, choice)
    discount = np.concatenate([[0.0], np.cumsum(1.0 / np.log2(np.arange(2, K + 2)))])
    per_target = {name: {"hr@10": hr(p, K), "ndcg@10": ndcg(p, K)} for name, p in places.items()}
    tower = per_target.pop("all")
    # The exact expectation of an order drawn at random.
    per_target = {"random": {"hr@10": within / choice, "ndcg@10": discount[within] / choice}, **per_target}
    differences = {("", metric): values for metric, values in tower.items()}
    differences |= {
        (name, metric): tower[metric] - values for name, v in per_target.items() for metric, values in v.items()
    }
    bounds = paired_intervals(differences, asked.users, seed)
    random_hr = per_target["random"]["hr@10"]
    return {
        "tower": {m: {"mean": float(v.mean()), "interval": list(bounds["", m])} for m, v in tower.items()},
        "times_random": {
            "hr@10": float(tower["hr@10"].sum() / random_hr.sum()),
            "interval": list(ratio_interval(tower["hr@10"], random_hr, asked.users, seed)),
        },
        "others": {
            name: {m: {"mean": float(v.mean()), "tower_minus_this": list(bounds[name, m])} for m, v in metrics.items()}
            for name, metrics in per_target.items()
        },
    }


def _full(
    of_cold: dict[str, NDArray[np.int64]],
    of_warm: dict[str, NDArray[np.int64]],
    alone: dict[str, NDArray[np.int64]],
    past: Histories,
    seed: int,
) -> dict[str, Any]:
    """By system: cold targets among all items, and what warm targets lose to the cold items."""
    found: dict[str, Any] = {}
    for name in of_cold:
        hits = hr(of_cold[name], K)
        now, before = hr(of_warm[name], K), hr(alone[name], K)
        low, high = ratio_interval(now, before, past.last.users, seed)
        found[name] = {
            "cold_hr@10": float(hits.mean()),
            "cold_hr@10_interval": list(paired_intervals({"": hits}, past.cold.users, seed)[""]),
            "warm_targets": len(now),
            "warm_hr@10": float(now.mean()) if len(now) else 0.0,
            "warm_hr@10_without_cold_items": float(before.mean()) if len(now) else 0.0,
            "warm_loss": float(1.0 - now.sum() / max(before.sum(), 1.0)),
            "warm_loss_interval": [1.0 - high, 1.0 - low],
        }
    return found


def _share(text: str) -> float:
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{value} is no share: give a number between 0 and 1")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training cold", description=__doc__, epilog=f"recipes:\n{described()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--data", type=Path, required=True, help="data folder whose items are described, as fit has it")
    parser.add_argument("--share", type=_share, default=0.1, help="of the items with five events or more to hold out")
    parser.add_argument("--seed", type=int, default=0, help="of the items held out, of training and of the bootstrap")
    parser.add_argument("--out", type=Path, required=True, help="folder for cold.json")
    parser.add_argument("--recipe", default="default", help="one of those below; its retrieval alone is trained")
    parser.add_argument("--max-users", type=positive, default=0, help="a seeded sample of users with cold targets")
    parser.add_argument(
        "--vectors", type=Path, default=None, help="npz of an encoder's ids and v [n, W], to measure beside"
    )
    parser.add_argument("--threads", type=positive, default=None, help="of torch; by default as many as cores")
    return parser


if __name__ == "__main__":
    sys.exit(main())
