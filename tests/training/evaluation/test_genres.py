"""Genre calibration: the divergence by hand, its bounds, and which attribute it is taken over."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penchant.columns import TagColumn
from training.evaluation.genres import choose_attribute, genre_kl, item_shares, list_profiles, normalised


def column(*tags: tuple[str, ...]) -> TagColumn:
    vocabulary = tuple(sorted({t for some in tags for t in some}))
    return TagColumn(
        vocabulary,
        np.cumsum([0, 0, *(len(some) for some in tags)]),
        np.array([vocabulary.index(t) for some in tags for t in some], np.uint32),
    )


def profile(*weights: float) -> np.ndarray:
    return normalised(np.array([weights], np.float64))


def test_an_items_share_is_divided_among_its_genres() -> None:
    shares = item_shares(column(("a",), ("a", "b"), ()))
    assert shares.toarray().tolist() == [[0, 0], [1, 0], [0.5, 0.5], [0, 0]]


def test_a_lists_profile_is_the_mean_of_its_tagged_items() -> None:
    shares = item_shares(column(("a",), ("a", "b"), (), ("b",)))
    lists = np.array([[1, 2, 3, 4], [3, 0, 0, 0], [4, 1, 0, 0]])
    assert list_profiles(lists, shares, 3).tolist() == [[0.75, 0.25], [0, 0], [0.5, 0.5]]


def test_the_divergence_by_hand() -> None:
    # Taste 70/30, list all of the first: .7 log(.7/(.99 + .007)) + .3 log(.3/.003).
    expected = 0.7 * math.log(0.7 / 0.997) + 0.3 * math.log(100)
    assert genre_kl(profile(0.7, 0.3), profile(1, 0))[0] == pytest.approx(expected)


weights = st.lists(st.floats(0, 1), min_size=3, max_size=3).filter(lambda w: sum(w) > 1e-6)


@given(weights, weights)
def test_the_divergence_is_bounded_and_zero_for_the_taste_itself(taste: list[float], shown: list[float]) -> None:
    found = genre_kl(profile(*taste), profile(*shown))[0]
    assert 0.0 <= found <= math.log(100) + 1e-9
    assert genre_kl(profile(*taste), profile(*taste))[0] == pytest.approx(0.0, abs=1e-9)
    turned = genre_kl(profile(*taste[::-1]), profile(*shown[::-1]))[0]
    assert turned == pytest.approx(found, abs=1e-12)


@given(weights, weights, st.floats(0, 1), st.floats(0, 1))
def test_a_list_moved_towards_the_taste_diverges_no_more(
    taste: list[float], shown: list[float], a: float, b: float
) -> None:
    near, far = sorted((a, b))
    p, q = profile(*taste), profile(*shown)
    moved = [genre_kl(p, p + share * (q - p))[0] for share in (near, far)]
    assert moved[0] <= moved[1] + 1e-9


def test_there_is_no_divergence_without_a_taste_or_without_tagged_items() -> None:
    nothing = np.zeros((1, 2))
    assert math.isnan(genre_kl(nothing, profile(1, 0))[0])
    assert math.isnan(genre_kl(profile(1, 0), nothing)[0])


def test_without_a_wish_the_attribute_called_genre_is_taken_else_the_fullest() -> None:
    full, half = column(("x",), ("y",)), column(("x", "y"), ())
    assert choose_attribute({"brand": full, "genres": half}, None) == ("genres", "")
    assert choose_attribute({"maker": half, "zone": full}, None) == ("zone", "")


def test_an_attribute_that_is_not_there_or_does_not_fit_is_refused_with_the_reason() -> None:
    tags = {"brand": column(("x",)), "genre": column(("x",), ("y",))}
    assert choose_attribute(tags, "price") == (
        None, "no categorical or multi-valued attribute 'price'; the bundle has brand, genre",
    )  # fmt: skip
    assert choose_attribute(tags, "brand") == (None, "brand has 1 values: genre calibration takes 2 to 500")
    assert choose_attribute({}, None)[0] is None
