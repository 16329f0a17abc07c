"""How far new items are lifted once ranked."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import Tiny

from training.checkpoint import Checkpoint
from training.ranking.fit import FittedRanking, fit_ranking
from training.ranking.new_lift import LIFTS, chosen_new_lift, kept_lift


@pytest.fixture(scope="module")
def ranking(tiny: Tiny) -> FittedRanking:
    recipe = replace(tiny.recipe, max_requests=120, max_slates=1, epochs=1)
    return fit_ranking(
        tiny.dataset, tiny.cut, tiny.held, tiny.first, tiny.stage, tiny.stage.schema, recipe, 0, lambda step, done: None
    )


def test_new_items_are_lifted_the_further_the_more_known_ones_may_lose(tiny: Tiny, ranking: FittedRanking) -> None:
    targets = tiny.held.valid[-60:]
    lifts = [
        chosen_new_lift(tiny.dataset, tiny.stage, tiny.first, ranking, targets, tiny.recipe, 0, most_lost)
        for most_lost in (0.0, 0.1, 1.0)
    ]
    assert min(LIFTS) <= lifts[0] <= lifts[1] < lifts[2] == max(LIFTS)
    assert tiny.stage.table.row_count == tiny.first.catalogue.count + 1  # The copies are in a table of their own.


def test_where_nothing_is_written_of_items_or_nothing_is_asked_for_there_is_no_lift(
    tiny: Tiny, ranking: FittedRanking
) -> None:
    item_map = tiny.first.item_map
    mute = replace(item_map, weight=np.zeros_like(item_map.weight), bias=np.zeros_like(item_map.bias))
    silent = replace(tiny.first, item_map=mute)
    targets = tiny.held.valid[-5:]
    assert chosen_new_lift(tiny.dataset, tiny.stage, silent, ranking, targets, tiny.recipe, 0) == 0.0
    assert chosen_new_lift(tiny.dataset, tiny.stage, tiny.first, ranking, targets[:0], tiny.recipe, 0) == 0.0


def test_without_a_checkpoint_it_is_chosen_each_time() -> None:
    assert [kept_lift(Checkpoint(), lambda lift=lift: lift) for lift in (-1.5, 0.5)] == [-1.5, 0.5]
