"""Weights of rankers from before the parts could be chosen still open, and so do their samples."""

from pathlib import Path

import numpy as np
import pytest
from toy_requests import RECIPE, SCHEMA, TASKS, item_features, known, requests, trained

from penchant.errors import BundleMismatch, ConfigError
from training.learning.book import Book
from training.ranking.recipe import RankingRecipe, served_ranking
from training.ranking.train import train_ranker, weights_of
from training.ranking.warm import RankerWeights

_BEFORE = {"history.": "", "cross.layers": "crosses", "cross.deep": "deep", "heads.head": "head"}


def _as_before(name: str) -> str:
    for now, before in _BEFORE.items():
        name = name.replace(now, before)
    return name


def test_a_ranker_of_before_is_trained_on_as_one_of_now(tmp_path: Path) -> None:
    found = weights_of(trained(RECIPE, requests(64, 0), requests(32, 1)), {})
    old = {_as_before(name): value for name, value in found.members.items()}
    assert {"0.asks.weight", "0.crosses.0.down.weight", "0.deep.0.bias", "0.head.bias"} <= old.keys()
    RankerWeights(old, found.scale, found.outputs, found.tasks, found.numbers).write(tmp_path / "ranker.npz")
    opened = RankerWeights.read(tmp_path / "ranker.npz")
    assert opened.members.keys() == found.members.keys()
    for name, value in opened.members.items():
        np.testing.assert_array_equal(value, found.members[name])


def test_an_old_recipe_is_the_network_of_its_time() -> None:
    before = {k: v for k, v in RankingRecipe().to_json().items() if k not in ("attention", "cross", "heads")}
    assert served_ranking({"ranking": before}) == RankingRecipe(attention="target", cross="dcn", heads="shared")


def test_a_network_that_is_not_known_is_refused_with_those_that_are() -> None:
    with pytest.raises(ConfigError, match="attention is 'lstm': one of target, din, transformer, none"):
        RankingRecipe(attention="lstm")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="attention_heads is 3: it must divide dim, 16"):
        RankingRecipe(attention_heads=3)


def test_places_are_kept_with_the_samples_and_are_none_in_a_book_of_before(tmp_path: Path) -> None:
    samples = requests(5, 0)
    book = Book.of(samples, np.arange(len(known())), item_features())
    book.write(tmp_path / "now.npz")
    assert Book.read(tmp_path / "now.npz").samples.positions.tolist() == samples.positions.tolist()
    with np.load(tmp_path / "now.npz") as file:
        np.savez(tmp_path / "before.npz", **{n: file[n] for n in file.files if n != "positions"})
        np.savez(tmp_path / "other.npz", **{n: file[n] for n in file.files if n != "labels"})
    assert (Book.read(tmp_path / "before.npz").samples.positions == -1).all()
    with pytest.raises(BundleMismatch, match="holds no samples"):
        Book.read(tmp_path / "other.npz")


def test_what_places_do_is_learned_on_from(tmp_path: Path) -> None:
    recipe = RankingRecipe(**{**RECIPE.to_json(), "position_correction": "additive"})
    first = trained(recipe, requests(64, 0), requests(32, 1))
    weights_of(first, {}).write(tmp_path / "ranker.npz")
    warm = RankerWeights.read(tmp_path / "ranker.npz")
    still = RankingRecipe(**{**recipe.to_json(), "epochs": 0})
    again = train_ranker(
        requests(8, 2), requests(8, 3), item_features(), known(), SCHEMA, TASKS, still, 0, warm=warm
    )  # fmt: skip
    was, now = (t.model.ensemble[0].position for t in (first, again))
    assert was is not None
    assert now is not None
    np.testing.assert_array_equal(was.places.detach().numpy(), now.places.detach().numpy())
    assert was.places.abs().max() > 0
