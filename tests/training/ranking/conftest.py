"""The tiny data set, read, and a retrieval trained on what precedes its ranking slice."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from training.data.dataset import Dataset
from training.data.read import read_dataset
from training.data.split import Split, split
from training.fit import first_stage, schema_of
from training.ranking.recipe import RankingRecipe
from training.ranking.requests import HeldBack, hold_back
from training.ranking.samples import Stage
from training.recipes import resolve
from training.retrieval.trained import TrainedRetrieval


@dataclass(frozen=True)
class Tiny:
    """Everything ranking starts from."""

    dataset: Dataset
    cut: Split
    held: HeldBack
    recipe: RankingRecipe
    first: TrainedRetrieval
    stage: Stage
    allowed: np.ndarray


@pytest.fixture(scope="session")
def tiny(tiny_data: Path) -> Tiny:
    """Time split."""
    dataset = read_dataset(tiny_data)
    recipe = resolve("tiny", dataset)
    cut = split(dataset, "time-split")
    held = hold_back(dataset, cut, recipe.ranking, 0)
    first, stage, *_ = first_stage(
        dataset,
        cut,
        held,
        schema_of(dataset, np.sort(np.concatenate([cut.train, cut.valid]))),
        recipe,
        0,
        lambda step, done: None,
    )
    allowed = np.zeros(len(dataset.events), np.bool_)
    allowed[cut.train] = allowed[cut.valid] = True
    return Tiny(dataset, cut, held, recipe.ranking, first, stage, allowed)
