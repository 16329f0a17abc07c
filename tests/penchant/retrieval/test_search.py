"""Nearest neighbours: exact is exact, the index finds nearly the same, and neither returns what is not allowed."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_bundle import write_index

from penchant.errors import BundleMismatch
from penchant.retrieval.index import GATE, INDEX_FILE, open_search
from penchant.retrieval.search import best, exact_search, merged
from penchant.types import Mask


def plainly_best(rows: np.ndarray, scores: np.ndarray, k: int) -> list[int]:
    worst_nan = np.where(np.isnan(scores), -np.inf, scores)
    return [int(rows[i]) for i in sorted(range(len(rows)), key=lambda i: (-worst_nan[i], rows[i]))[:k]]


FEW_VALUES = st.sampled_from([0.0, 1.0, 1.5, -2.0, float("inf"), float("-inf"), float("nan")])


@given(st.lists(FEW_VALUES, max_size=12), st.integers(0, 14))
def test_best_is_what_sorting_gives_ties_to_the_lower_row(values: list[float], k: int) -> None:
    scores = np.array(values, np.float32)
    rows = np.random.default_rng(len(values)).permutation(len(values)) + 1
    found, found_scores = best(rows, scores, k)
    assert found.tolist() == plainly_best(rows, scores, k)
    assert (found_scores[:-1] >= found_scores[1:]).all()


def test_two_searches_merge_by_score() -> None:
    one = best(np.array([1, 2, 3]), np.array([0.1, 0.9, 0.5], np.float32), 3)
    other = best(np.array([7, 8]), np.array([0.9, 0.2], np.float32), 2)
    rows, scores = merged(one, other, 4)
    assert rows.tolist() == [2, 7, 3, 8]
    assert np.allclose(scores, [0.9, 0.9, 0.5, 0.2])


def masks(count: int) -> dict[str, Mask]:
    rng = np.random.default_rng(1)
    everything = np.ones(count + 1, np.bool_)
    everything[0] = False
    some_seen, few, one, none = (everything.copy() for _ in range(4))
    some_seen[rng.integers(1, count + 1, 200)] = False
    few[rng.choice(np.arange(1, count + 1), count - 40, replace=False)] = False
    one[:] = False
    one[17] = True
    none[:] = False
    longer = np.concatenate([everything, np.ones(5, np.bool_)])
    return {"all": everything, "seen": some_seen, "few": few, "one": one, "none": none, "delta": longer}


@pytest.fixture(scope="module")
def embeddings() -> np.ndarray:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(30, 16))
    points = centres[rng.integers(0, 30, 3001)] + 0.4 * rng.normal(size=(3001, 16))
    points[0] = 0
    return points.astype(np.float32)


def unstructured(count: int) -> np.ndarray:
    """Independent directions and very different lengths: the graph over inner products does not hold together."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(count + 1, 32)) * rng.lognormal(0, 2, (count + 1, 1))
    points[0] = 0
    return points.astype(np.float32)


def bundle_of(points: np.ndarray, folder: Path) -> Path:
    (folder / "retrieval").mkdir()
    write_index(points, folder / INDEX_FILE)
    return folder


def users_near(points: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(2)
    return points[rng.integers(1, len(points), 100)] + 0.2 * rng.normal(size=(100, points.shape[1])).astype(np.float32)


def test_the_index_finds_nearly_what_exact_search_finds_whatever_is_forbidden(
    embeddings: np.ndarray, tmp_path: Path
) -> None:
    users = users_near(embeddings)
    opened = open_search(bundle_of(embeddings, tmp_path), embeddings, users)
    assert opened.kind == "hnsw"
    assert opened.recall >= GATE
    exact = exact_search(embeddings)
    for name, allowed in masks(3000).items():
        recalls = []
        for vector in users[:30]:
            found, scores = opened.search(vector, 100, allowed)
            expected, _ = exact(vector, 100, allowed)
            assert len(found) == len(expected), name
            assert allowed[found].all()
            assert np.allclose(scores, embeddings[found] @ vector, atol=1e-3)
            assert (scores[:-1] >= scores[1:]).all()
            recalls.append(len(set(found.tolist()) & set(expected.tolist())) / max(len(expected), 1))
        if len(expected):
            assert np.mean(recalls) > 0.95, name


def test_an_index_that_does_not_pass_the_gate_is_not_used_unless_it_is_asked_for(tmp_path: Path) -> None:
    points = unstructured(3000)
    folder = bundle_of(points, tmp_path)
    users = np.random.default_rng(3).normal(size=(64, 32)).astype(np.float32)
    assert open_search(folder, points, users).kind == "exact"
    asked = open_search(folder, points, users, "hnsw")
    assert asked.kind == "hnsw"
    assert asked.recall < GATE
    everything = masks(3000)["all"]
    assert len(asked.search(users[0], 300, everything)[0]) == 300


def test_few_items_are_searched_exactly_and_so_is_what_is_asked_for_exactly(
    embeddings: np.ndarray, tmp_path: Path
) -> None:
    folder = bundle_of(embeddings, tmp_path)
    assert open_search(folder, embeddings, users_near(embeddings), "exact").kind == "exact"
    assert open_search(tmp_path / "nowhere", embeddings[:500], embeddings[:10]).kind == "exact"


def test_an_index_of_other_items_or_none_is_refused(embeddings: np.ndarray, tmp_path: Path) -> None:
    folder = bundle_of(embeddings, tmp_path)
    with pytest.raises(BundleMismatch, match="holds 3000 items, the bundle 2999"):
        open_search(folder, embeddings[:-1], embeddings[:5])
    (folder / INDEX_FILE).unlink()
    with pytest.raises(BundleMismatch, match='index = "exact"'):
        open_search(folder, embeddings, embeddings[:5])
