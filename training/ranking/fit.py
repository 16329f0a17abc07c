"""Ranking from the first stage's candidates to the files of a bundle."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penchant.bundle import ModelSpec
from penchant.features import FeatureSchema
from penchant.leaves import UserState
from penchant.ranking import Inputs, ranker_inputs
from penchant.types import Matrix
from training.catalogue import Catalogue
from training.data.dataset import Dataset
from training.data.split import Split, history_mask
from training.evaluation.metrics import ndcg
from training.ranking.compression.forms import Form, Judging, forms_of, smallest
from training.ranking.export import feeds_of, write_ranker
from training.ranking.known import ItemKnowledge
from training.ranking.model import task_scores
from training.ranking.recipe import RankingRecipe
from training.ranking.requests import HeldBack
from training.ranking.samples import Samples, Stage, collect
from training.ranking.tasks import ENGAGE, Task, tasks_of
from training.ranking.train import TrainedRanker, logits_of, train_ranker
from training.ranking.trees import fit_trees
from training.ranking.unfinished import kept_samples
from training.ranking.weights import choose_weights, ranks_of
from training.retrieval.trained import TrainedRetrieval
from training.run import Run

Tell = Callable[[str, float], None]
_FIRST = (50, 100, 250, 400)
"""Of so many of retrieval's first candidates alone the order is measured too: what a pre-ranker would rank."""


@dataclass(frozen=True, slots=True)
class FittedRanking:
    """A trained ranker and what else the bundle says of it."""

    form: Form
    """The ranker as it is served."""
    whole: TrainedRanker
    """As it was trained, before it was made smaller."""
    task_weights: dict[str, float]
    metrics: dict[str, Any]
    knowledge: ItemKnowledge
    train: Samples
    features: Matrix
    """Item features [N+1, Fi] of the first stage, which the samples' rows point into."""

    @property
    def trained(self) -> TrainedRanker:
        """The one that is served."""
        return self.form.trained

    @property
    def curves(self) -> dict[str, tuple[float, ...]]:
        """Loss at every step by training."""
        found = {f"ranker, member {i}": losses for i, losses in enumerate(self.whole.curves, 1)}
        return found if self.trained is self.whole else {**found, f"ranker, {self.form.name}": self.trained.curves[0]}


def fit_ranking(
    dataset: Dataset,
    cut: Split,
    held: HeldBack,
    first: TrainedRetrieval,
    stage: Stage,
    schema: FeatureSchema,
    recipe: RankingRecipe,
    seed: int,
    tell: Tell,
    run: Run | None = None,
) -> FittedRanking:
    """Replay the held-back moments through the first stage, train on them, and choose on the validation part.

    run: how it is carried out.
    """
    run = run or Run()
    tasks = tasks_of(dataset)
    train = kept_samples(
        run.checkpoints.part("ranking samples"),
        lambda: _collected(dataset, cut, stage, held.train, held.slates_train, tasks, recipe, False, seed, tell),
    )
    valid = kept_samples(
        run.checkpoints.part("validation samples"),
        lambda: _collected(dataset, cut, stage, held.valid, held.slates_valid, tasks, recipe, True, seed, tell),
    )
    knowledge = ItemKnowledge.of(first)
    features, known = stage.table.features.base, knowledge.vectors(first.catalogue)
    trained = train_ranker(
        train, valid, features, known, schema, tasks, recipe, seed, lambda done: tell("ranker", done),
        part=run.part("ranker"),
    )  # fmt: skip
    scores = task_scores(trained.outputs, logits_of(trained.model, valid, features))
    users = dataset.events.users[valid.events]
    asked = np.isin(valid.events, held.valid) & (valid.weights > 0).any(axis=1)
    weights = choose_weights(scores[asked], valid.weights[asked], valid.chosen[asked], users[asked], trained.tasks)
    form, table = Form("as trained", trained, recipe, False), dict[str, Any]()
    if recipe.compress:
        forms = forms_of(trained, recipe, train, valid, features, known, schema, tasks, seed, tell, run)
        judging = Judging(valid, np.flatnonzero(asked), users[asked], features, known, weights)
        form, table = smallest(forms, judging, recipe.most_lost)
        scores = task_scores(form.trained.outputs, logits_of(form.trained.model, valid, features))
    metrics = _metrics(scores, valid, form.trained, weights, asked, tasks)
    metrics |= {"ranker_epochs": list(trained.epochs), "compression": table}
    return FittedRanking(form, trained, weights, metrics, knowledge, train, features)


def write_ranking(
    folder: Path,
    dataset: Dataset,
    cut: Split,
    ranking: FittedRanking,
    catalogue: Catalogue,
    stage: Stage,
    recipe: RankingRecipe,
    seed: int,
) -> dict[str, ModelSpec]:
    """Write ranker/ of a bundle folder for the catalogue that is served; the models' specs by name.

    Raises BundleMismatch where an export is not what was trained.
    """
    newest = cut.valid[history_mask(dataset)[cut.valid]][-8:]
    feeds = feeds_for(dataset, stage, newest, recipe, seed)
    known = ranking.knowledge.vectors(catalogue)
    models = {"ranker": write_ranker(ranking.trained, ranking.form.int8, known, feeds, folder)}
    trees = fit_trees(ranking.train, ranking.features, recipe, seed, folder, "ranker/trees.onnx")
    return models if trees is None else {**models, "trees": trees}


def feeds_for(
    dataset: Dataset, stage: Stage, newest: NDArray[np.int64], recipe: RankingRecipe, seed: int
) -> list[Inputs]:
    """Real requests of the stage that is served, before the events `newest`, and a stranger's."""
    allowed = np.zeros(len(dataset.events), np.bool_)
    samples = collect(dataset, stage, newest, [], allowed, tasks_of(dataset), recipe, True, seed)
    return [*feeds_of(samples, stage.table.features.base), *_stranger(stage, recipe, dataset)]


def _collected(
    dataset: Dataset,
    cut: Split,
    stage: Stage,
    targets: NDArray[np.int64],
    slates: list[NDArray[np.int64]],
    tasks: list[Task],
    recipe: RankingRecipe,
    whole: bool,
    seed: int,
    tell: Tell,
) -> Samples:
    """Samples with a told progress; labels come from what precedes the held-out part, never from it."""
    allowed = np.zeros(len(dataset.events), np.bool_)
    allowed[cut.train] = True
    allowed[cut.valid] = True
    total = max(len(targets) + len(slates), 1)
    done = 0

    def told(count: int) -> None:
        nonlocal done
        done += count
        tell("validation samples" if whole else "ranking samples", min(done / total, 1.0))

    return collect(dataset, stage, targets, slates, allowed, tasks, recipe, whole, seed, told)


def _stranger(stage: Stage, recipe: RankingRecipe, dataset: Dataset) -> list[Inputs]:
    """The request of a user nothing is known of, whom every bundle must answer."""
    as_of_us = int(dataset.events.times.max())
    nobody = np.empty(0, np.int64)
    candidates, _ = stage.retrieval.retrieve(nobody, stage.table.allowed(), min(recipe.candidates, 64))
    if len(candidates.rows) < 2:
        return []
    length = stage.retrieval.history_length
    return [ranker_inputs(UserState(0), candidates, stage.table, stage.schema, length, as_of_us)]


def _metrics(
    scores: Matrix,
    valid: Samples,
    trained: TrainedRanker,
    weights: dict[str, float],
    asked: NDArray[np.bool_],
    tasks: list[Task],
) -> dict[str, Any]:
    """Of the validation part: NDCG@10 of the ranked and of the retrieved order, and how each task's scores fit."""
    total = sum(scores[..., t] * weights[name] for t, name in enumerate(trained.tasks))
    places = -np.arange(valid.rows.shape[1], dtype=np.float32)[None].repeat(len(valid), axis=0)
    found: dict[str, Any] = {
        "validation_requests": int(asked.sum()),
        "ranked_ndcg@10": _mean(ndcg(ranks_of(np.asarray(total), valid.weights, valid.chosen)[asked], 10)),
        "retrieval_ndcg@10": _mean(ndcg(ranks_of(places, valid.weights, valid.chosen)[asked], 10)),
        "ranked_first_ndcg@10": {
            str(count): _mean(
                ndcg(ranks_of(np.where(places > -count, total, -np.inf), valid.weights, valid.chosen)[asked], 10)
            )
            for count in _FIRST
        },
        "tasks": {},
    }
    for t, task in enumerate(tasks):
        known = ~np.isnan(valid.labels[..., t])
        said, was = scores[..., 1 + t][known], valid.labels[..., t][known]
        if len(was) == 0:
            continue
        fit = {"labels": len(was), "mean_label": _mean(was), "mean_score": _mean(said)}
        error = "rmse" if task.kind == "number" else "brier"
        fit[error] = float(np.sqrt(np.mean((said - was) ** 2)) if error == "rmse" else np.mean((said - was) ** 2))
        found["tasks"][task.name] = fit
    assert trained.tasks[0] == ENGAGE
    return found


def _mean(values: NDArray[Any]) -> float:
    return float(values.mean()) if len(values) else 0.0
