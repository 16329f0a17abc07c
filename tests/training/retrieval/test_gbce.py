"""gSASRec's loss against its formula, term by term."""

import math

import pytest
import torch

from training.retrieval.gbce import gbce_loss


def sigma(x: float) -> float:
    return 1 / (1 + math.exp(-x))


@pytest.mark.parametrize("calibration", [0.0, 0.75, 1.0])
def test_it_is_the_formula_of_the_paper(calibration: float) -> None:
    torch.manual_seed(0)
    states, vectors = torch.randn(3, 4), torch.randn(9, 4)
    targets, drawn, items = torch.tensor([1, 5, 8]), torch.tensor([2, 5, 7, 7]), 41
    alpha = 4 / 40
    beta = alpha * (calibration * (1 - 1 / alpha) + 1 / alpha)
    expected = 0.0
    for state, target in zip(states, targets.tolist(), strict=True):
        expected -= beta * math.log(sigma(float(state @ vectors[target])))
        for row in drawn.tolist():
            if row != target:
                expected -= math.log(1 - sigma(float(state @ vectors[row])))
    found = gbce_loss(states, vectors, targets, drawn, items, calibration)
    assert float(found) == pytest.approx(expected / 3, rel=1e-5)


def test_without_calibration_it_is_plain_binary_cross_entropy_and_with_all_of_it_the_share_of_negatives() -> None:
    states, vectors = torch.zeros(1, 2), torch.zeros(4, 2)
    target, drawn = torch.tensor([1]), torch.tensor([2, 3])
    half = math.log(2)
    assert float(gbce_loss(states, vectors, target, drawn, 21, 0.0)) == pytest.approx(3 * half)
    assert float(gbce_loss(states, vectors, target, drawn, 21, 1.0)) == pytest.approx((0.1 + 2) * half)


def test_no_targets_give_nothing_to_learn() -> None:
    assert (
        float(gbce_loss(torch.zeros(0, 2), torch.zeros(4, 2), torch.zeros(0, dtype=int), torch.tensor([1]), 3, 0.5))
        == 0
    )
