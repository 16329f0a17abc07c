"""The vectorised metrics against a definition written out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.evaluation import metrics


@st.composite
def ranked(draw: st.DrawFn) -> tuple[list[list[int]], list[int], int]:
    catalogue = draw(st.integers(1, 30))
    width = draw(st.integers(0, catalogue))
    count = draw(st.integers(0, 6))
    lists = [draw(st.permutations(range(1, catalogue + 1)))[: draw(st.integers(0, width))] for _ in range(count)]
    targets = draw(st.lists(st.integers(0, catalogue), min_size=count, max_size=count))
    return lists, targets, catalogue


def padded(lists: list[list[int]]) -> metrics.Lists:
    out = np.zeros((len(lists), max(map(len, lists), default=0)), np.int64)
    for i, row in enumerate(lists):
        out[i, : len(row)] = row
    return out


@given(ranked(), st.integers(1, 40))
def test_every_metric_equals_its_definition(case: tuple[list[list[int]], list[int], int], k: int) -> None:
    lists, targets, catalogue = case
    found = metrics.ranks(padded(lists), np.array(targets, np.int64))
    places = [row.index(t) + 1 if t in row else 0 for row, t in zip(lists, targets, strict=True)]
    assert found.tolist() == places
    inside = [0 < p <= k for p in places]
    np.testing.assert_allclose(metrics.hr(found, k), inside)
    np.testing.assert_allclose(metrics.recall(found, k), inside)
    np.testing.assert_allclose(metrics.precision(found, k), [i / k for i in inside])
    gains = [1 / math.log2(p + 1) if i else 0.0 for p, i in zip(places, inside, strict=True)]
    np.testing.assert_allclose(metrics.ndcg(found, k), gains)
    np.testing.assert_allclose(metrics.mrr(found), [1 / p if p else 0.0 for p in places])
    shown = {row for one in lists for row in one[:k]}
    assert metrics.coverage(padded(lists), k, catalogue) == pytest.approx(len(shown) / catalogue)


@given(ranked())
def test_metrics_lie_between_zero_and_one(case: tuple[list[list[int]], list[int], int]) -> None:
    lists, targets, catalogue = case
    found = metrics.summary(padded(lists), np.array(targets, np.int64), catalogue)
    assert tuple(found) == metrics.METRICS
    assert all(0.0 <= value <= 1.0 for value in found.values())


def test_an_item_outside_the_catalogue_is_a_miss_and_padding_is_no_hit() -> None:
    lists = np.array([[3, 0, 0]], np.int64)
    assert metrics.ranks(lists, np.array([0], np.int64)).tolist() == [0]


def test_a_target_at_place_two_gives_the_textbook_values() -> None:
    found = metrics.summary(np.array([[5, 7, 9]], np.int64), np.array([7], np.int64), catalogue=10)
    assert found["hr@10"] == 1.0
    assert found["ndcg@10"] == pytest.approx(1 / math.log2(3))
    assert found["precision@10"] == pytest.approx(0.1)
    assert found["mrr"] == 0.5
    assert found["coverage@10"] == pytest.approx(0.3)
