"""The rule by which a challenger takes over."""

import numpy as np

from training.learning.budget import UpdateBudget
from training.learning.contest import judge

BUDGET = UpdateBudget()
USERS = np.repeat(np.arange(60), 5)


def judged(champion: float, difference: float, noise: float = 0.0, held: bool = False, seed: int = 0):
    rng = np.random.default_rng(seed)
    base = np.full(len(USERS), champion)
    return judge(base, base + difference + noise * rng.standard_normal(len(USERS)), USERS, BUDGET, held, 0)


def test_a_better_one_is_published() -> None:
    verdict = judged(0.3, 0.05, 0.02)
    assert verdict.publish
    assert verdict.interval[0] > 0
    assert verdict.reason == "published: surely better"


def test_an_equal_one_is_published_so_that_new_items_get_in() -> None:
    assert judged(0.3, 0.0).publish
    assert judged(0.3, 0.0, 0.05).publish


def test_a_worse_one_is_not_and_the_reason_says_by_how_much() -> None:
    verdict = judged(0.3, -0.03, 0.02)
    assert not verdict.publish
    assert "may be worse by 0.0" in verdict.reason
    assert "allowed is 0.0150" in verdict.reason


def test_too_few_events_to_tell_are_no_reason_to_publish() -> None:
    rng = np.random.default_rng(1)
    users = np.arange(8)
    champion, challenger = rng.random(8), rng.random(8)
    assert not judge(champion, challenger, users, BUDGET, False, 0).publish
    assert not judge(np.empty(0), np.empty(0), np.empty(0, np.int64), BUDGET, False, 0).publish


def test_after_a_roll_back_it_must_be_surely_better() -> None:
    assert not judged(0.3, 0.0, 0.05, held=True).publish
    assert not judged(0.3, 0.0, held=True).publish
    assert judged(0.3, 0.05, 0.02, held=True).publish
