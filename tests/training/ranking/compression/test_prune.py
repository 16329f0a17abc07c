"""Pruning takes the units that count least, in and out."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from toy_requests import CHOICES, SCHEMA, TASKS, item_features, known, moved, requests

from training.ranking.compression.prune import can_be_pruned, pruned
from training.ranking.model import RankerModel, Scale
from training.ranking.recipe import RankingRecipe
from training.ranking.train import logits_of


def member(model: RankerModel) -> dict[str, np.ndarray]:
    """Weights of its only one."""
    return {name.removeprefix("0."): value.numpy().copy() for name, value in model.members.state_dict().items()}


@pytest.mark.parametrize("recipe", [CHOICES["target"], CHOICES["mlp"]], ids=["dcn", "mlp"])
def test_units_that_say_nothing_go_first_and_nothing_changes(recipe: RankingRecipe) -> None:
    model = moved(replace(recipe, members=1))
    with torch.no_grad():
        for name, parameter in model.members.named_parameters():
            if name.endswith(("deep.0.weight", "deep.0.bias", "deep.3.weight", "deep.3.bias", "down.weight")):
                parameter[::2] = 0.0
    weights, smaller = pruned(member(model), model.recipe, 0.5)
    assert (smaller.hidden, smaller.cross_rank) == (recipe.hidden // 2, recipe.cross_rank // 2)
    scale = Scale(*(getattr(model, n).numpy() for n in ("user_mean", "user_spread", "dense_mean", "dense_spread")))
    small = RankerModel(smaller, SCHEMA, known(), scale, len(TASKS), 0)
    small.members.load_state_dict({f"0.{name}": torch.from_numpy(value) for name, value in weights.items()})
    samples = requests(4, 0)
    found, expected = (logits_of(each, samples, item_features()) for each in (small, model))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_networks_of_other_layers_are_left_alone() -> None:
    able = {name for name, recipe in CHOICES.items() if can_be_pruned(recipe)}
    assert able == {"target", "din", "transformer", "none", "mlp", "additive", "examined"}
