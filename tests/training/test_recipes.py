"""Recipes: what each resolves to."""

from dataclasses import replace
from pathlib import Path

import pytest

from penchant.errors import ConfigError
from training.data.dataset import Dataset
from training.data.read import read_dataset
from training.fit import main
from training.recipes import RECIPES, resolve
from training.retrieval.encoders import ENCODERS
from training.retrieval.losses import LOSSES
from training.retrieval.recipe import RetrievalRecipe, default_retrieval, laptop_retrieval


@pytest.fixture(scope="module")
def dataset(tiny_data: Path) -> Dataset:
    return read_dataset(tiny_data)


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_recipe_names_an_encoder_and_a_loss_and_comes_back_from_json(name: str, dataset: Dataset) -> None:
    recipe = resolve(name, dataset)
    assert recipe.name == name
    assert recipe.retrieval.encoder in ENCODERS
    assert recipe.retrieval.loss in LOSSES
    assert RetrievalRecipe(**recipe.to_json()["retrieval"]) == recipe.retrieval


def test_every_encoder_has_a_recipe(dataset: Dataset) -> None:
    assert {resolve(name, dataset).retrieval.encoder for name in RECIPES} == set(ENCODERS)


def test_the_default_is_what_it_was() -> None:
    """Models of the default recipe are compared across versions: a new field must leave them as they were."""
    expected = RetrievalRecipe(
        encoder="sasrec", loss="softmax", dim=32, history_length=50, learning_rate=2e-3, budget_tflop=1.0
    )
    assert default_retrieval(100_000, 5_000, 1_000) == expected


def test_the_laptop_works_in_proportion_to_the_events_and_never_more_than_it_promises() -> None:
    whole = laptop_retrieval(1_000_000, 6_000, 3_400)
    assert laptop_retrieval(100_000, 900, 1_600).budget_tflop == pytest.approx(whole.budget_tflop / 10)
    assert replace(laptop_retrieval(20_000_000, 138_000, 26_000), history_length=200) == whole


def test_help_says_what_each_recipe_is_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    told = capsys.readouterr().out
    for name, made in RECIPES.items():
        line = next(line for line in told.splitlines() if line.startswith(f"  {name} "))
        assert line.endswith(str(made.__doc__).splitlines()[0])


def test_an_unknown_recipe_names_the_known_ones(dataset: Dataset) -> None:
    with pytest.raises(ConfigError, match="unknown recipe 'big': known are default, esasrec"):
        resolve("big", dataset)
