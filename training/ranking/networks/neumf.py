"""NeuMF: a matrix factorisation, which multiplies a user's vector with an item's, beside a perceptron.

He et al., Neural Collaborative Filtering, WWW 2017. The paper learns a vector a user; here it is computed of the
user's features and history, so that it is there for whoever comes.
"""

import torch
from torch import Tensor, nn

from training.ranking.networks.cross import Cross, Pairs, deep
from training.ranking.recipe import RankingRecipe


class NeumfCross(Cross):
    """The product of the two vectors beside the perceptron's output."""

    def __init__(self, recipe: RankingRecipe, width: int, user: int) -> None:
        super().__init__()
        factors = recipe.hidden // 2
        self.width = factors + recipe.hidden
        self.of_user = nn.Linear(user, factors)
        self.of_item = nn.Linear(recipe.dim, factors)
        self.drop = nn.Dropout(recipe.dropout)
        self.deep = deep(width, 2 * recipe.hidden, recipe.dropout)

    def forward(self, pairs: Pairs) -> Tensor:
        """[R, C, width]."""
        product = self.of_user(pairs.user)[:, None, :] * self.of_item(pairs.items)
        return torch.cat([self.drop(product), self.deep(pairs.everything)], dim=-1)
