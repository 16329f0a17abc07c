"""How far items newer than the bundle may be lifted once ranked, from validation targets and copies of known items.

What a ranker makes of an item without row and events is beyond what it was trained on: on ML-1M with plots it put 3.3
new films on a slate of ten, and known ones lost 14 % of their hits.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from penchant.ids import key
from penchant.item_table import ItemChange
from penchant.ranking import ranker_inputs, slate_score
from training.checkpoint import Checkpoint
from training.data.dataset import Dataset
from training.evaluation.metrics import ndcg
from training.evaluation.protocol import TENANT
from training.ranking.fit import FittedRanking
from training.ranking.recipe import RankingRecipe
from training.ranking.samples import Stage, moments_with_vectors
from training.ranking.served import ServedRanker
from training.retrieval.lift import MOST_LOST, some_rows
from training.retrieval.trained import TrainedRetrieval

LIFTS = np.round(np.arange(-6.0, 3.01, 0.1), 1)
_MOST = 800
"""Validation targets."""


def kept_lift(checkpoint: Checkpoint, choose: Callable[[], float]) -> float:
    """What an earlier process chose, else chosen now and kept."""
    state = checkpoint.load()
    if state is not None:
        return float(state["lift"])
    lift = choose()
    checkpoint.save({"lift": lift})
    return lift


def chosen_new_lift(
    dataset: Dataset,
    stage: Stage,
    first: TrainedRetrieval,
    ranking: FittedRanking,
    targets: NDArray[np.int64],
    recipe: RankingRecipe,
    seed: int,
    most_lost: float = MOST_LOST,
) -> float:
    """The largest of LIFTS at which a tenth more items, known by what is written of them, take most_lost at most of
    the NDCG@10 of the targets (events); 0 where nothing is written of items or there are no targets.

    first, stage: retrieval that has not seen the targets. Nobody's answer and nothing that the user has seen competes
    as its own copy.
    """
    crowded, copy_of = _with_copies(stage, first, seed)
    if crowded is None or len(targets) == 0:
        return 0.0
    some = np.random.default_rng(seed).permutation(targets)[:_MOST]
    rows = first.catalogue.rows(dataset.events.items)
    known = ranking.knowledge.vectors(first.catalogue)
    ranker = ServedRanker(ranking.trained.model, known, ranking.trained.outputs).eval()
    known_ahead, new_ahead = [], []
    for moment, vector in moments_with_vectors(dataset, crowded, np.sort(some)):
        wanted = int(rows[moment.event])
        allowed = moment.allowed.copy()
        allowed[copy_of[np.flatnonzero(~moment.allowed[: len(copy_of)])]] = False
        allowed[copy_of[wanted]] = False
        allowed[0] = False
        found, _ = crowded.retrieval.retrieve(moment.history, allowed, recipe.candidates, user_vector=vector)
        own = np.flatnonzero(found.rows == wanted)
        if len(own) == 0:
            continue
        inputs = ranker_inputs(
            moment.user, found, crowded.table, crowded.schema, crowded.retrieval.history_length, moment.as_of_us
        )
        with torch.no_grad():
            told = ranker(**{name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in inputs.items()})
        scores = slate_score(told.numpy(), ranking.trained.tasks, ranking.task_weights)
        new = found.rows > crowded.table.bundle_rows
        known_ahead.append(int((scores[~new] > scores[own[0]]).sum()))
        ahead_by = np.sort(scores[new] - scores[own[0]])
        new_ahead.append(len(ahead_by) - np.searchsorted(ahead_by, -LIFTS, side="right"))
    if not known_ahead:
        return 0.0
    places, crowds = 1 + np.array(known_ahead), np.array(new_ahead)
    least = (1.0 - most_lost) * ndcg(places, 10).sum()
    gains = np.array([ndcg(places + crowds[:, i], 10).sum() for i in range(len(LIFTS))])
    return float(LIFTS[gains >= least].max(initial=LIFTS[0]))


def _with_copies(stage: Stage, first: TrainedRetrieval, seed: int) -> tuple[Stage | None, NDArray[np.int64]]:
    """The stage once copies of some of its items were written to its table, and the copy's row by the item's row."""
    rows = some_rows(first, seed)
    copy_of = np.zeros(stage.table.bundle_rows + 1, np.int64)
    if len(rows) == 0:
        return None, copy_of
    changes = [
        ItemChange(i, key(TENANT, f"\0copy {i}"), f"\0copy {i}", attributes=said)
        for i, said in enumerate(first.catalogue.written(rows), 1)
    ]
    table = first.catalogue.table(first.embeddings, stage.table.features.base)
    table.apply(changes, table.content_of(changes), first.embed)
    copy_of[rows] = np.arange(1, len(rows) + 1) + table.bundle_rows
    return replace(stage, table=table, retrieval=stage.retrieval.over(table)), copy_of
