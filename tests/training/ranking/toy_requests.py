"""Requests of a toy world: items of two groups, users who take the one candidate of their own group."""

from dataclasses import replace

import numpy as np
import torch

from penchant.features import FeatureSchema
from penchant.retrieval.features import RETRIEVAL_FEATURES
from training.ranking.model import RankerModel, Scale
from training.ranking.recipe import RankingRecipe
from training.ranking.samples import Samples
from training.ranking.statistics import LOG_SHARES, RequestStatistics
from training.ranking.tasks import Task
from training.ranking.train import TrainedRanker, train_ranker

SCHEMA = FeatureSchema.default(has_times=True, has_values=False, item_attributes={}, user_attributes={})
TASKS = (Task("click", "act", np.zeros(0, np.float32)),)
RECIPE = RankingRecipe(
    history=8,
    dim=8,
    hidden=16,
    cross_rank=8,
    members=1,
    epochs=8,
    batch_requests=25,
    learning_rate=1e-2,
    dropout=0.1,
    attention="target",
)
CHOICES = {
    "target": RECIPE,
    "din": replace(RECIPE, attention="din"),
    "transformer": replace(RECIPE, attention="transformer"),
    "none": replace(RECIPE, attention="none"),
    "mlp": replace(RECIPE, cross="mlp"),
    "neumf": replace(RECIPE, cross="neumf"),
    "neumf without history": replace(RECIPE, cross="neumf", attention="none"),
    "mmoe": replace(RECIPE, heads="mmoe"),
    "additive": replace(RECIPE, position_correction="additive"),
    "examined": replace(RECIPE, position_correction="examined"),
}
"""Every network beside the default's others."""
ITEMS, CANDIDATES = 60, 6
GROUP = np.arange(ITEMS + 1) % 2


def known() -> np.ndarray:
    """What is known of the items [N + 1, 4]: which group, and noise."""
    rng = np.random.default_rng(1)
    vectors = np.stack([GROUP, 1 - GROUP, *rng.normal(size=(2, ITEMS + 1))], axis=1).astype(np.float32)
    vectors[0] = 0.0
    return vectors


def item_features() -> np.ndarray:
    """Dense features [N + 1, Fi] that say nothing."""
    rng = np.random.default_rng(2)
    return rng.normal(size=(ITEMS + 1, len(SCHEMA.item_dense_names))).astype(np.float32)


def requests(count: int, seed: int, told_by: str = "history") -> Samples:
    """told_by "history": which group a user is of is in the items of the history; "user": in a user feature."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 2, count)
    own = np.flatnonzero(GROUP[1:] == 1) + 1, np.flatnonzero(GROUP[1:] == 0) + 1
    history = np.zeros((count, RECIPE.history), np.int64)
    rows = np.zeros((count, CANDIDATES), np.int64)
    chosen = rng.integers(0, CANDIDATES, count)
    for r in range(count):
        length = int(rng.integers(1, RECIPE.history + 1))
        from_ = own[1 - group[r]] if told_by == "history" else np.arange(1, ITEMS + 1)
        history[r, -length:] = rng.choice(from_, length)
        rows[r] = rng.choice(own[group[r]], CANDIDATES, replace=False)
        # Not one of the history's own: that alone would tell.
        rows[r, chosen[r]] = rng.choice(np.setdiff1d(own[1 - group[r]], history[r]))
    user = rng.normal(size=(count, len(SCHEMA.user_dense_names))).astype(np.float32)
    if told_by == "user":
        user[:, 0] = 2.0 * group - 1.0
    retrieval = np.zeros((count, CANDIDATES, len(RETRIEVAL_FEATURES)), np.float32)
    pair = np.zeros((count, CANDIDATES, len(SCHEMA.pair_dense_names)), np.float32)
    width = len(SCHEMA.item_dense_names) + retrieval.shape[2] + pair.shape[2]
    labels = np.zeros((count, CANDIDATES, 1), np.float32)
    labels[np.arange(count), chosen] = 1.0
    return Samples(
        events=np.arange(count), history_rows=history, history_types=np.where(history > 0, 1, 0),
        history_signals=np.zeros((count, RECIPE.history, 3), np.float32), user_dense=user, rows=rows,
        retrieval=retrieval, pair_dense=pair, weights=np.ones((count, CANDIDATES), np.float32),
        statistics=RequestStatistics(
            np.zeros((count, width), np.float32), np.ones((count, width), np.float32),
            np.full((count, len(LOG_SHARES)), np.log(CANDIDATES), np.float32),
        ),
        chosen=chosen, labels=labels, positions=np.tile(np.arange(CANDIDATES, dtype=np.int16), (count, 1)),
    )  # fmt: skip


def moved(recipe: RankingRecipe) -> RankerModel:
    """An untrained model that says something: every parameter moved a little."""
    width = len(SCHEMA.item_dense_names) + len(RETRIEVAL_FEATURES) + len(SCHEMA.pair_dense_names)
    user = len(SCHEMA.user_dense_names)
    zeros, ones = np.zeros, np.ones
    scale = Scale(
        zeros(user, np.float32), ones(user, np.float32), zeros(width, np.float32), ones(width, np.float32)
    )  # fmt: skip
    model = RankerModel(recipe, SCHEMA, known(), scale, len(TASKS), 0).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return model


def trained(recipe: RankingRecipe, train: Samples, valid: Samples, seed: int = 0) -> TrainedRanker:
    """A ranker of the toy world."""
    return train_ranker(train, valid, item_features(), known(), SCHEMA, TASKS, recipe, seed)
