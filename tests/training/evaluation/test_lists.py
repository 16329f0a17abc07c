"""Spread, variety, novelty and surprise of lists: by hand, and as properties."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from training.evaluation.lists import diversity, exposures, gini, novelty, self_information, serendipity
from training.evaluation.metrics import Lists, hr, ranks

counts = st.lists(st.integers(0, 50), min_size=1, max_size=20).map(lambda c: np.array(c, np.int64))


@st.composite
def lists_of(draw: st.DrawFn, rows: int = 12, width: int = 6) -> Lists:
    rng = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    lists = np.zeros((draw(st.integers(0, 8)), width), np.int64)
    for one in lists:
        shown = rng.permutation(np.arange(1, rows))[: rng.integers(0, width + 1)]
        one[: len(shown)] = shown
    return lists


def test_exposures_count_the_first_k_places_and_no_padding() -> None:
    lists = np.array([[1, 2, 3], [2, 0, 0]])
    assert exposures(lists, 2, 5).tolist() == [0, 1, 2, 0, 0]


def test_gini_is_zero_for_equal_exposure_and_almost_one_for_a_single_item() -> None:
    assert gini(np.array([7, 7, 7, 7])) == pytest.approx(0.0)
    assert gini(np.array([0, 0, 0, 9])) == pytest.approx(0.75)
    # Half of the items share everything: mean difference 2, twice the mean 4.
    assert gini(np.array([0, 0, 4, 4])) == pytest.approx(0.5)
    assert gini(np.zeros(3, np.int64)) == 0.0


@given(counts)
def test_gini_is_half_the_relative_mean_difference(counts_N: NDArray[np.int64]) -> None:
    found = gini(counts_N)
    assert 0.0 <= found <= 1.0 - 1.0 / len(counts_N) + 1e-12
    if counts_N.sum():
        differences = np.abs(counts_N[:, None] - counts_N[None]).mean()
        assert found == pytest.approx(differences / (2 * counts_N.mean()))


@given(counts, st.integers(0, 1 << 30), st.integers(1, 9))
def test_gini_is_free_of_order_and_scale(counts_N: NDArray[np.int64], seed: int, scale: int) -> None:
    moved = np.random.default_rng(seed).permutation(counts_N) * scale
    assert gini(moved) == pytest.approx(gini(counts_N))


@given(counts)
def test_exposure_taken_from_the_rich_and_given_to_the_poor_lowers_gini(counts_N: NDArray[np.int64]) -> None:
    rich, poor = int(counts_N.argmax()), int(counts_N.argmin())
    if counts_N[rich] - counts_N[poor] < 2:
        return
    fairer = counts_N.copy()
    fairer[rich] -= 1
    fairer[poor] += 1
    assert gini(fairer) < gini(counts_N)


@given(lists_of(), st.integers(0, 1 << 30), st.integers(1, 6))
def test_diversity_is_the_mean_over_pairs_of_what_the_cosine_lacks(lists: Lists, seed: int, k: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(12, 4)).astype(np.float32)
    vectors[[0, 3, 5]] = 0.0
    found = diversity(lists, vectors, k)
    for one, value in zip(lists, found, strict=True):
        known = [vectors[i] / np.linalg.norm(vectors[i]) for i in one[:k] if vectors[i].any()]
        pairs = [1 - float(a @ b) for a, b in itertools.combinations(known, 2)]
        assert math.isnan(value) if not pairs else value == pytest.approx(np.mean(pairs), abs=1e-4)


def test_a_list_of_one_kind_has_no_diversity_and_one_of_unrelated_kinds_has_one() -> None:
    vectors = np.array([[0, 0, 0], [2, 0, 0], [1, 0, 0], [0, 3, 0], [0, 0, 1]], np.float32)
    found = diversity(np.array([[1, 2, 0], [1, 3, 4], [4, 0, 0]]), vectors, 3)
    assert found[:2].tolist() == pytest.approx([0.0, 1.0], abs=1e-6)
    assert math.isnan(found[2])


def test_self_information_is_in_bits_and_finite_for_what_nobody_had() -> None:
    bits = self_information(np.array([99, 3, 1, 0, 0]))
    # (3 + 1) + (1 + 1) + 1 + 1 = 8, and row 0 does not count.
    assert bits[1:].tolist() == [1.0, 2.0, 3.0, 3.0]
    assert math.isnan(bits[0])


@given(lists_of(), st.integers(0, 1 << 30))
def test_novelty_is_the_mean_of_bits_and_knows_no_order_within_the_first_k(lists: Lists, seed: int) -> None:
    rng = np.random.default_rng(seed)
    bits = self_information(rng.integers(0, 100, 12))
    found = novelty(lists, bits, 6)
    for one, value in zip(lists, found, strict=True):
        shown = one[one > 0]
        assert math.isnan(value) if len(shown) == 0 else value == pytest.approx(bits[shown].mean())
    np.testing.assert_allclose(novelty(rng.permuted(lists, axis=1), bits, 6), found)


def test_rarer_items_are_more_novel() -> None:
    bits = self_information(np.array([0, 100, 10, 1]))
    found = novelty(np.array([[1, 0], [2, 0], [3, 0]]), bits, 1)
    assert found[0] < found[1] < found[2]


def test_a_hit_is_serendipitous_only_where_no_obvious_list_has_it() -> None:
    lists = np.array([[5, 6], [5, 6], [5, 6], [6, 5]])
    targets = np.array([5, 5, 7, 5])
    popular = np.array([[5, 1], [1, 5], [5, 1], [1, 2]])
    neighbours = np.array([[1, 2], [1, 2], [1, 2], [5, 1]])
    assert serendipity(lists, targets, [popular, neighbours], 2).tolist() == [0.0, 0.0, 0.0, 0.0]
    assert serendipity(lists, targets, [popular], 1).tolist() == [0.0, 1.0, 0.0, 0.0]
    assert serendipity(lists, targets, [], 2).tolist() == [1.0, 1.0, 0.0, 1.0]


@given(lists_of(), st.integers(0, 1 << 30), st.integers(1, 6))
def test_serendipity_never_exceeds_hits_and_falls_as_more_is_obvious(lists: Lists, seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 12, len(lists))
    obvious = [rng.integers(0, 12, (len(lists), 6)) for _ in range(2)]
    plain, one, both = (serendipity(lists, targets, obvious[:n], k) for n in range(3))
    assert (plain == hr(ranks(lists, targets), k)).all()
    assert (both <= one).all()
    assert (one <= plain).all()
    assert not serendipity(lists, targets, [lists], k).any()
