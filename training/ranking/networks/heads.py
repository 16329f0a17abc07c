"""A linear head an output, all of them over the same columns."""

from torch import Tensor, nn


class SharedHeads(nn.Module):
    """They start at zero: an untrained ranker says nothing, and its order is retrieval's."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.head = nn.Linear(width, outputs)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        """[..., width] to [..., outputs]."""
        logits: Tensor = self.head(x)
        return logits
