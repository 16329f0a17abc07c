"""How far new items are lifted."""

from dataclasses import replace

import numpy as np

from training.data.dataset import Dataset
from training.retrieval.choose import _sample
from training.retrieval.lift import LIFTS, chosen_lift
from training.retrieval.scoring import CatalogueScores
from training.retrieval.sequences import sequences
from training.retrieval.trained import TrainedRetrieval


def scores_of(toy: Dataset, trained: TrainedRetrieval) -> CatalogueScores:
    everything = np.arange(len(toy.events))
    histories = sequences(toy, trained.catalogue, everything)
    return CatalogueScores(trained, histories, _sample(histories, everything[-200:], 100, seed=0))


def test_new_items_are_lifted_no_further_than_known_ones_can_bear(toy: Dataset, toy_trained: TrainedRetrieval) -> None:
    scores = scores_of(toy, toy_trained)
    settings = replace(toy_trained.settings, tower_weight=0.0, floor=0.1)
    lift = chosen_lift(toy_trained, scores, settings, seed=0)
    assert 0.0 <= lift < max(LIFTS)
    # What lift is there already is not counted twice.
    assert chosen_lift(toy_trained, scores, replace(settings, new_lift=9.0), seed=0) == lift


def test_items_of_which_nothing_is_written_are_not_lifted(toy: Dataset, toy_trained: TrainedRetrieval) -> None:
    mute = replace(
        toy_trained.item_map, weight=np.zeros_like(toy_trained.item_map.weight), bias=np.zeros(16, np.float32)
    )
    silent = replace(toy_trained, item_map=mute)
    assert chosen_lift(silent, scores_of(toy, toy_trained), toy_trained.settings, seed=0) == 0.0


def test_a_new_item_is_average_but_for_its_dot_and_its_lift(toy: Dataset, toy_trained: TrainedRetrieval) -> None:
    scores = scores_of(toy, toy_trained)
    settings = replace(toy_trained.settings, tower_weight=0.5, new_lift=0.0)
    known = scores.score(slice(None), settings)
    dots = np.tile(np.array([[1.0, 2.0, -np.inf]], np.float32), (len(known), 1))
    plain = scores.as_new(dots, known, settings)
    np.testing.assert_allclose(plain[:, 1] - plain[:, 0], 0.5, atol=1e-5)
    assert np.isneginf(plain[:, 2]).all()
    lifted = scores.as_new(dots, known, replace(settings, new_lift=0.7))
    np.testing.assert_allclose(lifted[:, :2] - plain[:, :2], 0.7, atol=1e-5)
