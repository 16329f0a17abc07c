"""What every encoder keeps, whatever is inside."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from penchant.errors import ConfigError
from training.export import export_model
from training.retrieval.encoders import ENCODERS, encoder_type
from training.retrieval.fit import position_flop
from training.retrieval.recipe import RetrievalRecipe
from training.retrieval.sequences import Sequences
from training.retrieval.tower import ServedUserTower, Towers
from training.retrieval.train import train_on

ITEMS = 20
LENGTH = 12
RECIPE = RetrievalRecipe(dim=16, blocks=2, heads=2, history_length=LENGTH, dropout=0.1, id_dropout=0.0)

every_encoder = pytest.mark.parametrize("name", sorted(ENCODERS))


def towers(name: str, seed: int = 0, **changes) -> Towers:
    torch.manual_seed(seed)
    recipe = replace(RECIPE, encoder=name, **changes)
    return Towers(recipe, torch.randn(ITEMS + 1, 8) * 0.0, torch.arange(ITEMS + 1) > 0).eval()


def stirred(name: str) -> Towers:
    """Towers of which no weight is at a value that hides it."""
    made = towers(name)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return made


def states(made: Towers, rows: list[list[int]], last_only: bool = False) -> np.ndarray:
    with torch.no_grad():
        return made.encode(torch.tensor(rows), made.item_vectors(), last_only).numpy()


@every_encoder
def test_a_later_item_changes_no_earlier_state(name: str) -> None:
    made = stirred(name)
    one, other = states(made, [[0, 0, 5, 9, 2, 7]]), states(made, [[0, 0, 5, 9, 2, 11]])
    np.testing.assert_allclose(one[:, 2:5], other[:, 2:5], atol=1e-6)
    assert np.abs(one[:, 5] - other[:, 5]).max() > 1e-3


@every_encoder
def test_an_earlier_item_is_remembered(name: str) -> None:
    made = stirred(name)
    one, other = states(made, [[0, 0, 5, 9, 2, 7]]), states(made, [[0, 0, 5, 1, 2, 7]])
    assert np.abs(one[:, 5] - other[:, 5]).max() > 1e-4


@every_encoder
def test_padding_changes_nothing(name: str) -> None:
    made = stirred(name)
    narrow = states(made, [[5, 9, 2]])
    wide = states(made, [[0] * (LENGTH - 3) + [5, 9, 2]])
    beside_longer = states(made, [[0, 5, 9, 2], [1, 3, 8, 4]])
    np.testing.assert_allclose(wide[:, -3:], narrow, atol=1e-5)
    np.testing.assert_allclose(beside_longer[:1, -3:], narrow, atol=1e-5)


@every_encoder
def test_the_newest_state_alone_is_the_last_of_all(name: str) -> None:
    made = stirred(name)
    rows = [[0, 0, 0, 4], [0, 0, 3, 8], [2, 9, 7, 1]]
    np.testing.assert_allclose(states(made, rows, last_only=True), states(made, rows)[:, -1], atol=1e-5)


@every_encoder
def test_an_empty_history_gives_finite_numbers(name: str) -> None:
    assert np.isfinite(states(stirred(name), [[0, 0, 0]], last_only=True)).all()


@every_encoder
def test_what_is_exported_computes_the_same(name: str, tmp_path: Path) -> None:
    served = ServedUserTower(stirred(name)).eval()
    rows = np.random.default_rng(0).integers(1, ITEMS + 1, (5, LENGTH))
    for i in range(1, 5):
        rows[i, : 2 * i + 3] = 0
    rows[4] = 0
    feeds = [{"history_rows": rows}, {"history_rows": rows[:1]}, {"history_rows": rows[2:3]}]
    export_model(served, feeds, {"history_rows": "batch"}, "user_embedding", tmp_path, "tower.onnx")


def walks(seed: int) -> Sequences:
    """Users who step from each item to the next, round and round, from anywhere."""
    lengths = np.full(60, LENGTH)
    first = np.random.default_rng(seed).integers(0, ITEMS, len(lengths))
    rows = np.concatenate(
        [(start + np.arange(length)) % ITEMS + 1 for start, length in zip(first, lengths, strict=True)]
    )
    return Sequences(rows, np.arange(len(rows)), np.arange(len(rows)), np.concatenate([[0], np.cumsum(lengths)]))


def taught(name: str, seed: int = 0, steps: int = 200, **changes) -> Towers:
    made = towers(name, seed, **changes)
    histories = walks(3)
    rng = np.random.default_rng(seed)
    plan = []
    for _ in range(steps):
        users = rng.integers(0, 60, 16)
        ends = histories.indptr[users] + rng.integers(3, 7, 16)
        plan.append((histories.indptr[users], ends))
    train_on(made, histories, plan, replace(made.recipe, learning_rate=1e-2), seed, lambda done: None)
    return made.eval()


@every_encoder
def test_a_rule_is_learned(name: str) -> None:
    """What follows each item is the next one: of 20, first in most of the unseen walks."""
    torch.set_num_threads(1)
    made = taught(name)
    rows = [[(start + step) % ITEMS + 1 for step in range(4)] for start in range(ITEMS)]
    scores = states(made, rows, last_only=True) @ made.item_vectors().detach().numpy()[1:].T
    right = np.mean(scores.argmax(axis=1) == (np.arange(ITEMS) + 4) % ITEMS)
    assert right > 0.7


@every_encoder
def test_equal_seeds_give_equal_weights_and_others_do_not(name: str) -> None:
    one, same, other = taught(name, 1, 3), taught(name, 1, 3), taught(name, 2, 3)
    for (key, value), equal in zip(one.state_dict().items(), same.state_dict().values(), strict=True):
        assert torch.equal(value, equal), key
    assert not torch.equal(one.ids_ND, other.ids_ND)


@every_encoder
def test_its_work_grows_with_its_width(name: str) -> None:
    recipe = replace(RECIPE, encoder=name)
    assert position_flop(ITEMS, replace(recipe, dim=32)) > 1.9 * position_flop(ITEMS, recipe) > 0


def test_an_unknown_encoder_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"unknown encoder 'lstm'.*gru4rec.*sasrec"):
        encoder_type("lstm")
