"""One batch over several processes: the loss and the gradients of the whole, a share of its rows in each.

Every process draws what one process alone would draw: negatives and ids left out have no rows of a batch, and a mask of
dropout is drawn for the whole batch, of which each takes its rows. So the random numbers stay in step, and the loss
curve is that of one process but for the order in which sums are added.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from penchant.errors import ConfigError
from training.retrieval.tower import Towers
from training.workers import Workers


@dataclass(slots=True)
class Batch:
    """The batch at hand: how many rows it has over all processes, and which are here."""

    rows: int = 0
    own: slice = field(default_factory=lambda: slice(0))


class WholeBatchDropout(nn.Module):
    """nn.Dropout of a batch's own rows, [own, ...], with the mask that the whole batch would get."""

    def __init__(self, rate: float, batch: Batch) -> None:
        super().__init__()
        self.rate, self.batch = rate, batch

    def forward(self, x: Tensor) -> Tensor:
        """Masked and scaled while training."""
        if not self.training or self.rate == 0.0:
            return x
        # Numbers are drawn in the order of memory, so the mask lies there as the whole of x would.
        outermost = sorted(range(x.ndim), key=x.stride, reverse=True)
        mask = torch.empty_permuted((self.batch.rows, *x.shape[1:]), outermost, dtype=x.dtype, device=x.device)
        return x * mask.bernoulli_(1 - self.rate).div_(1 - self.rate)[self.batch.own]


def own_part(window_BL: NDArray[np.int64], batch: Batch, workers: Workers) -> tuple[NDArray[np.int64], float]:
    """This process' windows, and their share of the batch's next items: what their mean loss weighs in the whole.

    A batch smaller than the number of processes leaves some without a window: they take the first, at no weight.
    """
    if workers.count == 1:
        return window_BL, 1.0
    own = workers.share(len(window_BL))
    weight = _next_items(window_BL[own]) / max(_next_items(window_BL), 1)
    batch.rows, batch.own = len(window_BL), own if own.stop > own.start else slice(1)
    return window_BL[batch.own], weight


def _next_items(window_BL: NDArray[np.int64]) -> int:
    return int(((window_BL[:, :-1] > 0) & (window_BL[:, 1:] > 0)).sum())


def add_up(towers: Towers, loss: Tensor, workers: Workers) -> Tensor:
    """The gradients become, in place, those of the whole batch, and so does the loss, which is returned."""
    if workers.count > 1:
        workers.add_up([loss, *(p.grad for p in towers.parameters() if p.grad is not None)])
    return loss


@contextmanager
def whole_batch_dropout(towers: Towers, batch: Batch, workers: Workers) -> Iterator[None]:
    """Inside, what the towers drop of a history is drawn for the whole batch.

    Raises ConfigError for a recurrent layer that drops by itself between its blocks: its masks cannot be had.
    """
    if workers.count == 1:
        yield
        return
    replaced = []
    for parent in (towers, *towers.encoder.modules()):
        if isinstance(parent, nn.RNNBase) and parent.dropout > 0:
            raise ConfigError(
                f"{towers.recipe.encoder!r} of more than one block cannot be trained by several processes"
            )
        replaced += [(parent, name, child) for name, child in parent.named_children() if type(child) is nn.Dropout]
    for parent, name, child in replaced:
        setattr(parent, name, WholeBatchDropout(child.p, batch))
    try:
        yield
    finally:
        for parent, name, child in replaced:
            setattr(parent, name, child)
