"""What the ranker reads: the same numbers as plain loops over items and tags give."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penchant.bundle import current, read_manifest
from penchant.events import EVENT_TYPES
from penchant.features import FeatureSchema, UserFeatures
from penchant.features.kinds import DAY_US
from penchant.item_table import ItemTable, TagColumn
from penchant.leaves import Candidates, UserState
from penchant.ranking import feature_rows, pair_features, ranker_inputs, slate_score, with_new_lift
from penchant.retrieval import RETRIEVAL_FEATURES, SOURCES

ITEMS, TAGS = 12, 5
SCHEMA = FeatureSchema.default(
    has_times=True,
    has_values=True,
    item_attributes={"genres": ("a",), "gone": ("b",)},
    user_attributes={"plan": ("x",)},
)


def table_of(seed: int) -> tuple[ItemTable, list[list[int]]]:
    """Items 1..ITEMS of random embeddings and none to three of five genres; the genres of each row."""
    rng = np.random.default_rng(seed)
    genres = [[], *(sorted(rng.choice(TAGS, int(rng.integers(0, 4)), replace=False).tolist()) for _ in range(ITEMS))]
    column = TagColumn(
        tuple("abcde"),
        np.concatenate([[0], np.cumsum([len(g) for g in genres])]),
        np.array([t for g in genres for t in g], np.uint32),
    )
    embeddings = rng.normal(size=(ITEMS + 1, 4)).astype(np.float32)
    content = rng.normal(size=(ITEMS + 1, 6)).astype(np.float32)
    features = rng.normal(size=(ITEMS + 1, len(SCHEMA.item_dense_names))).astype(np.float32)
    embeddings[0] = content[0] = 0
    keys = np.concatenate([[0], 100 + np.arange(ITEMS)])
    ids = ["", *(f"i{i}" for i in range(ITEMS))]
    table = ItemTable(
        keys, ids, embeddings, features, content, np.zeros(ITEMS + 1, np.int64), {"genres": column}, {}
    )  # fmt: skip
    return table, genres


def by_loops(
    history: list[int], values: list[float], row: int, table: ItemTable, genres: list[list[int]]
) -> list[float]:
    """The pair features of one candidate, said as slowly as possible."""
    known = [(h, v) for h, v in zip(history, values, strict=True) if h > 0]
    if not known:
        return [0.0] * len(SCHEMA.pair_dense_names)

    def cosine(a: int, b: int) -> float:
        x, y = table.embeddings[np.array([a, b])].astype(np.float64)
        return float(x @ y / (np.linalg.norm(x) + 1e-9) / (np.linalg.norm(y) + 1e-9))

    def average(numbers: list[float]) -> float:
        return sum(numbers) / len(numbers) if numbers else 0.0

    cosines = [cosine(row, h) for h, _ in known]
    contents = [float(table.content[np.array([row])][0] @ table.content[np.array([h])][0]) for h, _ in known]
    given_values = [v for _, v in known if not math.isnan(v)]
    usual = average(given_values)

    def of_tag(tag: int) -> tuple[float, float, float]:
        share = sum(tag in genres[h] for h, _ in known) / len(known)
        liked = sum(v - usual for h, v in known if tag in genres[h] and not math.isnan(v)) / len(known)
        return share, liked, float(tag in genres[known[-1][0]])

    tags = [of_tag(t) for t in genres[row]]
    return [
        average(cosines), average(cosines[-5:]), cosines[-1], average(contents),
        *([0.0] * 3 if SCHEMA.item_attributes[0] != "genres" else _means(tags)),
        *([0.0] * 3 if SCHEMA.item_attributes[1] != "genres" else _means(tags)),
    ]  # fmt: skip


def _means(tags: list[tuple[float, float, float]]) -> list[float]:
    return [sum(t[i] for t in tags) / len(tags) if tags else 0.0 for i in range(3)]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 1000),
    history=st.lists(st.tuples(st.integers(0, ITEMS), st.sampled_from([float("nan"), 1.0, 3.5, 5.0])), max_size=12),
    candidates=st.lists(st.integers(1, ITEMS), min_size=1, max_size=8),
)
def test_pair_features_are_those_of_plain_loops(
    seed: int, history: list[tuple[int, float]], candidates: list[int]
) -> None:
    table, genres = table_of(seed)
    rows, values = [h for h, _ in history], [v for _, v in history]
    found = pair_features(
        np.array(rows, np.int64), np.array(values, np.float32), np.array(candidates, np.uint32), table, SCHEMA
    )
    expected = [by_loops(rows, values, row, table, genres) for row in candidates]
    np.testing.assert_allclose(found, np.array(expected), atol=2e-5)


def candidates_of(rows: list[int]) -> Candidates:
    count = len(rows)
    features = np.random.default_rng(0).normal(size=(count, len(RETRIEVAL_FEATURES))).astype(np.float32)
    scores = np.arange(count, 0, -1).astype(np.float32)
    return Candidates(np.array(rows, np.uint32), scores, np.ones(count, np.uint32), features, SOURCES)


def user_of(items: list[int], day: int = 10) -> UserState:
    features = UserFeatures.empty(SCHEMA)
    features.apply_columns(
        100 + np.array(items, np.int64), np.full(len(items), 5), np.full(len(items), 4.0),
        DAY_US * day + np.arange(len(items)),
    )  # fmt: skip
    return features.state(1, DAY_US * (day + 1))


def test_inputs_have_one_row_of_the_user_and_one_of_each_candidate() -> None:
    table, _ = table_of(0)
    inputs = ranker_inputs(user_of([0, 1, 2]), candidates_of([4, 5]), table, SCHEMA, 6, DAY_US * 11)
    assert inputs["history_rows"].tolist() == [[0, 0, 0, 1, 2, 3]]
    assert inputs["history_signals"][0, :, 1].tolist() == [0, 0, 0, 1, 1, 1]
    assert inputs["history_signals"][0, -1, 2] == pytest.approx(np.log1p(1.0), rel=1e-4)
    assert inputs["user_dense"].shape == (1, len(SCHEMA.user_dense_names))
    assert inputs["pair_dense"].shape == (2, len(SCHEMA.pair_dense_names))
    width = sum(inputs[n].shape[1] for n in ("user_dense", "item_dense", "retrieval", "pair_dense"))
    assert feature_rows(inputs).shape == (2, width)


def test_a_longer_history_than_the_models_read_is_cut_to_its_newest() -> None:
    table, _ = table_of(0)
    inputs = ranker_inputs(user_of([0, 1, 2, 3, 4]), candidates_of([7]), table, SCHEMA, 3, DAY_US * 11)
    assert inputs["history_rows"].tolist() == [[3, 4, 5]]


def test_a_stranger_gets_the_features_of_nothing() -> None:
    table, _ = table_of(0)
    inputs = ranker_inputs(UserState(9), candidates_of([4, 5]), table, SCHEMA, 6, DAY_US)
    assert not inputs["history_rows"].any()
    assert not inputs["pair_dense"].any()
    assert inputs["user_dense"][0].tolist() == UserFeatures.empty(SCHEMA).dense(DAY_US).tolist()
    assert all(np.isfinite(a).all() for a in inputs.values())


def test_no_candidates_are_no_rows() -> None:
    table, _ = table_of(0)
    inputs = ranker_inputs(user_of([1]), candidates_of([]), table, SCHEMA, 6, DAY_US * 11)
    assert inputs["pair_dense"].shape == (0, len(SCHEMA.pair_dense_names))
    assert feature_rows(inputs).shape[0] == 0


def test_a_slate_is_ordered_by_weighed_scores_and_a_lone_score_by_itself() -> None:
    scores = np.array([[1.0, 0.5], [0.0, 2.0]], np.float32)
    assert slate_score(scores, ("engage", "like"), {"engage": 1.0, "like": 0.5}).tolist() == [1.25, 1.0]
    assert slate_score(scores, ("engage", "like"), {"engage": 1.0}).tolist() == [1.0, 0.0]
    assert slate_score(scores[:, 1:], ("engage", "like"), {"engage": 1.0}).tolist() == [0.5, 2.0]


def test_values_stored_without_bounds_are_read_within_them() -> None:
    table, _ = table_of(0)
    bounded = replace(SCHEMA, value_bounds={"rating": (1.0, 5.0)})
    rating, purchase = EVENT_TYPES["rating"].code, EVENT_TYPES["purchase"].code
    inputs = []
    for values in ([3.0, 1e12, 249.0], [3.0, 5.0, math.nan]):
        user = replace(
            user_of([0, 1, 2]),
            history_types=np.array([rating, rating, purchase]),
            history_values=np.array(values, np.float32),
        )
        inputs.append(ranker_inputs(user, candidates_of([4, 5]), table, bounded, 6, DAY_US * 11))
    for name in ("history_signals", "pair_dense"):
        assert np.array_equal(inputs[0][name], inputs[1][name]), name


def test_a_type_of_a_policys_own_is_unknown_to_the_models() -> None:
    table, _ = table_of(0)
    user = replace(user_of([0, 1, 2]), history_types=np.array([3, 40, 255]))
    inputs = ranker_inputs(user, candidates_of([4, 5]), table, SCHEMA, 6, DAY_US * 11)
    assert inputs["history_types"].tolist() == [[0, 0, 0, 3, 0, 0]]


def test_rows_that_came_after_the_bundle_are_lifted_as_the_manifest_says(tiny_bundles: tuple[Path, Path]) -> None:
    folder = current(tiny_bundles[1])
    assert folder is not None
    manifest = read_manifest(folder)
    count = manifest.item_count
    scores, rows = np.array([1.0, 2.0, np.nan, 4.0], np.float32), np.array([0, count, count + 1, count + 2], np.uint32)
    lifted = with_new_lift(scores, rows, replace(manifest, new_lift=-0.5))
    np.testing.assert_array_equal(lifted, np.array([1.0, 2.0, np.nan, 3.5], np.float32))
    assert lifted.dtype == np.float32
    np.testing.assert_array_equal(with_new_lift(scores, rows, replace(manifest, new_lift=0.0)), scores)
