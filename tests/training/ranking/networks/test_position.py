"""What a place on a slate does is learned, and an item shown further down is not taken for a worse one."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from toy_requests import CANDIDATES, GROUP, ITEMS, RECIPE, item_features, requests, trained

from training.ranking.networks.position import PLACES, PositionBias
from training.ranking.samples import Samples
from training.ranking.train import logits_of

LOOKED = np.array([1.0, 0.7, 0.5, 0.4, 0.3, 0.2])
_WANTED = 0.5
both_forms = pytest.mark.parametrize("form", ["additive", "examined"])


def slates(count: int, seed: int) -> Samples:
    """Everything shown is wanted alike where it is looked at; items of group 1 are mostly shown first."""
    rng = np.random.default_rng(seed)
    samples = requests(count, seed)
    own = [np.flatnonzero(GROUP[1:] == g) + 1 for g in (0, 1)]
    for r in range(count):
        samples.rows[r] = np.concatenate([rng.choice(own[1], 3, replace=False), rng.choice(own[0], 3, replace=False)])
        if rng.random() < 0.2:
            rng.shuffle(samples.rows[r])
    samples.labels[..., 0] = rng.random((count, CANDIDATES)) < LOOKED * _WANTED
    samples.chosen[:] = -1
    return samples


def gap(form: str) -> tuple[float, np.ndarray]:
    """How much better group 1 is taken to be, in log-odds, and the effect of each place from the second on."""
    recipe = replace(RECIPE, position_correction=form, epochs=8)
    found = trained(recipe, slates(1500, 0), slates(300, 1))
    everything = replace(requests(ITEMS // CANDIDATES, 5), rows=np.arange(1, ITEMS + 1).reshape(-1, CANDIDATES))
    logits = logits_of(found.model, everything, item_features())[..., 1].ravel()
    position = found.model.ensemble[0].position
    effect = np.zeros(0) if position is None else position.effect().detach().numpy()[: CANDIDATES - 1, 0]
    return float(logits[GROUP[1:] == 1].mean() - logits[GROUP[1:] == 0].mean()), effect


@pytest.fixture(scope="module")
def uncorrected() -> float:
    return gap("none")[0]


@both_forms
def test_what_is_shown_further_down_is_not_taken_for_worse(form: str, uncorrected: float) -> None:
    corrected, effect = gap(form)
    assert uncorrected > 0.6
    assert abs(corrected) < 0.6 * uncorrected
    chance = LOOKED[1:] * _WANTED
    truth = np.log(chance / (1 - chance)) if form == "additive" else np.log(LOOKED[1:])
    assert np.corrcoef(effect, truth)[0, 1] > 0.9


@both_forms
def test_the_first_place_and_no_place_change_nothing(form: str) -> None:
    bias = PositionBias(form, 2)
    with torch.no_grad():
        bias.places.normal_()
    logits = torch.randn(3, 4, 2)
    positions = torch.tensor([0, -1, 1, 10 * PLACES]).expand(3, 4)
    seen = bias(logits, positions)
    torch.testing.assert_close(seen[:, :2], logits[:, :2])
    assert ((seen[:, 2:] - logits[:, 2:]).abs() > 1e-4).all()


def test_an_act_takes_a_look_and_a_wish() -> None:
    bias = PositionBias("examined", 1)
    with torch.no_grad():
        bias.places.fill_(float(np.log(np.expm1(-np.log(0.4)))))
    seen = bias(torch.tensor([[[1.3], [30.0]]]), torch.tensor([[1, 2]]))
    expected = 0.4 * torch.sigmoid(torch.tensor([1.3, 30.0]))
    torch.testing.assert_close(seen.sigmoid()[0, :, 0], expected, atol=1e-5, rtol=1e-5)
