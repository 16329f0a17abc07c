"""Comparisons of systems over the targets that both have a value for."""

import numpy as np
import pytest

from training.evaluation.bootstrap import paired_interval
from training.evaluation.pairs import mean_known, paired_values


def test_a_difference_is_taken_over_the_targets_that_both_know() -> None:
    rng = np.random.default_rng(0)
    users, a, b = rng.integers(0, 30, 200), rng.random(200), rng.random(200)
    a[3], b[7] = np.nan, np.nan
    values = {"ranked": {"m": a, "n": np.ones(200)}, "retrieval": {"m": b, "n": np.zeros(200)}, "trees": {"n": a}}
    found = paired_values(values, ("m", "n"), users, 5)
    both = ~np.isnan(a - b)
    assert found["ranked_minus_retrieval"]["m"] == pytest.approx(paired_interval(a[both], b[both], users[both], 5))
    assert found["ranked_minus_retrieval"]["n"] == [1.0, 1.0]
    assert "m" not in found["ranked_minus_trees"]


def test_the_mean_is_over_what_is_known_and_none_where_nothing_is() -> None:
    assert mean_known(np.array([1.0, np.nan, 3.0])) == 2.0
    assert mean_known(np.array([np.nan])) is None
    assert mean_known(np.zeros(0)) is None
    assert mean_known(None) is None
