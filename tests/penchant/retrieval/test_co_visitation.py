"""Co-visitation scores, the same whichever way they are added up."""

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from penchant.retrieval.co_visitation import CoVisitation


def random_pairs(rows: int, seed: int) -> CoVisitation:
    matrix = sparse.random(rows, rows, 0.2, "csr", random_state=np.random.default_rng(seed), dtype=np.float32)
    return CoVisitation(matrix.indptr.astype(np.int64), matrix.indices.astype(np.uint32), matrix.data)


def plain_scores(pairs: CoVisitation, history: list[int], half_life: float, window: int) -> dict[int, float]:
    newest = [row for row in history[::-1][:window] if row > 0]
    weights = [2 ** (-place / half_life) for place in range(len(newest))]
    mass: dict[int, float] = {}
    for row, weight in zip(newest, weights, strict=True):
        for at in range(pairs.indptr[row], pairs.indptr[row + 1]):
            target = int(pairs.targets[at])
            mass[target] = mass.get(target, 0.0) + weight / sum(weights) * float(pairs.weights[at])
    return mass


@given(
    seed=st.integers(0, 5), history=st.lists(st.integers(0, 29), max_size=8), rows=st.sampled_from([30, 300]),
    half_life=st.sampled_from([0.5, 3.0, 20.0]), window=st.sampled_from([2, 50]),
)  # fmt: skip
def test_followers_add_up_by_how_long_ago_their_item_was(
    seed: int, history: list[int], rows: int, half_life: float, window: int
) -> None:
    pairs = random_pairs(rows, seed)
    found, scores = pairs.scores(np.array(history, np.int64), half_life, window)
    expected = plain_scores(pairs, history, half_life, window)
    assert found.tolist() == sorted(expected)
    assert np.allclose(scores, [expected[row] for row in found.tolist()], rtol=1e-5)


def test_it_is_written_and_mapped_back(tmp_path: Path) -> None:
    pairs = random_pairs(30, 1)
    pairs.write(tmp_path)
    mapped = CoVisitation.open(tmp_path)
    for name in ("indptr", "targets", "weights"):
        assert np.array_equal(getattr(mapped, name), getattr(pairs, name))
