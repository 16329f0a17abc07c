"""The sliced losses against the plain ones."""

import numpy as np
import torch

from training.retrieval import softmax


def gradients(loss: torch.Tensor, *leaves: torch.Tensor) -> list[np.ndarray]:
    return [g.numpy() for g in torch.autograd.grad(loss, leaves)]


def test_the_sliced_loss_is_the_plain_cross_entropy(monkeypatch) -> None:
    torch.manual_seed(0)
    states, vectors = torch.randn(17, 4, requires_grad=True), torch.randn(12, 4, requires_grad=True)
    targets = torch.randint(1, 12, (17,))
    plain = torch.nn.functional.cross_entropy(states @ vectors[1:].T, targets - 1)
    monkeypatch.setattr(softmax, "_SLICE", 30)
    sliced = softmax.catalogue_loss(states, vectors, targets)
    assert abs(plain.item() - sliced.item()) < 1e-5
    for a, b in zip(gradients(plain, states, vectors), gradients(sliced, states, vectors), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_the_sampled_loss_estimates_the_whole_sum() -> None:
    torch.manual_seed(0)
    states, vectors = torch.randn(9, 4), torch.randn(30, 4)
    targets = torch.randint(1, 30, (9,))
    chance = torch.rand(30)
    chance[0] = 0.0
    chance /= chance.sum()
    drawn = torch.multinomial(chance, 20_000, replacement=True)
    sampled = softmax.sampled_loss(states, vectors, targets, drawn, chance.log()[drawn])
    whole = softmax.catalogue_loss(states, vectors, targets)
    assert abs(float(sampled) - float(whole)) < 0.02
