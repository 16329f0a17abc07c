"""GRU4Rec: a gated recurrent network. Hidasi et al., ICLR 2016; Hidasi and Karatzoglou, CIKM 2018.

Input and output share the item vectors, as the second paper's constrained embedding does.
"""

import torch
from torch import Tensor, nn

from training.retrieval.encoders.base import Encoder
from training.retrieval.recipe import RetrievalRecipe


class Gru4RecEncoder(Encoder):
    """recipe.blocks recurrent layers of the vectors' width, and a projection."""

    def __init__(self, recipe: RetrievalRecipe) -> None:
        super().__init__()
        dim = recipe.dim
        between = recipe.dropout if recipe.blocks > 1 else 0.0
        self.recurrent = nn.GRU(dim, dim, recipe.blocks, batch_first=True, dropout=between)
        self.project = nn.Linear(dim, dim)

    def forward(self, x_BLD: Tensor, known_BL: Tensor, last_only: bool = False) -> Tensor:
        """As Encoder.forward. Histories are moved to the left first: a state that went through padding knows it."""
        length = x_BLD.shape[1]
        place_L = torch.arange(length, device=x_BLD.device)
        padding_B1 = (known_BL.long().cumsum(dim=1) == 0).sum(dim=1, keepdim=True)
        states_BLD, _ = self.recurrent(_at(x_BLD, (place_L + padding_B1) % length))
        if last_only:
            newest_B1 = (length - 1 - padding_B1).clamp(min=0)
            return torch.as_tensor(self.project(_at(states_BLD, newest_B1)[:, 0]))
        return torch.as_tensor(self.project(_at(states_BLD, (place_L - padding_B1) % length)))

    @staticmethod
    def multiplications(recipe: RetrievalRecipe) -> int:
        """Three gates of input and state a layer, and the projection."""
        return (6 * recipe.blocks + 1) * recipe.dim**2


def _at(x_BLD: Tensor, places_BK: Tensor) -> Tensor:
    """The vectors [B, K, D] at places of each history."""
    return x_BLD.gather(1, places_BK[:, :, None].expand(-1, -1, x_BLD.shape[2]))
