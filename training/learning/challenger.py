"""A bundle learned from another one: tuned models, written beside, judged by nobody yet."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from penchant.bundle import FORMAT, Manifest, ModelSpec, file_checksums, write_manifest
from training.catalogue import build_catalogue, item_features
from training.data.dataset import Dataset
from training.data.split import history_mask
from training.evaluation.offline import OpenBundle
from training.learning.budget import UpdateBudget
from training.learning.graft import grafted_model
from training.learning.ranking import TunedRanking, tune_ranking
from training.learning.retrieval import tune_retrieval
from training.learning.warm import Warm
from training.progress import Tell
from training.ranking.export import CANDIDATE_INPUTS, FLOAT_FILE, in_whole_numbers, ranker_feeds
from training.ranking.fit import feeds_for
from training.ranking.model import RankerModel
from training.ranking.recipe import RankingRecipe, served_ranking
from training.ranking.samples import Samples, Stage
from training.ranking.served import ServedRanker
from training.ranking.tasks import Task
from training.ranking.train import weights_of
from training.ranking.warm import RankerWeights
from training.retrieval.export import USER_FREE, user_feeds
from training.retrieval.recipe import RetrievalRecipe
from training.retrieval.tower import ServedUserTower, Towers
from training.retrieval.trained import Export
from training.retrieval.weights import TowerWeights


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a challenger is learned from: events before `before` in time, those of is_new not seen by the champion."""

    dataset: Dataset
    before: NDArray[np.int64]
    is_new: NDArray[np.bool_]
    cut_us: int
    position: int
    """The log position that it has learned from."""
    shown: Callable[[Stage, Sequence[Task]], list[Samples]]
    """Samples of joined exposures, collected from the champion's stage."""


@dataclass(frozen=True, slots=True)
class Challenger:
    """A written folder that is not published, and what went into it."""

    folder: Path
    manifest: Manifest
    requests: int
    shown: int


def champion_stage(champion: OpenBundle) -> Stage:
    """The champion as it proposes candidates in service."""
    return Stage(champion.schema, champion.table, champion.retrieval, champion.tower)


def write_challenger(
    champion: OpenBundle,
    source: Path,
    warm: Warm,
    lesson: Lesson,
    folder: Path,
    version: str,
    budget: UpdateBudget,
    seed: int,
    update: int,
    tell: Tell = lambda step, done: None,
) -> Challenger:
    """Tune both models on a lesson and write a whole bundle at `folder`, manifest included.

    source: the champion's folder. The schema, the blend and the tasks' weights stay the champion's.
    """
    retrieval_recipe = RetrievalRecipe(**champion.manifest.recipe["retrieval"])
    ranking_recipe = served_ranking(champion.manifest.recipe)
    dataset, before = lesson.dataset, lesson.before
    new = before[lesson.is_new[before]]
    stage = champion_stage(champion)
    catalogue = build_catalogue(dataset, before, lesson.cut_us)
    ranking = tune_ranking(
        dataset, stage, champion.embed, catalogue, new, history_mask(dataset), lesson.shown, warm, ranking_recipe,
        budget, seed, lambda done: tell("ranker", done),
    )  # fmt: skip
    trained = tune_retrieval(
        dataset, catalogue, before, lesson.is_new, warm.towers, retrieval_recipe, budget, lesson.cut_us, seed,
        lambda done: tell("retrieval", done),
    ).with_settings(champion.retrieval.settings)  # fmt: skip
    tell("write the challenger", 0.0)
    features = item_features(dataset, catalogue, before, champion.schema, lesson.cut_us)
    served = Stage(
        champion.schema, catalogue.table(trained.embeddings, features), trained.model(), trained.user_vectors
    )
    folder.mkdir(parents=True)
    served.table.write(folder)
    specs = champion.manifest.models
    models = trained.write(folder, _tower_export(source, specs["user_tower"], warm.towers, retrieval_recipe))
    newest = before[history_mask(dataset)[before]][-8:]
    models["ranker"] = _write_ranker(
        folder, source, specs["ranker"], warm.ranker, ranking, served, ranking_recipe, dataset, newest, seed
    )
    numbers = warm.ranker.numbers
    Warm(trained.weights, weights_of(ranking.trained, numbers), ranking.book).write(folder)
    manifest = Manifest(
        version=version, format=FORMAT, created=datetime.now(UTC).isoformat(timespec="seconds"),
        dataset=champion.manifest.dataset, recipe=_recipe(champion.manifest.recipe), seed=seed, cut_us=lesson.cut_us,
        item_count=catalogue.count, embedding_dim=retrieval_recipe.dim,
        history_length=retrieval_recipe.history_length, schema_fingerprint=champion.manifest.schema_fingerprint,
        schema=champion.manifest.schema, retrieval=trained.settings.to_json(), tasks=ranking.trained.tasks,
        task_weights=champion.manifest.task_weights, models=models, files=file_checksums(folder),
        new_lift=champion.manifest.new_lift,
        metrics={"ranker_epochs": list(ranking.trained.epochs)},
        lineage={
            "from": champion.manifest.version, "position": lesson.position, "update": update,
            "new_events": len(new), "requests": ranking.requests, "shown": ranking.shown,
        },
    )  # fmt: skip
    write_manifest(folder, manifest)
    tell("write the challenger", 1.0)
    return Challenger(folder, manifest, ranking.requests, ranking.shown)


def _recipe(recipe: dict[str, Any]) -> dict[str, Any]:
    """The champion's, which holds nothing out any more."""
    kept = {name: value for name, value in recipe.items() if name != "targets_sha256"}
    return {**kept, "protocol": "none"}


def _tower_export(source: Path, spec: ModelSpec, warm: TowerWeights, recipe: RetrievalRecipe) -> Export:
    """Writes the user tower by grafting it into the champion's export."""
    state = {name: torch.from_numpy(value) for name, value in warm.state.items()}
    content = torch.zeros(len(warm.learned), state["project.weight"].shape[1])
    old = Towers(recipe, content, torch.from_numpy(warm.learned))
    old.load_state_dict(state)
    old.eval()

    def export(towers: Towers, histories_BL: NDArray[np.int64], folder: Path) -> ModelSpec:
        return grafted_model(
            ServedUserTower(old), ServedUserTower(towers), source / spec.file, spec, user_feeds(histories_BL),
            USER_FREE, folder,
        )  # fmt: skip

    return export


def _write_ranker(
    folder: Path,
    source: Path,
    spec: ModelSpec,
    warm: RankerWeights,
    ranking: TunedRanking,
    served: Stage,
    recipe: RankingRecipe,
    dataset: Dataset,
    newest: NDArray[np.int64],
    seed: int,
) -> ModelSpec:
    known = ranking.known
    model = RankerModel(recipe, served.schema, known, warm.scale, len(warm.tasks) - 1, seed)
    model.members.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in warm.members.items()})
    feeds = ranker_feeds(feeds_for(dataset, served, newest, recipe, seed))
    in_floats = spec
    if (source / FLOAT_FILE).exists():
        in_floats = ModelSpec(FLOAT_FILE, spec.inputs, spec.outputs, "")
    grafted = grafted_model(
        ServedRanker(model, known, warm.outputs),
        ServedRanker(ranking.trained.model, known, ranking.trained.outputs),
        source / in_floats.file, in_floats, feeds, dict.fromkeys(CANDIDATE_INPUTS, "candidates"), folder,
    )  # fmt: skip
    return grafted if in_floats is spec else in_whole_numbers(folder, grafted, feeds)


def with_metrics(challenger: Challenger, metrics: dict[str, Any], reference: dict[str, Any]) -> Challenger:
    """The same folder, its manifest saying what was measured."""
    manifest = replace(challenger.manifest, metrics={**challenger.manifest.metrics, **metrics}, reference=reference)
    write_manifest(challenger.folder, manifest)
    return replace(challenger, manifest=manifest)
