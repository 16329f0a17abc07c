"""Steps that can be interrupted, and batches that are shared."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from penchant.errors import ConfigError
from training.catalogue import Catalogue
from training.checkpoint import Checkpoint
from training.data.dataset import Dataset
from training.retrieval import losses
from training.retrieval.device import accelerated
from training.retrieval.encoders import ENCODERS
from training.retrieval.fit import fresh_towers
from training.retrieval.losses import LOSSES, log_chance
from training.retrieval.recipe import RetrievalRecipe
from training.retrieval.sequences import Sequences, padded, sequences
from training.retrieval.sharded import Batch, own_part, whole_batch_dropout
from training.retrieval.tower import Towers
from training.retrieval.train import Plan, train_on
from training.run import Part
from training.workers import Workers

RECIPE = RetrievalRecipe(dim=8, blocks=2, history_length=12, dropout=0.3, id_dropout=0.2, negatives=16)
STEPS = 7
WHOLE = [(encoder, "softmax") for encoder in ENCODERS] + [("sasrec", loss) for loss in LOSSES if loss != "softmax"]
"""Every encoder and every loss."""


@pytest.fixture(scope="module")
def histories(toy: Dataset, toy_catalogue: Catalogue, toy_before: np.ndarray) -> Sequences:
    return sequences(toy, toy_catalogue, toy_before)


def plan(histories: Sequences, steps: int = STEPS, windows: int = 9) -> Plan:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(steps):
        users = rng.permutation(len(histories.lengths))[:windows]
        found.append((histories.indptr[users], histories.indptr[users] + rng.integers(2, 12, windows)))
    return found


def towers(recipe: RetrievalRecipe, catalogue: Catalogue, histories: Sequences) -> Towers:
    return fresh_towers(catalogue, histories, recipe, 3)


@pytest.mark.parametrize(("encoder", "loss"), WHOLE)
def test_interrupted_at_any_step_it_ends_in_the_same_bits(
    encoder: str, loss: str, histories: Sequences, toy_catalogue: Catalogue, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, encoder=encoder, loss=loss)
    whole = towers(recipe, toy_catalogue, histories)
    expected = train_on(whole, histories, plan(histories), recipe, 5, lambda done: None)

    def part() -> Part:
        return Part(checkpoint=Checkpoint(tmp_path / "towers.pt", every_s=0.0))

    def ends_at(step: int) -> None:
        def told(done: float) -> None:
            if round(done * STEPS) == step:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            train_on(towers(recipe, toy_catalogue, histories), histories, plan(histories), recipe, 5, told, part=part())

    for step in (1, 3, 4, STEPS):
        ends_at(step)
    for _ in range(2):  # the second time everything is read back
        again = towers(recipe, toy_catalogue, histories)
        found = train_on(again, histories, plan(histories), recipe, 5, lambda done: None, part=part())
        assert found.tolist() == expected.tolist()
        for name, value in whole.state_dict().items():
            assert torch.equal(again.state_dict()[name], value), name


@pytest.mark.parametrize("windows", [5, 1])
@pytest.mark.parametrize(("encoder", "loss"), WHOLE)
def test_the_shares_of_a_batch_add_up_to_its_loss_and_gradients(
    encoder: str, loss: str, windows: int, histories: Sequences, toy_catalogue: Catalogue
) -> None:
    recipe = replace(RECIPE, encoder=encoder, loss=loss, blocks=1 if encoder == "gru4rec" else 2)
    ((starts, ends),) = plan(histories, 1, windows)
    window = padded(histories, starts, ends, int((ends - starts).max()))
    chances = log_chance(histories, toy_catalogue.count + 1)

    def gradients(workers: Workers) -> tuple[torch.Tensor, dict[str, torch.Tensor], torch.Tensor]:
        made, batch = towers(recipe, toy_catalogue, histories).train(), Batch()
        torch.manual_seed(11)
        own, weight = own_part(window, batch, workers)
        with whole_batch_dropout(made, batch, workers):
            found = LOSSES[loss](made, torch.from_numpy(own), chances) * weight
        torch.autograd.backward(found)
        named = {name: p.grad for name, p in made.named_parameters() if p.grad is not None}
        return found.detach(), named, torch.get_rng_state()

    whole, whole_gradients, state = gradients(Workers())
    shares = [gradients(Workers(rank, 3)) for rank in range(3)]
    assert torch.allclose(sum(share for share, _, _ in shares), whole, rtol=1e-5)
    for name, gradient in whole_gradients.items():
        assert torch.allclose(sum(named[name] for _, named, _ in shares), gradient, rtol=1e-4, atol=1e-6), name
    # Or the processes would draw other masks and negatives from the next step on.
    assert all(torch.equal(drawn, state) for _, _, drawn in shares)


def test_a_layer_that_drops_by_itself_is_refused(histories: Sequences, toy_catalogue: Catalogue) -> None:
    made = towers(replace(RECIPE, encoder="gru4rec", blocks=2), toy_catalogue, histories)
    with (
        pytest.raises(ConfigError, match="'gru4rec' of more than one block"),
        whole_batch_dropout(made, Batch(), Workers(0, 2)),
    ):
        pass


@pytest.mark.parametrize("encoder", list(ENCODERS))
def test_what_a_gpu_would_do_trains_as_well_and_leaves_plain_towers(
    encoder: str, histories: Sequences, toy_catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The path of a GPU on the CPU: bfloat16 and tensors made on the device, without the compiler.
    monkeypatch.setattr(torch, "compile", lambda function, dynamic: function)
    recipe = replace(RECIPE, encoder=encoder, dropout=0.0, blocks=1)
    plain, halved = towers(recipe, toy_catalogue, histories), towers(recipe, toy_catalogue, histories)
    expected = train_on(plain, histories, plan(histories), recipe, 5, lambda done: None)
    with accelerated(halved, torch.device("cpu")):
        found = train_on(halved, histories, plan(histories), recipe, 5, lambda done: None)
    assert np.allclose(found, expected, rtol=2e-2)
    assert not np.array_equal(found, expected), "bfloat16 was not used"
    assert "forward" not in vars(halved.encoder)
    assert all(p.dtype == torch.float32 for p in halved.parameters())


def test_an_item_without_content_is_never_asked_to_do_without_its_id(
    histories: Sequences, toy_catalogue: Catalogue
) -> None:
    """Its vector would be zeros: noise in its place in histories, and nothing to learn where it is the answer."""
    content = toy_catalogue.content.copy()
    content[1:4] = 0.0
    silent = replace(toy_catalogue, content=content)
    built = towers(replace(RECIPE, id_dropout=1.0), silent, histories)
    kept = losses._kept_ids(built, len(content))[:, 0]
    assert kept[:4].tolist() == [1.0] * 4
    assert not kept[4:].any()
