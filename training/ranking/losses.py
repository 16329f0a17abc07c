"""What the ranker is trained to make small: a listwise softmax for `engage`, a loss a task, and what a teacher says."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

_MASKED = -1e9


def listwise(logits: Tensor, weights: Tensor, chosen: Tensor) -> Tensor:
    """Mean cross-entropy of the chosen candidate; a candidate that stands for n counts n times in the sum.

    logits, weights [R, C]; chosen [R] >= 0. A weight of 0 leaves a candidate out.
    """
    counted = _counted(logits, weights)
    own = logits.gather(1, chosen[:, None])[:, 0]
    return torch.as_tensor((counted.logsumexp(dim=1) - own).mean())


def task_loss(logits: Tensor, labels: Tensor, weights: Tensor, is_number: Sequence[bool]) -> Tensor:
    """Sum over tasks of the weighted mean loss where a label is known: [R, C, T] logits and labels, [R, C] weights."""
    total = logits.new_zeros(())
    for t, number in enumerate(is_number):
        known = ~labels[..., t].isnan()
        if not bool(known.any()):
            continue
        x, y = logits[..., t][known], labels[..., t][known]
        w = weights[known].clamp_min(1.0)
        loss = (x - y) ** 2 if number else nn.functional.binary_cross_entropy_with_logits(x, y, reduction="none")
        total = total + (loss * w).sum() / w.sum()
    return total


def taught_loss(logits: Tensor, taught: Tensor, labels: Tensor, weights: Tensor, is_number: Sequence[bool]) -> Tensor:
    """How far logits [R, C, 1 + T] are from a teacher's: the same two losses, its shares and probabilities as answers.

    Every candidate that is served or labelled has an answer, where the data has one of few.
    Hinton, Vinyals and Dean, Distilling the Knowledge in a Neural Network, 2015.
    """
    total = logits.new_zeros(())
    served = (weights > 0).any(dim=1)
    if bool(served.any()):
        shares = _counted(taught[served][..., 0], weights[served]).softmax(dim=1)
        said = _counted(logits[served][..., 0], weights[served]).log_softmax(dim=1)
        total = total - (shares * said).sum(dim=1).mean()
    known = (weights > 0)[..., None] | ~labels.isnan()
    answers = torch.where(torch.tensor(is_number), taught[..., 1:], taught[..., 1:].sigmoid())
    return total + task_loss(logits[..., 1:], torch.where(known, answers, torch.nan), weights, is_number)


def _counted(logits: Tensor, weights: Tensor) -> Tensor:
    return torch.where(weights > 0, logits + weights.clamp_min(1e-9).log(), _MASKED)
