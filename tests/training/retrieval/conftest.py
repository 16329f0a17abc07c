"""A toy that can be learnt: two kinds of items, each walked along in its own circle."""

from pathlib import Path

import numpy as np
import pytest
import torch

from training.catalogue import Catalogue, build_catalogue
from training.data.dataset import Attributes, Dataset, EventTable
from training.retrieval.fit import fit_retrieval
from training.retrieval.recipe import RetrievalRecipe
from training.retrieval.trained import TrainedRetrieval

DAY_US = 86_400_000_000
TINY = RetrievalRecipe(
    dim=16, history_length=12, dropout=0.0, learning_rate=1e-2, batch_windows=8, batch_positions=64, budget_tflop=1.0,
    max_epochs=25, followers=50,
)  # fmt: skip


def circles(users: int = 60, per_kind: int = 30, steps: int = 14, unseen: int = 2, seed: int = 0) -> Dataset:
    """Each user walks one kind's circle by single steps, now and then by two; the last `unseen` items have no event."""
    rng = np.random.default_rng(seed)
    items = 2 * per_kind + unseen
    who, what = [], []
    for user in range(users):
        kind, place = user % 2, int(rng.integers(per_kind))
        for _ in range(steps):
            who.append(user)
            what.append(kind * per_kind + place)
            place = (place + (2 if rng.random() < 0.2 else 1)) % per_kind
    order = np.lexsort((np.tile(np.arange(steps), users), np.arange(users * steps) % steps))
    events = EventTable(
        np.array(who, np.int32)[order],
        np.array(what, np.int32)[order],
        np.arange(1, len(who) + 1, dtype=np.int64) * (DAY_US // 10),
        np.zeros(len(who), np.int8),
        np.full(len(who), np.nan, np.float32),
        np.arange(len(who), dtype=np.int64),
    )
    kinds = ["round" if i < per_kind else "square" for i in range(2 * per_kind)]
    kinds += ["round" if i % 2 == 0 else "square" for i in range(unseen)]
    return Dataset(
        "circles", [f"u{i}" for i in range(users)], [f"i{i}" for i in range(items)], ["click"], events,
        Attributes(categorical={"kind": kinds}), Attributes(), True, {}, {}, Path("."),
    )  # fmt: skip


@pytest.fixture(scope="session")
def toy() -> Dataset:
    return circles()


@pytest.fixture(scope="session")
def toy_before(toy: Dataset) -> np.ndarray:
    """All events but each user's last."""
    last = np.zeros(len(toy.user_ids), np.int64)
    np.maximum.at(last, toy.events.users, np.arange(len(toy.events)))
    return np.setdiff1d(np.arange(len(toy.events)), last)


@pytest.fixture(scope="session")
def toy_catalogue(toy: Dataset, toy_before: np.ndarray) -> Catalogue:
    return build_catalogue(toy, toy_before, int(toy.events.times[toy_before].max()))


@pytest.fixture(scope="session")
def toy_trained(toy: Dataset, toy_before: np.ndarray, toy_catalogue: Catalogue) -> TrainedRetrieval:
    torch.set_num_threads(1)
    return fit_retrieval(toy, toy_catalogue, toy_before, TINY, seed=1)


@pytest.fixture(scope="session")
def tiny_recipe() -> RetrievalRecipe:
    return TINY
