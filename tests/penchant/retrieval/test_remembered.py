"""A memory never says anything but what was computed of the very same thing, and never grows beyond its room."""

import numpy as np
import pytest

from penchant.retrieval.remembered import Remembered


def test_it_computes_once_for_a_key_and_counts_how_often_that_was_enough() -> None:
    asked: list[str] = []

    def compute(name: str) -> np.ndarray:
        asked.append(name)
        return np.array([float(len(asked))])

    remembered: Remembered[np.ndarray] = Remembered(1 << 20)
    first = remembered.of("a", 1, lambda: compute("a"))
    assert remembered.of("a", 1, lambda: compute("a")) is first
    assert remembered.of("b", 1, lambda: compute("b")).tolist() == [2.0]
    assert asked == ["a", "b"]
    assert (remembered.hits, remembered.misses) == (1, 2)


def test_the_longest_unused_is_forgotten_first_and_the_room_is_kept() -> None:
    remembered: Remembered[np.ndarray] = Remembered(4000)
    for name in ("a", "b", "c", "a", "d"):
        remembered.of(name, 1, lambda: np.zeros(100))
    hits = remembered.hits
    remembered.of("a", 1, lambda: np.zeros(100))
    assert remembered.hits == hits + 1
    assert len(remembered) <= 4000 // 800
    for i in range(100):
        remembered.of(i, 1, lambda: np.zeros(100))
    assert len(remembered) <= 4000 // 800


def test_what_cannot_be_computed_is_asked_for_again() -> None:
    remembered: Remembered[np.ndarray] = Remembered(1000)

    def fail() -> np.ndarray:
        raise ZeroDivisionError

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            remembered.of("a", 1, fail)
    assert remembered.of("a", 1, lambda: np.ones(1)).tolist() == [1.0]


def test_a_thing_larger_than_the_room_is_given_and_not_kept() -> None:
    remembered: Remembered[np.ndarray] = Remembered(1000)
    assert len(remembered.of("a", 1, lambda: np.zeros(1000))) == 1000
    assert len(remembered) == 0
