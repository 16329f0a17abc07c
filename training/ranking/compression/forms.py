"""The forms a trained ranker could be served in, what each loses of the slate's order, and which is taken."""

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penchant.bundle import ModelSpec
from penchant.features import FeatureSchema
from penchant.ranking import slate_score
from penchant.sessions import Session, open_session
from penchant.types import Matrix
from training.evaluation.bootstrap import paired_interval
from training.evaluation.metrics import ndcg
from training.ranking.compression.int8 import to_int8
from training.ranking.compression.prune import can_be_pruned, pruned
from training.ranking.export import export_ranker, feeds_of
from training.ranking.recipe import RankingRecipe
from training.ranking.samples import Samples
from training.ranking.tasks import Task
from training.ranking.train import TrainedRanker, logits_of, train_ranker, weights_of
from training.ranking.warm import RankerWeights
from training.ranking.weights import ranks_of
from training.run import Run

_TIMED = 60
_NAMES = {"trained": "as trained", "distilled": "distilled to one member", "pruned": "distilled and pruned"}


@dataclass(frozen=True, slots=True)
class Form:
    """A ranker as it may be served."""

    name: str
    trained: TrainedRanker
    recipe: RankingRecipe
    int8: bool


@dataclass(frozen=True, slots=True)
class Judging:
    """The validation requests that forms are compared on, and what turns scores into a slate's order."""

    valid: Samples
    asked: NDArray[np.int64]
    """Indices of requests."""
    users: NDArray[np.integer]
    """Whose each is."""
    features: Matrix
    known: Matrix
    """Of the items of the stage that proposed the requests' candidates, by row."""
    task_weights: Mapping[str, float]


def forms_of(
    trained: TrainedRanker,
    recipe: RankingRecipe,
    train: Samples,
    valid: Samples,
    features_NF: Matrix,
    known_NK: Matrix,
    schema: FeatureSchema,
    tasks: list[Task],
    seed: int,
    tell: Callable[[str, float], None],
    run: Run,
) -> list[Form]:
    """As trained, distilled to its best member where there are several, and pruned: each after the one it came from.

    A smaller network is trained on from the larger one's weights, towards what all members say together.
    """
    forms = [Form(_NAMES["trained"], trained, recipe, False)]
    taught = logits_of(trained.model, train, features_NF)

    def student(name: str, weights: RankerWeights, smaller: RankingRecipe) -> TrainedRanker:
        step = f"ranker, {name}"
        return train_ranker(
            train, valid, features_NF, known_NK, schema, tasks, replace(smaller, epochs=recipe.student_epochs), seed,
            lambda done: tell(step, done), warm=weights, part=run.part(step), taught=taught,
        )  # fmt: skip

    weights = _best_member(trained)
    one = replace(recipe, members=1)
    if recipe.members > 1:
        distilled = student("distilled", weights, one)
        weights = weights_of(distilled, {})
        forms.append(Form(_NAMES["distilled"], distilled, one, False))
    if can_be_pruned(one):
        member = {name.removeprefix("0."): value for name, value in weights.members.items()}
        left, smaller = pruned(member, one, recipe.kept_units)
        weights = replace(weights, members={f"0.{name}": value for name, value in left.items()})
        forms.append(Form(_NAMES["pruned"], student("pruned", weights, smaller), smaller, False))
    return forms


def smallest(forms: list[Form], judging: Judging, most_lost: float) -> tuple[Form, dict[str, Any]]:
    """The smallest form, each also in whole numbers, that loses at most a share of the first's NDCG@10; and the table.

    forms: the largest first. The mean decides, the interval is told; times are told and decide nothing, so that the
    same training takes the same form wherever it runs.
    """
    sessions: dict[str, Session] = {}
    by_name: dict[str, Form] = {}
    feeds = feeds_of(judging.valid, judging.features)
    if not feeds or len(judging.asked) == 0:
        return forms[0], {"taken": forms[0].name, "tried": []}
    with tempfile.TemporaryDirectory() as room:
        for i, form in enumerate(forms):
            folder = Path(room) / str(i)
            spec = export_ranker(form.trained, judging.known, feeds, folder, "ranker.onnx")
            by_name[form.name], sessions[form.name] = form, open_session(folder, spec)
            if to_int8(folder / spec.file, feeds, folder / "int8.onnx"):
                name = f"{form.name}, int8"
                by_name[name] = replace(form, name=name, int8=True)
                sessions[name] = open_session(folder, ModelSpec("int8.onnx", spec.inputs, spec.outputs, ""))
        found = {name: _ndcg(session, judging, by_name[name]) for name, session in sessions.items()}
        taken_ms = _milliseconds(sessions, judging)
    whole = found[forms[0].name]
    taken, tried = forms[0].name, []
    for name, values in found.items():
        lost = float((whole - values).mean() / max(whole.mean(), 1e-9))
        low, high = (x / max(float(whole.mean()), 1e-9) for x in paired_interval(whole, values, judging.users, seed=0))
        tried.append(
            {
                "form": name, "ndcg@10": float(values.mean()), "lost": lost, "lost_low": low, "lost_high": high,
                "ms": taken_ms[name],
            }
        )  # fmt: skip
        if lost <= most_lost:
            taken = name
    return by_name[taken], {"taken": taken, "most_lost": most_lost, "requests": len(judging.asked), "tried": tried}


def _best_member(trained: TrainedRanker) -> RankerWeights:
    """The member that the validation part likes best, as a ranker of its own."""
    best = int(np.argmin(trained.losses)) if trained.losses else 0
    weights = weights_of(trained, {})
    mine = {f"0.{k.removeprefix(f'{best}.')}": v for k, v in weights.members.items() if k.startswith(f"{best}.")}
    return replace(weights, members=mine)


def _ndcg(session: Session, judging: Judging, form: Form) -> NDArray[np.float64]:
    """NDCG@10 of each request as the graph that serves orders it."""
    valid, asked = judging.valid, judging.asked
    scores = np.full((len(asked), valid.rows.shape[1]), -np.inf, np.float32)
    for at, i in enumerate(asked.tolist()):
        used = np.flatnonzero(valid.weights[i] > 0)
        given = session(valid.inputs(i, used, judging.features))
        scores[at, used] = slate_score(given, form.trained.tasks, judging.task_weights)
    return ndcg(ranks_of(scores, valid.weights[asked], valid.chosen[asked]), 10)


def _milliseconds(sessions: Mapping[str, Session], judging: Judging) -> dict[str, float]:
    """Median time of the largest request, the forms in turn, so that what else runs here delays all of them."""
    counts = (judging.valid.weights[judging.asked] > 0).sum(axis=1)
    request = int(judging.asked[int(counts.argmax())])
    feed = judging.valid.inputs(request, np.flatnonzero(judging.valid.weights[request] > 0), judging.features)
    taken: dict[str, list[float]] = {name: [] for name in sessions}
    for _ in range(_TIMED):
        for name, session in sessions.items():
            started = time.perf_counter()
            session(feed)
            taken[name].append(time.perf_counter() - started)
    return {name: round(float(np.median(times)) * 1e3, 4) for name, times in taken.items()}
