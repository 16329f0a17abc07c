"""The rankers that can be compared: changes of the recipe by name, and the trees."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from penchant.errors import ConfigError
from training.ranking.recipe import RankingRecipe

DEFAULT, TARGET, TREES = "default", "target", "trees"
CHANGES: dict[str, dict[str, Any]] = {
    DEFAULT: {},
    TARGET: {"attention": "target"},
    "din": {"attention": "din"},
    "transformer": {"attention": "transformer"},
    "mlp": {"cross": "mlp"},
    "neumf": {"cross": "neumf"},
    "mmoe": {"heads": "mmoe"},
    "additive": {"position_correction": "additive"},
    "examined": {"position_correction": "examined"},
}
"""What each changes in the recipe; `default` is the recipe as it is."""


def contestants(names: Sequence[str], recipe: RankingRecipe) -> dict[str, RankingRecipe | None]:
    """Recipes by name, `default` first, None for the trees; a+b makes both changes. Raises ConfigError."""
    found: dict[str, RankingRecipe | None] = {DEFAULT: recipe}
    for name in names:
        changes: dict[str, Any] = {}
        if name != TREES:
            for part in name.split("+"):
                if part not in CHANGES:
                    raise ConfigError(
                        f"--models names {part!r}: known are {', '.join([*CHANGES, TREES])}, and changes joined by +"
                    )
                changes |= CHANGES[part]
        found[name] = None if name == TREES else replace(recipe, **changes)
    return found
