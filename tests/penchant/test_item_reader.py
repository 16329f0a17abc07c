"""What the item tower reads of an item."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

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


class Colour:
    """An encoder of one attribute."""

    name = "colour"
    width = 2

    def vectors(self, items: Sequence[Mapping[str, Any]]) -> np.ndarray:
        known = {"red": [1.0, 0.0], "blue": [0.0, 1.0]}
        return np.array([known.get(item.get("colour"), [0.0, 0.0]) for item in items], np.float32)


def test_what_an_encoder_makes_of_an_item_is_a_block_after_the_others() -> None:
    plain = ItemReader.of(["title"], [], {"year": np.array([1990.0, 2000.0])})
    reader = replace(plain, encoders=(Colour(),))
    items = [{"title": "a boat", "colour": "red"}, {"year": 1995.0, "colour": "blue"}, {"title": "a boat"}]
    found = reader.vectors(items)
    assert found.shape == (3, plain.width + 2) == (3, reader.width)
    assert np.array_equal(found[:, :-2], plain.vectors(items))
    assert found[:, -2:].tolist() == [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]
    assert reader.vectors([]).shape == (0, reader.width)
