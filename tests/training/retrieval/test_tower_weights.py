"""Weights of towers, kept for a later training."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from penchant.errors import BundleMismatch
from training.retrieval.fit import fresh_towers, start_from
from training.retrieval.trained import TrainedRetrieval
from training.retrieval.weights import TowerWeights


def test_they_are_read_back_as_they_were_written(toy_trained: TrainedRetrieval, tmp_path: Path) -> None:
    toy_trained.weights.write(tmp_path / "warm" / "towers.npz")
    read = TowerWeights.read(tmp_path / "warm" / "towers.npz")
    assert read.state.keys() == toy_trained.weights.state.keys()
    for name, value in read.state.items():
        assert np.array_equal(value, toy_trained.weights.state[name]), name


def test_weights_from_before_there_were_other_encoders_are_still_a_start(
    toy_trained: TrainedRetrieval, tmp_path: Path
) -> None:
    older = {name.removeprefix("encoder."): value for name, value in toy_trained.weights.state.items()}
    replace(toy_trained.weights, state=older).write(tmp_path / "towers.npz")
    read = TowerWeights.read(tmp_path / "towers.npz")
    towers = fresh_towers(toy_trained.catalogue, toy_trained.histories, toy_trained.recipe, 9)
    learned = start_from(towers, toy_trained.catalogue, read)
    for name, value in towers.state_dict().items():
        taken = learned if name == "ids_ND" else slice(None)
        assert np.array_equal(value.numpy()[taken], toy_trained.weights.state[name][taken]), name


def test_another_encoder_s_weights_are_refused(toy_trained: TrainedRetrieval) -> None:
    recipe = replace(toy_trained.recipe, encoder="hstu")
    towers = fresh_towers(toy_trained.catalogue, toy_trained.histories, recipe, 0)
    with pytest.raises(BundleMismatch, match="of another encoder than 'hstu'"):
        start_from(towers, toy_trained.catalogue, toy_trained.weights)
