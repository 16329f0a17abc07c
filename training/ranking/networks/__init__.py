"""The ranker's parts, each a choice of the recipe: how candidates read the history, how features meet, the heads.

A part says its paper. Every candidate is scored by itself: what a part reads of a request is its user and one
candidate, never the others.
"""

from torch import nn

from training.ranking.networks.cross import Cross
from training.ranking.networks.dcn import DcnCross
from training.ranking.networks.din import DinAttention
from training.ranking.networks.heads import SharedHeads
from training.ranking.networks.history import History, NoHistory
from training.ranking.networks.mlp import MlpCross
from training.ranking.networks.mmoe import MmoeHeads
from training.ranking.networks.neumf import NeumfCross
from training.ranking.networks.target import TargetAttention
from training.ranking.networks.transformer import TransformerHistory
from training.ranking.recipe import RankingRecipe

HISTORIES: dict[str, type[History]] = {
    "target": TargetAttention,
    "din": DinAttention,
    "transformer": TransformerHistory,
    "none": NoHistory,
}
CROSSES: dict[str, type[Cross]] = {"dcn": DcnCross, "mlp": MlpCross, "neumf": NeumfCross}


def history_of(recipe: RankingRecipe) -> History:
    """How candidates read the history."""
    return HISTORIES[recipe.attention](recipe)


def cross_of(recipe: RankingRecipe, width: int, user: int) -> Cross:
    """How what is known of user, candidate and both meets; width of it all and of what is the user's alone."""
    return CROSSES[recipe.cross](recipe, width, user)


def heads_of(recipe: RankingRecipe, width: int, outputs: int) -> nn.Module:
    """What gives each output its logit: [..., width] to [..., outputs]."""
    if recipe.heads == "mmoe":
        return MmoeHeads(recipe, width, outputs)
    return SharedHeads(width, outputs)
