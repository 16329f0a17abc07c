"""python -m training fit: from a data set to a published bundle.

Retrieval is trained twice. Its first stage sees nothing of the ranking slice, so that ranking learns from candidates
as they will be: proposed by a model that has not seen the answer. Its second stage, which is served, starts from the
first and sees everything before the cut.
"""

import argparse
import json
import re
import shutil
import sys
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape

from penchant.bundle import FORMAT, Manifest, ModelSpec, file_checksums, publish, write_manifest
from penchant.errors import ConfigError, PenchantError
from penchant.events import EVENT_TYPES
from penchant.features import FeatureSchema
from penchant.policy import read_policy
from training.catalogue import Catalogue, build_catalogue, item_features
from training.checkpoint import EVERY_S, checkpoints
from training.data.dataset import Dataset
from training.data.read import read_dataset
from training.data.split import PROTOCOLS, Split, default_protocol, history_mask, split, targets_sha256
from training.evaluation.offline import open_bundle
from training.fingerprint import fingerprint
from training.learning.book import Book
from training.learning.contest import observe, target_set_of
from training.learning.drift import REFERENCE_EVENTS, REFERENCE_TARGETS, reference_of
from training.learning.warm import BOOK_REQUESTS, Warm
from training.progress import Tell, shown
from training.ranking.fit import FittedRanking, fit_ranking, write_ranking
from training.ranking.new_lift import chosen_new_lift, kept_lift
from training.ranking.requests import HeldBack, hold_back
from training.ranking.samples import Stage
from training.ranking.train import weights_of
from training.recipes import Recipe, described, resolve
from training.retrieval.choose import Chosen, choose_settings, kept_choice
from training.retrieval.fit import fit_retrieval
from training.retrieval.trained import TrainedRetrieval
from training.run import Run
from training.workers import DEVICES, joined, rank

FIRST, SECOND = "retrieval, first stage", "retrieval, second stage"
LOSSES = "losses.jsonl"


@dataclass(frozen=True, slots=True)
class Fitted:
    """A published bundle and what was measured on the validation part while it was made."""

    folder: Path
    metrics: dict[str, Any]
    retrieval: TrainedRetrieval
    """What the bundle's retrieval was written from."""


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status; the last line of stdout is the JSON object, everything for people goes to stderr."""
    options = _parser().parse_args(argv)
    started, wall_started = time.process_time(), time.monotonic()
    # Of several processes the first one speaks.
    console = Console(stderr=True, quiet=rank() > 0)
    try:
        dataset = read_dataset(options.data)
        recipe = resolve(options.recipe, dataset)
        protocol = options.hold_out or default_protocol(dataset)
        console.print(f"{dataset.name}: {_counted(dataset)}; {protocol}", highlight=False)
        weights = event_weights_of(options.policy)
        with joined(options.device) as workers, shown(console) as tell:
            if not workers.leads:
                follow(dataset, recipe, options.seed, protocol, Run(workers))
                return 0
            this = fingerprint(dataset, recipe, options.seed, protocol, weights, str(workers.device), workers.count)
            with checkpoints(options.bundles, this, options.checkpoint_every, options.fresh) as kept:
                if kept.found:
                    console.print(
                        f"going on from the checkpoint of {kept.found[0]!r}; --fresh starts anew", highlight=False
                    )
                run = Run(workers, kept, tell.note)
                fitted = fit(dataset, recipe, options.bundles, options.seed, protocol, tell, weights, run)
    except PenchantError as error:
        console.print(f"[red]fit:[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
        return 2
    result = {
        "dataset": dataset.name,
        "protocol": protocol,
        "recipe": recipe.name,
        "seed": options.seed,
        "cpu_s": round(time.process_time() - started, 3),
        "wall_s": round(time.monotonic() - wall_started, 3),
        "bundle": fitted.folder.name,
        "metrics": fitted.metrics,
    }
    print(json.dumps(result), flush=True)
    return 0


def fit(
    dataset: Dataset,
    recipe: Recipe,
    bundles: Path,
    seed: int,
    protocol: str,
    tell: Tell = lambda step, done: None,
    event_weights: Mapping[str, float] | None = None,
    run: Run | None = None,
) -> Fitted:
    """Train both models and publish their bundle; no part of a bundle is left below `bundles` if anything fails.

    run: how it is carried out; what its checkpoints hold is not done again. Raises ConfigError where the data set is
    too small to train on, BundleMismatch where an export is not what was trained.
    """
    run = run or Run()
    cut = split(dataset, protocol)
    _check_items(dataset, cut)
    held = hold_back(dataset, cut, recipe.ranking, seed)
    schema = schema_of(dataset, np.concatenate([cut.train, cut.valid]), event_weights)
    first, early, blend = first_stage(dataset, cut, held, schema, recipe, seed, tell, run)
    ranking = fit_ranking(dataset, cut, held, first, early, schema, recipe.ranking, seed, tell, run)
    lift = kept_lift(
        run.checkpoints.part("lift of new items"),
        lambda: chosen_new_lift(dataset, early, first, ranking, held.valid, recipe.ranking, seed),
    )
    second, late = second_stage(dataset, cut, schema, recipe, seed, first, tell, run)
    metrics = {**ranking.metrics, "retrieval": blend.metrics}
    created = datetime.now(UTC)
    version = f"{_plain(dataset.name)}-{created:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}"
    folder = run.checkpoints.room(bundles / f".{version}.part")
    try:
        folder.mkdir(parents=True)
        tell("write the bundle", 0.0)
        models = _write(folder, dataset, cut, ranking, second, late, recipe, seed)
        _write_losses(folder / LOSSES, first, ranking, second)
        manifest = Manifest(
            version=version, format=FORMAT, created=created.isoformat(timespec="seconds"), dataset=dataset.name,
            recipe={
                **recipe.to_json(), "protocol": protocol, "targets_sha256": targets_sha256(dataset, cut),
                "tasks": dataset.tasks, "served_ranking": ranking.form.recipe.to_json(),
            },
            seed=seed, cut_us=cut.cut_us,
            item_count=second.catalogue.count, embedding_dim=recipe.retrieval.dim,
            history_length=recipe.retrieval.history_length, schema_fingerprint=schema.fingerprint(),
            schema=schema.to_json(), retrieval=second.settings.to_json(), tasks=ranking.trained.tasks,
            task_weights=ranking.task_weights, models=models, files=file_checksums(folder), metrics=metrics,
            new_lift=lift,
        )  # fmt: skip
        write_manifest(folder, manifest)
        write_manifest(folder, replace(manifest, reference=_reference(folder, dataset, cut)))
        published = bundles / version
        folder.rename(published)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    publish(bundles, version)
    tell("write the bundle", 1.0)
    return Fitted(published, metrics, second)


def follow(dataset: Dataset, recipe: Recipe, seed: int, protocol: str, run: Run) -> None:
    """What every process but the first does: its share of the training of towers, as fit trains them."""
    cut = split(dataset, protocol)
    _check_items(dataset, cut)
    held = hold_back(dataset, cut, recipe.ranking, seed)
    first, _ = _first_towers(dataset, held, recipe, seed, _untold, run)
    _second_towers(dataset, cut, recipe, seed, first, _untold, run)


def _untold(step: str, done: float) -> None:
    pass


def _check_items(dataset: Dataset, cut: Split) -> None:
    """Raises ConfigError where there is nothing to choose between."""
    before = np.concatenate([cut.train, cut.valid])
    items = len(np.unique(dataset.events.items[before[history_mask(dataset)[before]]]))
    if items < 2:
        raise ConfigError(
            f"{dataset.name} has history events (click, like, purchase, rating, play) of {items} "
            f"item{'s' * (items != 1)} before the held-out part: recommending takes two or more; check the item column"
        )


def schema_of(
    dataset: Dataset, before: NDArray[np.int64], event_weights: Mapping[str, float] | None = None
) -> FeatureSchema:
    """The feature schema of a data set: times, values of the events `before`, attributes as far as it has them.

    event_weights: of event types, where a policy says other ones than the built-in.
    """
    bounds = _value_bounds(dataset, before)

    def values_of(rows: Sequence[str]) -> tuple[str, ...]:
        return tuple(sorted(set(rows) - {""}))

    tags = {name: values_of(rows) for name, rows in dataset.items.categorical.items()}
    tags |= {name: values_of([t for row in rows for t in row]) for name, rows in dataset.items.multi.items()}
    return FeatureSchema.default(
        has_times=dataset.has_times,
        has_values=bool(bounds),
        item_attributes={name: values for name, values in tags.items() if values},
        user_attributes={name: values_of(rows) for name, rows in dataset.users.categorical.items()},
        value_bounds=bounds,
        event_weights=event_weights,
    )


def event_weights_of(policy: Path | None) -> dict[str, float]:
    """The weights a policy file gives the built-in event types. Raises ConfigError."""
    if policy is None:
        return {}
    try:
        text = policy.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--policy {policy} cannot be read ({error})") from None
    types = read_policy(text, str(policy)).event_types
    return {name: types.by_name[name].weight for name in EVENT_TYPES}


def _value_bounds(dataset: Dataset, before: NDArray[np.int64]) -> dict[str, tuple[float, float]]:
    """Lowest and highest value among the events `before`, by event type; types without values are left out."""
    types, values = dataset.events.types[before], dataset.events.values[before]
    valued = ~np.isnan(values)
    by_type = {name: values[valued & (types == t)] for t, name in enumerate(dataset.event_types)}
    return {name: (float(some.min()), float(some.max())) for name, some in by_type.items() if len(some)}


def first_stage(
    dataset: Dataset,
    cut: Split,
    held: HeldBack,
    schema: FeatureSchema,
    recipe: Recipe,
    seed: int,
    tell: Tell,
    run: Run | None = None,
) -> tuple[TrainedRetrieval, Stage, Chosen]:
    """Retrieval on what precedes the ranking slice, its settings chosen on the validation part."""
    run = run or Run()
    trained, cut_us = _first_towers(dataset, held, recipe, seed, tell, run)
    blend = kept_choice(
        run.checkpoints.part("blend"), lambda: choose_settings(trained, dataset, cut.train, cut.valid, seed)
    )
    trained = trained.with_settings(blend.settings)
    return trained, _stage(dataset, trained, trained.catalogue, held.before, schema, cut_us), blend


def second_stage(
    dataset: Dataset,
    cut: Split,
    schema: FeatureSchema,
    recipe: Recipe,
    seed: int,
    first: TrainedRetrieval,
    tell: Tell,
    run: Run | None = None,
) -> tuple[TrainedRetrieval, Stage]:
    """Retrieval on everything before the cut, from the first stage on and with its settings."""
    trained = _second_towers(dataset, cut, recipe, seed, first, tell, run or Run()).with_settings(first.settings)
    before = np.sort(np.concatenate([cut.train, cut.valid]))
    return trained, _stage(dataset, trained, trained.catalogue, before, schema, cut.cut_us)


def _first_towers(
    dataset: Dataset, held: HeldBack, recipe: Recipe, seed: int, tell: Tell, run: Run
) -> tuple[TrainedRetrieval, int]:
    """And the time of the newest event they know."""
    before = held.before
    if not history_mask(dataset)[before].any():
        raise ConfigError(f"{dataset.name} has no history events before the held-out part: it is too small to train on")
    cut_us = int(dataset.events.times[before].max())
    trained = fit_retrieval(
        dataset, build_catalogue(dataset, before, cut_us), before, recipe.retrieval, seed,
        progress=lambda done: tell(FIRST, done), part=run.part(FIRST),
    )  # fmt: skip
    return trained, cut_us


def _second_towers(
    dataset: Dataset, cut: Split, recipe: Recipe, seed: int, first: TrainedRetrieval, tell: Tell, run: Run
) -> TrainedRetrieval:
    before = np.sort(np.concatenate([cut.train, cut.valid]))
    return fit_retrieval(
        dataset, build_catalogue(dataset, before, cut.cut_us), before, recipe.retrieval, seed, warm=first,
        progress=lambda done: tell(SECOND, done), part=run.part(SECOND),
    )  # fmt: skip


def _stage(
    dataset: Dataset,
    trained: TrainedRetrieval,
    catalogue: Catalogue,
    before: NDArray[np.int64],
    schema: FeatureSchema,
    cut_us: int,
) -> Stage:
    features = item_features(dataset, catalogue, before, schema, cut_us)
    return Stage(schema, catalogue.table(trained.embeddings, features), trained.model(), trained.user_vectors)


def _write(
    folder: Path,
    dataset: Dataset,
    cut: Split,
    ranking: FittedRanking,
    second: TrainedRetrieval,
    stage: Stage,
    recipe: Recipe,
    seed: int,
) -> dict[str, ModelSpec]:
    """Every file of the bundle but the manifest; the models' specs by name."""
    stage.table.write(folder)
    models = second.write(folder)
    models |= write_ranking(folder, dataset, cut, ranking, second.catalogue, stage, recipe.ranking, seed)
    book = Book.of(ranking.train, ranking.knowledge.keys, ranking.features).thinned(BOOK_REQUESTS, (seed,))
    Warm(second.weights, weights_of(ranking.trained, ranking.knowledge.numbers), book).write(folder)
    return models


def _write_losses(path: Path, first: TrainedRetrieval, ranking: FittedRanking, second: TrainedRetrieval) -> None:
    """A line of JSON a step: what was trained, the step from 1, and its loss."""
    curves: dict[str, Iterable[float]] = {FIRST: first.losses.tolist()}
    curves |= ranking.curves
    curves[SECOND] = second.losses.tolist()
    with path.open("w") as file:
        for name, losses in curves.items():
            for step, loss in enumerate(losses, 1):
                file.write(json.dumps({"training": name, "step": step, "loss": loss}) + "\n")


def _reference(folder: Path, dataset: Dataset, cut: Split) -> dict[str, Any]:
    """What drift will be measured against: the written bundle, verified and opened, before the newest it may see."""
    bundle = open_bundle(folder)
    newest = cut.valid[history_mask(dataset)[cut.valid]][-REFERENCE_TARGETS:]
    observed = observe(bundle, dataset, target_set_of(dataset, newest))
    before = np.sort(np.concatenate([cut.train, cut.valid]))[-REFERENCE_EVENTS:]
    return reference_of(bundle, dataset, before, observed.user_dense, observed.scores)


def _counted(dataset: Dataset) -> str:
    return f"{len(dataset.events):,} events, {len(dataset.user_ids):,} users, {len(dataset.item_ids):,} items"


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "bundle"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training fit", description=__doc__, epilog=f"recipes:\n{described()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--data", type=Path, required=True, help="folder with dataset.toml or MovieLens, or a file")
    parser.add_argument("--recipe", default="default", help="one of those below")
    parser.add_argument("--bundles", type=Path, required=True, help="folder of bundles; the new one is published there")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--policy", type=Path, default=None, help="policy file whose weights of event types to count by"
    )
    parser.add_argument(
        "--hold-out", choices=PROTOCOLS, default=None,
        help="what is kept for evaluation; by default the time split where there are times, else leave-one-out",
    )  # fmt: skip
    parser.add_argument("--device", choices=DEVICES, default="cpu", help="what towers are trained on")
    parser.add_argument(
        "--checkpoint-every", type=float, default=EVERY_S, metavar="SECONDS",
        help="how much training of towers a kill may cost: the same command goes on from the last checkpoint",
    )  # fmt: skip
    parser.add_argument("--fresh", action="store_true", help="without the checkpoint of an earlier process")
    return parser


if __name__ == "__main__":
    sys.exit(main())
