"""The blend chosen on events that the model has not seen."""

from dataclasses import replace

import numpy as np

from penchant.retrieval import RetrievalSettings
from training.catalogue import Catalogue
from training.data.dataset import Dataset
from training.retrieval.choose import choose_settings
from training.retrieval.fit import fit_retrieval
from training.retrieval.recipe import RetrievalRecipe
from training.retrieval.scoring import CatalogueScores, Targets
from training.retrieval.trained import TrainedRetrieval


def held_out(dataset: Dataset, before: np.ndarray) -> np.ndarray:
    return np.setdiff1d(np.arange(len(dataset.events)), before)


def test_what_is_searched_is_what_is_served(toy_trained: TrainedRetrieval) -> None:
    """The dense terms of the search order the catalogue as RetrievalModel.retrieve does."""
    settings = RetrievalSettings(tower_weight=0.4, floor=1e-3, trend_weight=0.2, history_half_life=2.0, trend_window=-2)
    histories = toy_trained.histories
    starts, ends = histories.indptr[:5], histories.indptr[:5] + 6
    scores = CatalogueScores(toy_trained, histories, Targets(histories.rows[ends], starts, ends))
    model = toy_trained.with_settings(settings).model()
    for i in range(5):
        history = histories.rows[starts[i] : ends[i]]
        allowed = np.ones(toy_trained.catalogue.count + 1, bool)
        allowed[history] = allowed[0] = False
        block, _ = model.retrieve(history, allowed, 10)
        dense = scores.score(slice(i, i + 1), settings)[0]
        np.testing.assert_allclose(block.scores, np.sort(dense)[::-1][:10], atol=1e-4)
        np.testing.assert_allclose(dense[block.rows], block.scores, atol=1e-4)


def test_a_tower_that_learnt_nothing_gets_no_weight(
    toy: Dataset, toy_before: np.ndarray, toy_catalogue: Catalogue, tiny_recipe: RetrievalRecipe
) -> None:
    recipe = replace(tiny_recipe, min_epochs=0, max_epochs=0)
    trained = fit_retrieval(toy, toy_catalogue, toy_before, recipe, 0)
    noisy = trained.with_settings(RetrievalSettings(tower_weight=0.9))
    chosen = choose_settings(noisy, toy, toy_before, held_out(toy, toy_before))
    assert chosen.settings.tower_weight < 0.9
    assert chosen.metrics["blend"]["ndcg@10"] >= chosen.metrics["two_tower"]["ndcg@10"]


def test_no_targets_leave_the_settings_alone(
    toy: Dataset, toy_before: np.ndarray, toy_trained: TrainedRetrieval
) -> None:
    chosen = choose_settings(toy_trained, toy, toy_before, np.empty(0, np.int64))
    assert chosen.settings == toy_trained.settings
    assert chosen.metrics == {}


def test_the_towers_weight_is_chosen_on_more_targets_than_the_search_can_afford(
    toy: Dataset, toy_before: np.ndarray, toy_trained: TrainedRetrieval
) -> None:
    """Few targets do not move it from where it stands: what they say is within their noise."""
    targets = held_out(toy, toy_before)
    start = toy_trained.with_settings(RetrievalSettings(tower_weight=1.0))

    def weight(max_weighed: int) -> float:
        chosen = choose_settings(start, toy, toy_before, targets, max_targets=2, max_weighed=max_weighed)
        return chosen.settings.tower_weight

    assert weight(2) == 1.0
    assert weight(6000) < 1.0
