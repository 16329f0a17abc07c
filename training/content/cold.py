"""python -m training cold: how well items are placed that no training has seen, by what is written of them alone.

A share of the items is held wholly out: training knows neither their events nor that they exist. Each user's last event
on the others is held out as well, and a bundle is fitted on the rest. The cold items are then written to it as to the
running service, and every first act on one of them is a target, predicted from what the user had before it.
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

from penchant.bundle import current
from penchant.errors import ConfigError, PenchantError
from penchant.ids import keys
from penchant.types import Matrix
from training.arguments import positive
from training.catalogue import attributes_of, build_catalogue, tokens_of
from training.content.cold_report import print_report
from training.content.held_out import Histories, draw_cold, histories, with_only, without_items
from training.content.item_map import fit_map
from training.content.likeness import TfidfNeighbours
from training.content.measure import among_all, among_cold
from training.content.popular import PopularByThen
from training.content.quality import among_cold_quality, catalogue_quality, served_quality
from training.content.sentences import read_vectors
from training.content.served import AskedOf, equal_slates, slates_offline, slates_through
from training.data.dataset import Dataset
from training.data.read import read_dataset
from training.data.split import Split, split
from training.evaluation.offline import open_bundle
from training.evaluation.protocol import TENANT
from training.fit import fit
from training.progress import Tell, shown
from training.recipes import Recipe, described, resolve
from training.retrieval.choose import choose_settings
from training.retrieval.fit import fit_retrieval
from training.retrieval.trained import TrainedRetrieval

_TOGETHER = "texts, pictures and sounds alone"
BUNDLES = "bundles"
"""Below --out: what was fitted."""


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
            result = cold_through(dataset, options, tell) if options.through else cold(dataset, options, tell)
    except (PenchantError, OSError) as error:
        console.print(f"[red]cold:[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
        return 2
    result["cpu_s"] = round(time.process_time() - began, 1)
    print_report(result, console)
    line = json.dumps(result)
    (options.out / ("through.json" if options.through else "cold.json")).write_text(line + "\n")
    print(line, flush=True)
    return 0


def cold(dataset: Dataset, options: argparse.Namespace, tell: Tell = lambda step, done: None) -> dict[str, Any]:
    """The JSON object; options as the parser gives them.

    Raises ConfigError where the data set has nothing to hold out or nothing written of its items.
    """
    names = described_by(dataset)
    if not names:
        raise ConfigError(f"{dataset.name} says nothing of its items: cold items take texts, categories or tags")
    seed = options.seed
    items = draw_cold(dataset, options.share, seed)
    warm = without_items(dataset, items)
    recipe = resolve(options.recipe, warm)
    cut = split(warm, "leave-one-out")
    if options.retrieval_only:
        trained, folder = _retrieval(warm, cut, recipe, seed, tell), None
    else:
        fitted = fit(warm, recipe, options.out / BUNDLES, seed, "leave-one-out", tell)
        trained, folder = fitted.retrieval, fitted.folder
    past = histories(dataset, trained.catalogue, items, warm.events.order[cut.test])
    if len(past.cold) == 0:
        raise ConfigError(f"nobody in {dataset.name} met a held-out item after a known one: give a larger --share")
    tell("measure", 0.0)
    tfidf = TfidfNeighbours(tokens_of(dataset, trained.catalogue.item_of_row[1:]), tokens_of(dataset, items))
    ablations = _ablations(dataset)
    towers = {name: embedded(trained, with_only(dataset, kept), items) for name, kept in ablations.items()}
    if options.vectors:
        towers |= _with_vectors(trained, dataset, items, read_vectors(options.vectors, dataset.item_ids))
    some = _of_some_users(past, options.max_users, seed)
    places, choice = among_cold(trained, some, towers, tfidf, PopularByThen(dataset, items))
    everywhere = among_all(trained, some, towers["all"])
    tell("measure", 1.0)
    result = {
        "dataset": dataset.name,
        "recipe": recipe.name,
        "seed": seed,
        "share": options.share,
        "described_by": names,
        "cold_items": len(items),
        "warm_items": trained.catalogue.count,
        "cold_targets": len(some.cold),
        "cold_users": len(np.unique(some.cold.users)),
        "left_out": past.left_out,
        "settings": trained.settings.to_json(),
        "among_cold": among_cold_quality(places, choice, some.cold, seed, _TOGETHER if _TOGETHER in towers else ""),
        "full_catalogue": catalogue_quality(*everywhere, some, seed),
    }
    if folder is not None:
        asked = AskedOf.sampled(dataset, items, past, options.max_targets, seed)
        found = slates_offline(open_bundle(folder), asked, items, lambda done: tell("slates", done))
        result["as_served"] = served_quality(found, asked, seed)
    return result


def cold_through(dataset: Dataset, options: argparse.Namespace, tell: Tell = lambda step, done: None) -> dict[str, Any]:
    """The JSON object: slates of a running stack that serves what an earlier run of the same options has fitted, and
    how many of them are those that it has offline.

    Raises ConfigError, BundleMismatch or ServerMismatchError where it is another bundle.
    """
    bundles, seed = options.out / BUNDLES, options.seed
    items = draw_cold(dataset, options.share, seed)
    folder = current(bundles)
    if folder is None:
        raise ConfigError(f"{bundles} publishes no bundle: run the same command without --through first")
    bundle = open_bundle(folder)
    if bundle.table.rows_of(keys(TENANT, [dataset.item_ids[i] for i in items])).any():
        raise ConfigError(f"{folder} knows items that are to be cold: give the --seed and --share it was fitted with")
    warm = without_items(dataset, items)
    cut = split(warm, "leave-one-out")
    past = histories(
        dataset, build_catalogue(warm, np.union1d(cut.train, cut.valid), cut.cut_us), items, warm.events.order[cut.test]
    )
    asked = AskedOf.sampled(dataset, items, past, options.max_targets, seed)
    served = slates_through(
        options.through, bundles, bundle, asked, items, lambda done: tell(f"through {options.through}", done)
    )
    offline = slates_offline(open_bundle(folder), asked, items, lambda done: tell("offline", done))
    return {
        "dataset": dataset.name,
        "seed": seed,
        "share": options.share,
        "through": options.through,
        "bundle": folder.name,
        "cold_items": len(items),
        "as_served": served_quality(served, asked, seed),
        "equal_to_offline": equal_slates(served, offline),
    }


def _retrieval(warm: Dataset, cut: Split, recipe: Recipe, seed: int, tell: Tell) -> TrainedRetrieval:
    """Retrieval alone, on the training part; its settings chosen on the validation part."""
    catalogue = build_catalogue(warm, cut.train, cut.cut_us)
    trained = fit_retrieval(
        warm, catalogue, cut.train, recipe.retrieval, seed, progress=lambda done: tell("retrieval", done)
    )
    return trained.with_settings(choose_settings(trained, warm, cut.train, cut.valid, seed).settings)


def described_by(dataset: Dataset) -> list[str]:
    """Names of the item attributes that content is made of."""
    items = dataset.items
    return [*items.text, *items.categorical, *items.multi, *items.numeric, *items.image, *items.audio]


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
        "with vectors": fit_map(reader, both, trained.embeddings, counts, (*reader.blocks, told.shape[1])).embeddings(
            content
        ),
        "vectors alone": fit_map(reader, alone, trained.embeddings, counts, (told.shape[1],)).embeddings(told[items]),
    }


def _ablations(dataset: Dataset) -> dict[str, list[str]]:
    """Attributes that cold items are written with, by what it is called."""
    names, has = described_by(dataset), dataset.items
    found = {"all": list(names)}
    texts, files = list(has.text), [*has.image, *has.audio]
    if 1 < len(texts) < len(names):
        found["texts alone"] = texts
    if texts and files:
        found[_TOGETHER] = [*texts, *files]
        found["without pictures and sounds"] = [name for name in names if name not in files]
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
    parser.add_argument("--out", type=Path, required=True, help="folder for cold.json, and for the fitted bundle")
    parser.add_argument("--recipe", default="default", help="one of those below")
    parser.add_argument(
        "--max-users", type=positive, default=0, help="places: a seeded sample of users with cold targets"
    )
    parser.add_argument(
        "--max-targets", type=positive, default=6000, help="slates: targets of each kind, of a seeded sample of users"
    )
    parser.add_argument(
        "--retrieval-only", action="store_true", help="train no ranker and make no slates: a matter of minutes less"
    )
    parser.add_argument(
        "--through", metavar="HOST:PORT", default=None,
        help="slates of a running stack on OUT/bundles, after a run without this",
    )  # fmt: skip
    parser.add_argument(
        "--vectors", type=Path, default=None, help="npz of an encoder's ids and v [n, W], to measure beside"
    )
    parser.add_argument("--threads", type=positive, default=None, help="of torch; by default as many as cores")
    return parser


if __name__ == "__main__":
    sys.exit(main())
