"""The softmax over the catalogue: whole, in slices that stay in the cache, or sampled."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

_SLICE = 2_000_000
"""Scores computed at a time: 8 MB."""


class _CatalogueLoss(torch.autograd.Function):
    """Sum of -log softmax, its gradients computed on the way: the scores of a batch would not fit the cache."""

    @staticmethod
    def forward(ctx: Any, states_PD: Tensor, vectors_ND: Tensor, targets_P: Tensor) -> Tensor:
        """Gradients are kept in ctx."""
        d_states, d_vectors = torch.empty_like(states_PD), torch.zeros_like(vectors_ND)
        loss = states_PD.new_zeros(())
        step = max(1, _SLICE // len(vectors_ND))
        for start in range(0, len(states_PD), step):
            states, targets = states_PD[start : start + step], targets_P[start : start + step, None]
            scores = states @ vectors_ND.T
            own = scores.gather(1, targets)
            top = scores.amax(dim=1, keepdim=True)
            scores.sub_(top).exp_()
            mass = scores.sum(dim=1, keepdim=True)
            loss += (mass.log() + top - own).sum()
            scores.div_(mass)
            scores.scatter_add_(1, targets, torch.full_like(own, -1.0))
            torch.mm(scores, vectors_ND, out=d_states[start : start + step])
            d_vectors.addmm_(scores.T, states)
        ctx.save_for_backward(d_states, d_vectors)
        return loss

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, Tensor, None]:
        """The kept gradients, scaled."""
        d_states, d_vectors = ctx.saved_tensors
        return d_states * gradients[0], d_vectors * gradients[0], None


def catalogue_loss(states_PD: Tensor, vectors_ND: Tensor, targets_P: Tensor) -> Tensor:
    """Mean cross-entropy of P targets (indices into the N vectors) over all N: the plain one in half the time."""
    loss: Tensor = _CatalogueLoss.apply(states_PD, vectors_ND, targets_P)  # type: ignore[no-untyped-call]
    return loss / max(len(states_PD), 1)


def sampled_loss(
    states_PD: Tensor, vectors_ND: Tensor, targets_P: Tensor, drawn_K: Tensor, log_chance_K: Tensor
) -> Tensor:
    """Cross-entropy of P targets against K rows drawn with replacement, each by its chance.

    A drawn row stands for 1 / (K * chance) rows, so that the drawn ones estimate the whole catalogue's sum; one that
    is the target itself does not count. Bengio and Senécal 2008.
    """
    scores = states_PD @ vectors_ND[drawn_K].T - (log_chance_K + float(np.log(len(drawn_K))))
    scores = scores.masked_fill(drawn_K[None, :] == targets_P[:, None], -1e9)
    own = (states_PD * vectors_ND[targets_P]).sum(dim=1, keepdim=True)
    return torch.nn.functional.cross_entropy(torch.cat([own, scores], dim=1), torch.zeros_like(targets_P))
