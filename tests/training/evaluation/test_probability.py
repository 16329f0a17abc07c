"""AUC, GAUC, log loss and calibration error: by hand, against scikit-learn, and as properties."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import log_loss as sklearn_log_loss
from sklearn.metrics import roc_auc_score

from training.evaluation.probability import (
    PROBABILITY_METRICS,
    auc,
    auc_by_group,
    expected_calibration_error,
    gauc,
    gauc_difference,
    log_loss,
    log_losses,
    probability_summary,
    reliability,
)

Rows = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]


@st.composite
def predictions(draw: st.DrawFn, least: int = 1) -> Rows:
    count = draw(st.integers(least, 40))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    # Few distinct values, so that ties are common.
    values = rng.integers(0, 8, count) / 7 if draw(st.booleans()) else rng.random(count)
    return (rng.random(count) < draw(st.floats(0, 1))).astype(np.float64), values, rng.integers(-3, 4, count)


def both_classes(labels: NDArray[np.float64]) -> bool:
    return 0 < labels.sum() < len(labels)


def test_auc_counts_the_pairs_in_order() -> None:
    # Positives .9 and .4, negatives .8, .4 and .1: (.9 beats three) + (.4 beats one, ties one) = 4.5 of 6.
    assert auc(np.array([1, 0, 1, 0, 0]), np.array([0.9, 0.8, 0.4, 0.4, 0.1])) == pytest.approx(0.75)


@given(predictions())
def test_auc_and_log_loss_are_scikit_learns(rows: Rows) -> None:
    labels, scores, _ = rows
    assume(both_classes(labels))
    assert auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores))
    inside = np.clip(scores, 1e-6, 1 - 1e-6)
    assert log_loss(labels, inside) == pytest.approx(sklearn_log_loss(labels, inside))


@given(predictions())
def test_auc_is_the_same_under_any_rising_function_and_mirrored_under_a_falling_one(rows: Rows) -> None:
    labels, scores, _ = rows
    assume(both_classes(labels))
    assert auc(labels, np.exp(3 * scores)) == pytest.approx(auc(labels, scores))
    assert auc(labels, -scores) == pytest.approx(1 - auc(labels, scores))


@given(predictions())
def test_gauc_is_the_mean_of_each_users_auc_weighted_by_their_rows(rows: Rows) -> None:
    labels, scores, users = rows
    own = [(users == u) for u in np.unique(users)]
    known = [(int(m.sum()), roc_auc_score(labels[m], scores[m])) for m in own if both_classes(labels[m])]
    found = gauc(labels, scores, users)
    if not known:
        assert math.isnan(found)
        return
    assert found == pytest.approx(sum(n * a for n, a in known) / sum(n for n, _ in known))


def test_knowing_who_clicks_raises_auc_and_not_gauc() -> None:
    users = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    labels = np.array([1, 1, 1, 0, 1, 0, 0, 0])
    rate_of_user = np.array([0.75] * 4 + [0.25] * 4)
    assert auc(labels, rate_of_user) == pytest.approx(0.75)
    assert gauc(labels, rate_of_user, users) == pytest.approx(0.5)


@given(predictions(), st.integers(0, 1 << 30))
def test_no_metric_depends_on_the_order_of_the_rows(rows: Rows, seed: int) -> None:
    labels, values, users = rows
    moved = np.random.default_rng(seed).permutation(len(labels))
    again = probability_summary(labels[moved], values[moved], users[moved])
    assert again == pytest.approx(probability_summary(labels, values, users), nan_ok=True)


@given(predictions())
def test_metrics_stay_in_their_ranges(rows: Rows) -> None:
    found = probability_summary(*rows)
    assert tuple(found) == PROBABILITY_METRICS
    for name in ("auc", "gauc", "ece"):
        assert math.isnan(found[name]) or 0.0 <= found[name] <= 1.0
    assert 0.0 <= found["log_loss"] <= 16.2


def test_a_score_that_is_no_number_counts_as_the_lowest() -> None:
    labels = np.array([1, 0])
    assert auc(labels, np.array([np.nan, -5.0])) == 0.0
    assert auc(labels, np.array([np.inf, -5.0])) == 0.0
    assert auc(labels, np.array([-5.0, np.nan])) == 1.0


def test_one_class_or_no_rows_have_no_auc_and_no_rows_have_no_metric_at_all() -> None:
    assert math.isnan(auc(np.ones(3), np.arange(3.0)))
    assert auc_by_group(np.ones(3), np.arange(3.0), np.array([4, 4, 9])).counts.tolist() == [2, 1]
    nothing = np.zeros(0)
    assert all(math.isnan(v) for v in probability_summary(nothing, nothing, np.zeros(0, np.int64)).values())
    difference, interval = gauc_difference(np.ones(3), np.arange(3.0), np.ones(3), np.zeros(3, np.int64), 0)
    assert np.isnan([difference, *interval]).all()


def test_a_prediction_that_was_sure_and_wrong_costs_much_but_not_everything() -> None:
    found = log_losses(np.array([1, 0, 1]), np.array([0.0, 1.0, 0.5]))
    assert found.tolist() == pytest.approx([16.118, 16.118, math.log(2)], abs=1e-3)


def test_the_bins_of_the_calibration_error_hold_equally_many_rows() -> None:
    labels, probabilities = np.zeros(100), np.linspace(0, 0.01, 100)
    found = reliability(labels, probabilities)
    assert found.counts.sum() == 100
    assert set(found.counts.tolist()) == {6, 7}
    assert (np.diff(found.predicted) > 0).all()


def test_the_calibration_error_by_hand() -> None:
    # Two bins of two: predicted .15 against 0 observed, predicted .7 against .5: (.15 + .2) / 2.
    found = expected_calibration_error(np.array([0, 0, 1, 0]), np.array([0.1, 0.2, 0.6, 0.8]), bins=2)
    assert found == pytest.approx(0.175)


@given(predictions(least=2))
def test_the_truth_and_the_base_rate_are_calibrated(rows: Rows) -> None:
    labels, _, _ = rows
    assert expected_calibration_error(labels, labels) == pytest.approx(0.0)
    assert expected_calibration_error(labels, np.full(len(labels), labels.mean())) == pytest.approx(0.0)


def test_half_the_clicks_that_were_promised_show_as_calibration_error() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(200_000) * 0.2
    labels = (rng.random(len(truth)) < truth).astype(np.float64)
    assert expected_calibration_error(labels, truth) < 0.004
    assert expected_calibration_error(labels, 2 * truth) == pytest.approx(truth.mean(), abs=0.004)


def test_the_difference_of_two_models_has_an_interval_that_tells_them_apart() -> None:
    rng = np.random.default_rng(1)
    users = np.repeat(np.arange(200), 20)
    truth = rng.random(len(users))
    labels = (rng.random(len(users)) < truth).astype(np.float64)
    noisy = truth + rng.normal(0, 0.5, len(users))
    difference, (low, high) = gauc_difference(labels, truth, noisy, users, 0)
    assert difference == pytest.approx(gauc(labels, truth, users) - gauc(labels, noisy, users))
    assert 0 < low < difference < high
    assert gauc_difference(labels, truth, truth, users, 0) == (0.0, (0.0, 0.0))
