"""Training of retrieval on a toy."""

from dataclasses import replace

import numpy as np
import pytest

from training.catalogue import Catalogue, build_catalogue
from training.data.dataset import Dataset
from training.retrieval.fit import fit_retrieval
from training.retrieval.recipe import RetrievalRecipe
from training.retrieval.sequences import newest, sequences
from training.retrieval.trained import TrainedRetrieval


def hits(trained: TrainedRetrieval, dataset: Dataset, before: np.ndarray, k: int = 3, **options) -> float:
    """Share of users whose held-out item is among the first k retrieved."""
    model = trained.model()
    held_out = np.setdiff1d(np.arange(len(dataset.events)), before)
    histories = sequences(dataset, trained.catalogue, before)
    allowed = np.ones(trained.catalogue.count + 1, bool)
    allowed[0] = False
    found = 0
    for i in held_out:
        user = dataset.events.users[i]
        rows = newest(histories, np.array([user]), 50)[0]
        block, degraded = model.retrieve(rows[rows > 0], allowed, 20, **options)
        assert degraded == ()
        found += int(trained.catalogue.rows(dataset.events.items[[i]])[0] in block.rows[:k])
    return found / len(held_out)


def test_the_tower_learns_the_walk_that_popularity_cannot_know(
    toy: Dataset, toy_before: np.ndarray, toy_trained: TrainedRetrieval
) -> None:
    assert hits(toy_trained, toy, toy_before, sources=("two_tower",)) > 0.8
    assert hits(toy_trained, toy, toy_before) > 0.8
    assert hits(toy_trained, toy, toy_before, sources=("popular",)) < 0.3


def test_equal_seeds_give_equal_models_and_others_do_not(
    toy: Dataset, toy_before: np.ndarray, toy_catalogue: Catalogue, tiny_recipe: RetrievalRecipe
) -> None:
    def trained(seed: int) -> TrainedRetrieval:
        recipe = replace(tiny_recipe, max_epochs=2)
        return fit_retrieval(toy, toy_catalogue, toy_before, recipe, seed)

    first, second, other = trained(3), trained(3), trained(4)
    assert np.array_equal(first.embeddings, second.embeddings)
    assert np.array_equal(first.users[1], second.users[1])
    assert not np.array_equal(first.embeddings, other.embeddings)


def test_a_warm_start_needs_a_share_of_the_work_and_loses_nothing(
    toy: Dataset, toy_before: np.ndarray, toy_trained: TrainedRetrieval, tiny_recipe: RetrievalRecipe
) -> None:
    from training.data.dataset import Attributes

    # The second catalogue has other rows: it lacks the items that nobody touched.
    catalogue = build_catalogue(replace(toy, items=Attributes()), toy_before, 0)
    assert catalogue.count < toy_trained.catalogue.count
    recipe = replace(tiny_recipe, warm_share=0.1)
    warm = fit_retrieval(toy, catalogue, toy_before, recipe, 2, warm=toy_trained)
    cold = fit_retrieval(toy, catalogue, toy_before, replace(recipe, max_epochs=2), 2)
    found = hits(warm, toy, toy_before, sources=("two_tower",))
    assert found > 0.8
    assert found > hits(cold, toy, toy_before, sources=("two_tower",))


def test_an_item_known_by_content_alone_lands_near_its_kind(toy_trained: TrainedRetrieval) -> None:
    catalogue = toy_trained.catalogue
    unseen = {catalogue.ids[r]: r for r in range(1, catalogue.count + 1)}
    vectors = toy_trained.embeddings / (np.linalg.norm(toy_trained.embeddings, axis=1, keepdims=True) + 1e-9)
    round_rows = [r for i, r in unseen.items() if int(i[1:]) < 30]
    square_rows = [r for i, r in unseen.items() if 30 <= int(i[1:]) < 60]
    for item, own, other in (("i60", round_rows, square_rows), ("i61", square_rows, round_rows)):
        vector = vectors[unseen[item]]
        assert (vectors[own] @ vector).mean() > (vectors[other] @ vector).mean() + 0.1


@pytest.mark.parametrize("loss", [{"full_softmax_to": 10}, {"loss": "sampled_softmax"}, {"loss": "gbce"}])
def test_the_sampled_losses_learn_the_walk_as_well(
    loss: dict, toy: Dataset, toy_before: np.ndarray, toy_catalogue: Catalogue, tiny_recipe: RetrievalRecipe
) -> None:
    recipe = replace(tiny_recipe, negatives=30, max_epochs=30, **loss)
    trained = fit_retrieval(toy, toy_catalogue, toy_before, recipe, 1)
    assert hits(trained, toy, toy_before, sources=("two_tower",)) > 0.7


def test_a_data_set_without_events_still_gives_a_model(
    toy: Dataset, toy_catalogue: Catalogue, tiny_recipe: RetrievalRecipe
) -> None:
    trained = fit_retrieval(toy, toy_catalogue, np.empty(0, np.int64), tiny_recipe, 1)
    allowed = np.ones(toy_catalogue.count + 1, bool)
    allowed[0] = False
    block, _ = trained.model().retrieve(np.empty(0, np.int64), allowed, 5)
    assert len(block.rows) == 5
