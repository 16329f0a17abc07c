"""What the ranker knows of an item."""

from dataclasses import replace

import numpy as np
from conftest import Tiny

from training.catalogue import build_catalogue
from training.ranking.known import ItemKnowledge


def test_an_item_that_the_stage_did_not_have_stands_where_its_item_tower_says(tiny: Tiny) -> None:
    trained = tiny.first
    dataset = replace(tiny.dataset, item_ids=[f"{id_} again" for id_ in tiny.dataset.item_ids])
    later = build_catalogue(dataset, tiny.cut.train, tiny.cut.cut_us)
    vectors = ItemKnowledge.of(trained).vectors(later)[1:, : trained.recipe.dim]
    placed = trained.item_map.placed(later.written(np.arange(1, later.count + 1)))
    np.testing.assert_allclose(vectors, placed / np.linalg.norm(placed, axis=1, keepdims=True), atol=1e-5)
    known = ItemKnowledge.of(trained).vectors(trained.catalogue)[1:, : trained.recipe.dim]
    own = trained.embeddings[1:]
    np.testing.assert_allclose(known, own / np.linalg.norm(own, axis=1, keepdims=True), atol=1e-5)
