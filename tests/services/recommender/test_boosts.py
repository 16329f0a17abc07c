"""What the user skipped sinks, by the policy's weight, and comes back with time; a search lifts what is like it."""

from dataclasses import replace
from typing import Any

import numpy as np

from penchant.boosts import HALF_LIFE_DAYS
from penchant.content import content_vectors
from penchant.features.kinds import DAY_US
from penchant.leaves import Candidates, UserState
from services.recommender.query import Pool, Scored
from services.recommender.scorers.boosts import boosted

SKIP = 12


def scored(scores: list[float]) -> Scored:
    count = len(scores)
    values = np.array(scores, np.float32)
    rows = np.arange(1, count + 1, dtype=np.uint32)
    candidates = Candidates(rows, values, np.zeros(count, np.uint32), np.zeros((count, 7), np.float32), ())
    return Scored(Pool(candidates, rows, np.arange(count, 0, -1).astype(np.int64) * 10, 0, True), values)


def asked(query, keys: list[int], days_ago: float = 0.0, type_: int = SKIP):
    times = np.full(len(keys), query.as_of_us - int(days_ago * DAY_US), np.int64)
    types = np.full(len(keys), type_, np.int64)
    return replace(query, user=UserState(1, lowered_keys=np.array(keys), lowered_times=times, lowered_types=types))


def test_a_skip_takes_half_a_standard_deviation_and_a_second_one_as_much_again(world):
    before = scored([3.0, 2.0, 1.0])
    spread = before.scores.std()
    once = boosted(asked(world.query(), [30]), before).scores
    assert np.allclose(once, [3.0 - 0.5 * spread, 2.0, 1.0])
    twice = boosted(asked(world.query(), [30, 10, 30]), before).scores
    assert np.allclose(twice, [3.0 - spread, 2.0, 1.0 - 0.5 * spread])


def test_it_fades(world):
    before = scored([3.0, 2.0, 1.0])
    later = boosted(asked(world.query(), [30], HALF_LIFE_DAYS), before).scores
    assert np.allclose(later[0], 3.0 - 0.25 * before.scores.std())


def test_the_policys_weight_counts_and_a_positive_one_lifts_nothing(world):
    before = scored([3.0, 2.0, 1.0])
    weights = np.zeros(256)
    weights[[SKIP, 40]] = [2.0, -3.0]
    query = replace(world.query(), event_weights=weights)
    assert np.array_equal(boosted(asked(query, [30]), before).scores, before.scores)
    assert boosted(asked(query, [30], type_=40), before).scores.argmin() == 0


def test_items_that_are_not_there_and_scores_that_are_no_number_change_nothing(world):
    before = scored([3.0, np.nan, 1.0])
    assert boosted(asked(world.query(), [7]), before) is before
    assert boosted(world.query(), before) is before
    after = boosted(asked(world.query(), [20, 10]), before).scores
    assert np.isnan(after[1])
    assert after[2] < 1.0
    alone = scored([2.0])
    assert boosted(asked(world.query(), [10]), alone).scores[0] < 2.0


async def test_the_rankers_scores_are_lifted_and_retrieval_order_is_not(world: Any) -> None:
    for catalogue in world.catalogues.values():
        content = content_vectors([[], *(["harbour"] if row == 3 else [] for row in range(1, 21))])
        object.__setattr__(catalogue.table.content, "base", content)
    ranked = (await world.door.recommend(world.query("ann"), None)).rows.tolist()
    state = UserState(world.query("ann").user_key, True)
    as_of_us = world.query().as_of_us
    world.store.users[state.user_key] = replace(state, texts=((as_of_us, "harbour"),))
    assert ranked[0] == 20
    slate = await world.door.recommend(world.query("ann"), None)
    assert slate.rows.tolist()[:2] == [3, 20]
    old = replace(world.query("ann"), as_of_us=as_of_us + 31 * 60 * 1_000_000)
    assert (await world.door.recommend(old, None)).rows.tolist() == ranked
    unranked = await world.door.recommend(world.query("ann", ranked=False), None)
    assert unranked.rows.tolist() == [1, 2, 3, 4, 5]
    assert np.isfinite(slate.scores).all()
