"""A multi-layer perceptron alone: nothing is multiplied but by what the layers learn.

Covington et al., Deep Neural Networks for YouTube Recommendations, RecSys 2016.
"""

from torch import Tensor

from training.ranking.networks.cross import Cross, Pairs, deep
from training.ranking.recipe import RankingRecipe


class MlpCross(Cross):
    """Twice as wide as the deep part of the cross network."""

    def __init__(self, recipe: RankingRecipe, width: int, user: int) -> None:
        super().__init__()
        self.width = recipe.hidden
        self.deep = deep(width, 2 * recipe.hidden, recipe.dropout)

    def forward(self, pairs: Pairs) -> Tensor:
        """[R, C, width]."""
        found: Tensor = self.deep(pairs.everything)
        return found
