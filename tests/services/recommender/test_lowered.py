"""What the user skipped sinks, by the policy's weight, and comes back with time."""

from dataclasses import replace

import numpy as np

from penchant.features.kinds import DAY_US
from penchant.leaves import Candidates, UserState
from services.recommender.query import Pool, Scored
from services.recommender.scorers.lowered import HALF_LIFE_DAYS, lowered

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
    once = lowered(asked(world.query(), [30]), before).scores
    assert np.allclose(once, [3.0 - 0.5 * spread, 2.0, 1.0])
    twice = lowered(asked(world.query(), [30, 10, 30]), before).scores
    assert np.allclose(twice, [3.0 - spread, 2.0, 1.0 - 0.5 * spread])


def test_it_fades(world):
    before = scored([3.0, 2.0, 1.0])
    later = lowered(asked(world.query(), [30], HALF_LIFE_DAYS), before).scores
    assert np.allclose(later[0], 3.0 - 0.25 * before.scores.std())


def test_the_policys_weight_counts_and_a_positive_one_lifts_nothing(world):
    before = scored([3.0, 2.0, 1.0])
    weights = np.zeros(256)
    weights[[SKIP, 40]] = [2.0, -3.0]
    query = replace(world.query(), event_weights=weights)
    assert np.array_equal(lowered(asked(query, [30]), before).scores, before.scores)
    assert lowered(asked(query, [30], type_=40), before).scores.argmin() == 0


def test_items_that_are_not_there_and_scores_that_are_no_number_change_nothing(world):
    before = scored([3.0, np.nan, 1.0])
    assert lowered(asked(world.query(), [7]), before) is before
    assert lowered(world.query(), before) is before
    after = lowered(asked(world.query(), [20, 10]), before).scores
    assert np.isnan(after[1])
    assert after[2] < 1.0
    alone = scored([2.0])
    assert lowered(asked(world.query(), [10]), alone).scores[0] < 2.0
