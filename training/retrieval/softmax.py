"""The softmax over the catalogue, whole or sampled, in slices that stay in the cache."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

_SLICE = 500_000
"""Scores computed at a time: 2 MB."""


class _SlicedLoss(torch.autograd.Function):
    """Sum of -log softmax, its gradients computed on the way: a batch's scores at once would not fit the cache."""

    @staticmethod
    def forward(
        ctx: Any,
        own_P: Tensor,
        states_PD: Tensor,
        others_KD: Tensor,
        offset_K: Tensor,
        targets_P: Tensor,
        names_K: Tensor | None,
    ) -> Tensor:
        """Sum over p of log(exp(own) + sum of exp(others + offset)) - own, the others named as the target left out.

        Without names the others are rows 1..K, so that which of them is the target needs no search.
        """
        d_own, d_states, d_others = torch.empty_like(own_P), torch.empty_like(states_PD), torch.zeros_like(others_KD)
        loss = states_PD.new_zeros(())
        step = max(1, _SLICE // len(others_KD))
        for start in range(0, len(states_PD), step):
            some = slice(start, start + step)
            own = own_P[some, None]
            scores = torch.addmm(offset_K[None, :], states_PD[some], others_KD.T)
            if names_K is None:
                scores.scatter_(1, targets_P[some, None] - 1, -torch.inf)
            else:
                scores.masked_fill_(names_K[None, :] == targets_P[some, None], -torch.inf)
            top = torch.maximum(scores.amax(dim=1, keepdim=True), own)
            scores.sub_(top).exp_()
            mass = scores.sum(dim=1, keepdim=True) + (own - top).exp()
            loss += (mass.log() + top - own).sum()
            scores.div_(mass)
            d_own[some] = ((own - top).exp() / mass - 1.0)[:, 0]
            torch.mm(scores, others_KD, out=d_states[some])
            d_others.addmm_(scores.T, states_PD[some])
        ctx.save_for_backward(d_own, d_states, d_others)
        return loss

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        """The kept gradients, scaled."""
        d_own, d_states, d_others = ctx.saved_tensors
        return d_own * gradients[0], d_states * gradients[0], d_others * gradients[0], None, None, None


def catalogue_loss(states_PD: Tensor, vectors_ND: Tensor, targets_P: Tensor) -> Tensor:
    """Mean cross-entropy of P targets (rows of the N + 1 vectors) over rows 1..N: the plain one in half the time."""
    others_KD = vectors_ND[1:]
    return _mean_loss(states_PD, vectors_ND, targets_P, others_KD, None, torch.zeros(len(others_KD)))


def sampled_loss(
    states_PD: Tensor, vectors_ND: Tensor, targets_P: Tensor, drawn_K: Tensor, log_chance_K: Tensor
) -> Tensor:
    """Cross-entropy of P targets against K rows drawn with replacement, each by its chance.

    A drawn row stands for 1 / (K * chance) rows, so that the drawn ones estimate the whole catalogue's sum; one that
    is the target itself does not count. Bengio and Senécal 2008.
    """
    offset_K = -(log_chance_K + float(np.log(len(drawn_K))))
    return _mean_loss(states_PD, vectors_ND, targets_P, vectors_ND[drawn_K], drawn_K, offset_K)


def _mean_loss(
    states_PD: Tensor,
    vectors_ND: Tensor,
    targets_P: Tensor,
    others_KD: Tensor,
    names_K: Tensor | None,
    offset_K: Tensor,
) -> Tensor:
    own = (states_PD * vectors_ND[targets_P]).sum(dim=1)
    loss: Tensor = _SlicedLoss.apply(own, states_PD, others_KD, offset_K, targets_P, names_K)  # type: ignore[no-untyped-call]
    return loss / max(len(states_PD), 1)
