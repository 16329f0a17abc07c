"""The learner goes on from a bundle of any encoder."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from conftest import learned_on

from penchant.bundle import verify
from training.data.read import read_dataset
from training.fit import fit
from training.learning.warm import Warm
from training.recipes import resolve


def test_an_update_goes_on_from_another_encoder_s_weights(tiny_data: Path, log: Path, tmp_path: Path) -> None:
    dataset = read_dataset(tiny_data)
    tiny = resolve("tiny", dataset)
    recipe = replace(tiny, retrieval=replace(tiny.retrieval, encoder="hstu", loss="gbce", negatives=32))
    bundles = tmp_path / "hstu"
    first = fit(dataset, recipe, bundles, seed=0, protocol="time-split").folder
    published = learned_on(log, bundles, tiny_data)
    assert verify(published).recipe["retrieval"]["encoder"] == "hstu"
    was, now = Warm.read(first).towers.state, Warm.read(published).towers.state
    assert was.keys() == now.keys()
    moved = [np.abs(was[name] - now[name]).max() for name in was if name.startswith("encoder.")]
    assert 0 < max(moved) < 0.1, "it went on from the champion's weights, in small steps"
