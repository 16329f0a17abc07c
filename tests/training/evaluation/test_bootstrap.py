"""Intervals by bootstrap over users."""

import numpy as np

from training.evaluation.bootstrap import paired_interval


def test_the_same_seed_gives_the_same_interval() -> None:
    rng = np.random.default_rng(0)
    a, b, users = rng.random(200), rng.random(200), rng.integers(0, 40, 200)
    assert paired_interval(a, b, users, seed=3) == paired_interval(a, b, users, seed=3)


def test_a_constant_difference_has_no_width() -> None:
    b = np.random.default_rng(1).random(60)
    low, high = paired_interval(b + 0.25, b, np.arange(60) // 3, seed=0)
    assert np.allclose([low, high], 0.25)


def test_exchanging_the_systems_turns_the_interval_round() -> None:
    rng = np.random.default_rng(2)
    a, b, users = rng.random(90), rng.random(90), rng.integers(0, 30, 90)
    low, high = paired_interval(a, b, users, seed=5)
    mirrored = paired_interval(b, a, users, seed=5)
    assert np.allclose(mirrored, (-high, -low))


def test_a_users_targets_count_as_one_draw() -> None:
    rng = np.random.default_rng(4)
    per_user = rng.normal(size=30)
    users = np.repeat(np.arange(30), 20)
    clustered = paired_interval(per_user[users], np.zeros(600), users, seed=0)
    as_if_independent = paired_interval(per_user[users], np.zeros(600), np.arange(600), seed=0)
    assert clustered[1] - clustered[0] > 3 * (as_if_independent[1] - as_if_independent[0])


def test_it_agrees_with_a_loop_over_drawn_users() -> None:
    rng = np.random.default_rng(6)
    users = rng.integers(0, 25, 120)
    difference = rng.normal(0.1, 1.0, 120)
    by_user = [difference[users == u] for u in np.unique(users)]
    means = [
        np.concatenate([by_user[i] for i in rng.integers(0, len(by_user), len(by_user))]).mean() for _ in range(4000)
    ]
    found = paired_interval(difference, np.zeros(120), users, seed=1, draws=4000)
    assert np.allclose(found, np.quantile(means, [0.025, 0.975]), atol=0.03)


def test_it_covers_the_truth_about_as_often_as_it_says() -> None:
    covered = 0
    for trial in range(100):
        rng = np.random.default_rng(trial)
        users = np.repeat(np.arange(60), 3)
        difference = rng.normal(size=60)[users] + rng.normal(size=180)
        low, high = paired_interval(difference, np.zeros(180), users, seed=trial, draws=400)
        covered += low <= 0.0 <= high
    assert 86 <= covered <= 100


def test_without_targets_the_interval_is_empty() -> None:
    empty = np.empty(0)
    assert paired_interval(empty, empty, np.empty(0, np.int64), seed=0) == (0.0, 0.0)
