"""Recipes: functions of the data set that return what training takes, every number resolved."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from penchant.errors import ConfigError
from training.data.dataset import Dataset
from training.data.split import history_mask
from training.ranking.recipe import RankingRecipe
from training.retrieval.recipe import RetrievalRecipe, default_retrieval


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way to make a bundle."""

    name: str
    retrieval: RetrievalRecipe
    ranking: RankingRecipe

    def to_json(self) -> dict[str, Any]:
        """As plain JSON, for the manifest."""
        return asdict(self)


def default(dataset: Dataset) -> Recipe:
    """One good recipe for retrieval and one for ranking, sized by the data set."""
    events = int(history_mask(dataset).sum())
    return Recipe("default", default_retrieval(events, len(dataset.user_ids), len(dataset.item_ids)), RankingRecipe())


def tiny(dataset: Dataset) -> Recipe:
    """For tests: everything that `default` does, small enough for seconds."""
    return Recipe(
        "tiny",
        RetrievalRecipe(dim=16, blocks=1, history_length=20, budget_tflop=0.002, max_epochs=10),
        RankingRecipe(
            max_requests=300, max_valid_requests=100, max_slates=50, candidates=60, hard_negatives=15,
            drawn_negatives=15, history=10, dim=8, hidden=16, members=1, epochs=3, trees=20, leaves=7,
        ),
    )  # fmt: skip


RECIPES: dict[str, Callable[[Dataset], Recipe]] = {"default": default, "tiny": tiny}


def resolve(name: str, dataset: Dataset) -> Recipe:
    """The recipe of that name for a data set. Raises ConfigError naming the known ones."""
    if name not in RECIPES:
        raise ConfigError(f"unknown recipe {name!r}: known are {', '.join(sorted(RECIPES))}")
    return RECIPES[name](dataset)
