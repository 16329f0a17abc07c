"""Structured pruning: the weakest of a layer's units go, in and out, and what is left is a smaller network.

A unit's strength is the norm of what leads to it times the norm of what leads on, as in Li et al., Pruning Filters for
Efficient ConvNets, ICLR 2017; what is left is trained on by the teacher (compression/forms.py).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.ranking.recipe import RankingRecipe

Weights = dict[str, NDArray[Any]]
_FIRST, _SECOND, _HEAD = "cross.deep.0", "cross.deep.3", "heads.head"


def can_be_pruned(recipe: RankingRecipe) -> bool:
    """Whether these layers are what the recipe's network has."""
    return recipe.cross in ("dcn", "mlp") and recipe.heads == "shared" and min(recipe.hidden, recipe.cross_rank) >= 4


def pruned(member: Mapping[str, NDArray[Any]], recipe: RankingRecipe, share: float) -> tuple[Weights, RankingRecipe]:
    """One member's weights by name with about `share` of the hidden units and ranks, and the recipe of that network."""
    weights = dict(member)
    hidden, rank = 2 * max(round(share * recipe.hidden / 2), 1), max(round(share * recipe.cross_rank), 1)
    wide = hidden if recipe.cross == "dcn" else 2 * hidden
    _cut(weights, _FIRST, _SECOND, 0, wide)
    # The heads read the second layer's units after the crossed columns.
    head = weights[f"{_HEAD}.weight"]
    _cut(weights, _SECOND, _HEAD, head.shape[1] - len(weights[f"{_SECOND}.weight"]), wide // 2)
    if recipe.cross == "dcn":
        for i in range(recipe.cross_layers):
            _cut(weights, f"cross.layers.{i}.down", f"cross.layers.{i}.up", 0, rank)
    return weights, replace(recipe, hidden=hidden, cross_rank=rank)


def _cut(weights: Weights, into: str, onward: str, first: int, count: int) -> None:
    """Keep `count` units of a layer: rows of `into`, columns of `onward` from `first` on."""
    led, leads = weights[f"{into}.weight"], weights[f"{onward}.weight"]
    units = np.arange(len(led))
    strength = np.linalg.norm(led, axis=1) * np.linalg.norm(leads[:, first + units], axis=0)
    kept = np.sort(np.argsort(-strength, kind="stable")[:count])
    weights[f"{into}.weight"] = led[kept]
    if f"{into}.bias" in weights:
        weights[f"{into}.bias"] = weights[f"{into}.bias"][kept]
    before, after = np.arange(first), np.arange(first + len(units), leads.shape[1])
    weights[f"{onward}.weight"] = leads[:, np.concatenate([before, first + kept, after])]
