"""What the item tower reads of an item."""

import numpy as np
import pytest

from penchant.item_reader import TAGS, WORDS, ItemReader

READER = ItemReader.of(["title", "plot"], ["genre"], {"year": np.array([1950, 1990, np.nan, 2000, 2000], np.float32)})


def test_words_tags_and_numbers_have_blocks_of_their_own() -> None:
    (vector,) = READER.vectors([{"title": "Red hat", "genre": ["a", "b"], "year": 1990.0}])
    assert len(vector) == READER.width
    for block in (vector[:WORDS], vector[WORDS : WORDS + TAGS]):
        assert np.linalg.norm(block) == pytest.approx(1.0)
        assert np.count_nonzero(block) == 2
    assert vector[WORDS + TAGS :].sum() == pytest.approx(1.0)
    plot = "a long story of a hat " * 30
    (longer,) = READER.vectors([{"title": "Red hat", "plot": plot, "genre": ("a", "b"), "year": 1990.0}])
    np.testing.assert_array_equal(longer[WORDS:], vector[WORDS:])


def test_near_numbers_are_read_alike_and_far_ones_not() -> None:
    years = READER.vectors([{"year": y} for y in (1990.0, 1991.0, 1955.0, 1900.0, 1950.0, 2400.0, 2000.0)])
    assert years[0] @ years[1] > years[0] @ years[2]
    np.testing.assert_allclose(years[3], years[4], atol=1e-6)
    np.testing.assert_allclose(years[5], years[6], atol=1e-6)


def test_what_is_not_said_or_is_no_number_is_zeros() -> None:
    said = READER.vectors([{}, {"title": "", "genre": [], "year": float("nan")}, {"year": "soon"}, {"colour": "red"}])
    assert not said.any()
    assert READER.vectors([]).shape == (0, READER.width)


def test_it_comes_back_from_json() -> None:
    assert ItemReader.from_json(READER.to_json()) == READER
