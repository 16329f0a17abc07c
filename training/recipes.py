"""Recipes: functions of the data set that return what training takes, every number resolved."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from penchant.errors import ConfigError
from training.data.dataset import Dataset
from training.data.split import history_mask
from training.ranking.recipe import RankingRecipe
from training.retrieval.recipe import RetrievalRecipe, default_retrieval, laptop_retrieval


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
    """One good recipe for retrieval and one for ranking, sized by the data set and quick on any machine."""
    return Recipe("default", default_retrieval(*_size(dataset)), RankingRecipe())


def laptop(dataset: Dataset) -> Recipe:
    """The best of 30 CPU-minutes: SASRec of width 128 under the softmax over the whole catalogue."""
    return _laptop(dataset, "laptop")


def sasrec(dataset: Dataset) -> Recipe:
    """SASRec (Kang and McAuley 2018) as laptop trains it, in half the work: what the plain model does by itself."""
    return _laptop(dataset, "sasrec", work=0.5)


def gsasrec(dataset: Dataset) -> Recipe:
    """gSASRec (Petrov and Macdonald 2023): the same encoder, calibrated binary cross-entropy, 256 negatives."""
    return _laptop(dataset, "gsasrec", loss="gbce", negatives=256)


def esasrec(dataset: Dataset) -> Recipe:
    """eSASRec (Tikhonovich et al. 2025): LiGR layers, sampled softmax."""
    return _laptop(dataset, "esasrec", encoder="ligr", loss="sampled_softmax")


def hstu(dataset: Dataset) -> Recipe:
    """HSTU (Zhai et al. 2024), without the bias by times: pointwise attention, four blocks."""
    return _laptop(dataset, "hstu", encoder="hstu", blocks=4)


def gru4rec(dataset: Dataset) -> Recipe:
    """GRU4Rec (Hidasi et al. 2016; Hidasi and Karatzoglou 2018): one recurrent layer."""
    return _laptop(dataset, "gru4rec", encoder="gru4rec", blocks=1)


def nextitnet(dataset: Dataset) -> Recipe:
    """NextItNet (Yuan et al. 2019): three residual blocks of dilated causal convolutions."""
    return _laptop(dataset, "nextitnet", encoder="nextitnet", blocks=3)


def youtube_dnn(dataset: Dataset) -> Recipe:
    """YouTube DNN (Covington et al. 2016): the mean of the history through two hidden layers; knows no order."""
    return _laptop(dataset, "youtube_dnn", encoder="youtube_dnn")


def two_tower(dataset: Dataset) -> Recipe:
    """A two-tower perceptron (Huang et al. 2013; Yi et al. 2019) over the decayed mean and the newest item."""
    return _laptop(dataset, "two_tower", encoder="two_tower")


def tiny(dataset: Dataset) -> Recipe:
    """For tests: everything that default does, small enough for seconds."""
    return Recipe(
        "tiny",
        RetrievalRecipe(dim=16, blocks=1, history_length=20, budget_tflop=0.002, max_epochs=10, media_shown=1500),
        RankingRecipe(
            max_requests=300, max_valid_requests=100, max_slates=50, candidates=60, hard_negatives=15,
            drawn_negatives=15, history=10, dim=8, hidden=16, members=1, epochs=3, trees=20, leaves=7, compress=False,
        ),
    )  # fmt: skip


RECIPES: dict[str, Callable[[Dataset], Recipe]] = {
    made.__name__: made
    for made in (
        default, laptop, sasrec, gsasrec, esasrec, hstu, gru4rec, nextitnet, youtube_dnn, two_tower, tiny,
    )
}  # fmt: skip


def _size(dataset: Dataset) -> tuple[int, int, int]:
    """History events, users, items."""
    return int(history_mask(dataset).sum()), len(dataset.user_ids), len(dataset.item_ids)


def _laptop(dataset: Dataset, name: str, work: float = 1.0, **changes: Any) -> Recipe:
    """laptop's retrieval with some fields changed and so many times its work; ranking as by default."""
    retrieval = laptop_retrieval(*_size(dataset))
    retrieval = replace(retrieval, budget_tflop=work * retrieval.budget_tflop, **changes)
    return Recipe(name, retrieval, RankingRecipe())


def described() -> str:
    """Every recipe's name and what it is, a line each."""
    width = max(map(len, RECIPES))
    return "\n".join(f"  {name:<{width}}  {(made.__doc__ or '').splitlines()[0]}" for name, made in RECIPES.items())


def resolve(name: str, dataset: Dataset) -> Recipe:
    """The recipe of that name for a data set. Raises ConfigError naming the known ones."""
    if name not in RECIPES:
        raise ConfigError(f"unknown recipe {name!r}: known are {', '.join(sorted(RECIPES))}")
    return RECIPES[name](dataset)
