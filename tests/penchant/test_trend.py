"""The live trend: order does not matter, memory is bounded, and one user alone makes no trend."""

import numpy as np
import pytest

from penchant.trend import AHEAD_US, HALF_LIFE_S, Trend

START_US = 1_780_000_000_000_000
SECOND_US = 1_000_000
HALF_LIFE_US = int(HALF_LIFE_S * 1e6)


def test_weights_add_up_and_halve_with_time() -> None:
    trend = Trend()
    trend.add(1, 10, 2, 1.0, START_US)
    trend.add(2, 10, 2, 1.0, START_US + HALF_LIFE_US)
    trend.add(3, 11, 4, 3.0, START_US + HALF_LIFE_US)
    now = trend.top(10)
    assert (now.keys.tolist(), now.as_of_us) == ([11, 10], START_US + HALF_LIFE_US)
    assert now.weights.tolist() == pytest.approx([3.0, 1.5])
    assert now.aged(now.as_of_us + 2 * HALF_LIFE_US).tolist() == pytest.approx([0.75, 0.375])
    assert now.aged(now.as_of_us - SECOND_US).tolist() == pytest.approx([3.0, 1.5])


def test_a_request_about_the_past_knows_nothing_of_the_trend() -> None:
    trend = Trend()
    trend.add(1, 10, 2, 1.0, START_US)
    assert not trend.top(10).aged(START_US - AHEAD_US - 1).any()


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_events_does_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    span_us = 300 * HALF_LIFE_US  # Beyond what one base can hold.
    events = [
        (n, int(rng.integers(20)), 2, float(rng.integers(1, 4)), START_US + int(rng.integers(span_us)))
        for n in range(500)
    ]
    found = []
    for order in (np.arange(500), np.argsort([e[4] for e in events]), rng.permutation(500)):
        trend = Trend()
        for n in order.tolist():
            trend.add(*events[n])
        found.append(trend.top(5))
    for other in found[1:]:
        assert found[0].keys.tolist() == other.keys.tolist()
        assert np.allclose(found[0].weights, other.weights, rtol=1e-5)


def test_one_user_who_repeats_an_event_counts_once() -> None:
    trend = Trend()
    for n in range(1000):
        trend.add(7, 10, 2, 1.0, START_US + n)
    trend.add(8, 11, 2, 1.0, START_US)
    trend.add(9, 11, 2, 1.0, START_US)
    assert trend.top(2).keys.tolist() == [11, 10]


def test_what_is_held_is_bounded_and_the_heaviest_stay() -> None:
    trend = Trend(capacity=100, distinct=50)
    for n in range(5000):
        trend.add(n, 10_000 + n, 2, 1.0, START_US + n)
        trend.add(n, 1 + n % 20, 3, 5.0, START_US + n)
    assert len(trend) <= 200
    assert len(trend._recent) <= 50
    assert set(trend.top(20).keys.tolist()) == set(range(1, 21))


def test_events_without_item_or_with_no_positive_weight_make_no_trend() -> None:
    trend = Trend()
    trend.add(1, 0, 9, 1.0, START_US)
    trend.add(1, 10, 12, -0.5, START_US)
    trend.add(1, 10, 13, 0.0, START_US)
    assert (len(trend), trend.version) == (0, 0)
    assert len(trend.top(5).keys) == 0
