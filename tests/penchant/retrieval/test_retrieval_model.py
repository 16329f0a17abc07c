"""The blend, against a plain reading of its definition; what each source proposes, and what comes when all fall."""

import itertools
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_bundle import generated, write_bundle

from penchant.bundle import verify
from penchant.item_table import ItemChange, ItemTable
from penchant.retrieval import RETRIEVAL_FEATURES, SOURCES, RetrievalModel, exact_search
from penchant.retrieval.remembered import Remembered
from penchant.trend import PRIOR_WEIGHT, TrendSnapshot
from training.data.split import split

COLUMN = {name: place for place, name in enumerate(RETRIEVAL_FEATURES)}


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> tuple[RetrievalModel, ItemTable]:
    dataset = generated()
    folder = write_bundle(dataset, split(dataset, "time-split"), tmp_path_factory.mktemp("bundles"))
    table = ItemTable.open(folder)
    embeddings = table.embeddings.base

    def tower(history_rows: Any) -> Any:
        return embeddings[history_rows].sum(axis=1)

    search = exact_search(embeddings)
    model = RetrievalModel.open(folder, verify(folder), tower, search, table.embeddings, table.content)
    rng = np.random.default_rng(0)
    model.neighbours = rng.integers(0, len(embeddings), (len(embeddings), 6)).astype(np.uint32)
    return model, table


HISTORIES = st.lists(st.integers(0, 60), max_size=10)


def allowed_without(table: ItemTable, forbidden: list[int]) -> Any:
    mask = table.allowed()
    mask[[row for row in forbidden if row < len(mask)]] = False
    mask[0] = False
    return mask


def plain_blend(model: RetrievalModel, table: ItemTable, history: list[int], row: int) -> float:
    """The definition in RetrievalSettings, for one row."""
    how = model.settings
    known = [r for r in history if r > 0]
    if not known:
        return float(model.trend_scores[row])
    vector = table.embeddings.base[known[-model.history_length :]].sum(axis=0)
    newest = known[::-1][:50]
    weights = [2 ** (-place / how.history_half_life) for place in range(len(newest))]
    mass = 0.0
    for item, weight in zip(newest, weights, strict=True):
        start, end = model.co_visitation.indptr[item : item + 2]
        for target, share in zip(
            model.co_visitation.targets[start:end], model.co_visitation.weights[start:end], strict=True
        ):
            mass += weight / sum(weights) * float(share) * (int(target) == row)
    dot = float(table.embeddings.base[row] @ vector)
    return (
        how.tower_weight * dot
        + (1 - how.tower_weight) * float(np.log(mass + how.floor))
        + how.trend_weight * float(model.trend_scores[row])
    )


@settings(max_examples=60, deadline=None)
@given(history=HISTORIES, forbidden=st.lists(st.integers(1, 60), max_size=60), k=st.sampled_from([1, 5, 30, 500]))
def test_every_row_scores_what_the_definition_says_best_first(
    opened: tuple[RetrievalModel, ItemTable], history: list[int], forbidden: list[int], k: int
) -> None:
    model, table = opened
    history = [row for row in history if row < table.row_count]
    allowed = allowed_without(table, forbidden)
    found, degraded = model.retrieve(np.array(history, np.int64), allowed, k)
    assert degraded == ()
    assert len(found.rows) == min(k, int(allowed.sum()))
    assert allowed[found.rows].all()
    assert len(np.unique(found.rows)) == len(found.rows)
    assert (found.source_bits > 0).all()
    expected = [plain_blend(model, table, history, int(row)) for row in found.rows]
    assert np.allclose(found.scores, expected, atol=1e-4)
    assert (np.diff(found.scores) <= 0).all()
    assert np.allclose(found.features[:, COLUMN["reciprocal_rank"]], 1 / np.sqrt(1 + np.arange(len(found.rows))))
    again, _ = model.retrieve(np.array(history, np.int64), allowed, k)
    assert np.array_equal(again.rows, found.rows)
    if k >= 60:  # All sources together reach everything here, so the order is the blend's alone.
        best = sorted(np.flatnonzero(allowed), key=lambda row: -plain_blend(model, table, history, int(row)))
        assert np.allclose([plain_blend(model, table, history, int(r)) for r in best], expected, atol=1e-4)


def test_bits_say_which_sources_proposed_a_row(opened: tuple[RetrievalModel, ItemTable]) -> None:
    model, table = opened
    history, allowed = np.array([3, 9, 14]), table.allowed()
    caller = np.array([7, 8], np.uint32)
    whole, _ = model.retrieve(history, allowed, 500, caller_rows=caller)
    alone: dict[str, set[int]] = {}
    for name in SOURCES:
        block, _ = model.retrieve(history, allowed, 500, (name,), caller)
        bit = np.uint32(1 << SOURCES.index(name))
        alone[name] = set(block.rows[(block.source_bits & bit) > 0].tolist())
    filled = set(whole.rows.tolist())
    for name in SOURCES:
        bit = np.uint32(1 << SOURCES.index(name))
        proposed = set(whole.rows[(whole.source_bits & bit) > 0].tolist())
        if name == "popular":  # What fills the list up counts as popular.
            assert alone[name] <= proposed | filled
        else:
            assert proposed == alone[name], name


def test_a_source_proposes_at_most_its_quota(opened: tuple[RetrievalModel, ItemTable]) -> None:
    model, table = opened
    small = dict.fromkeys(SOURCES, 4)
    whole, model.settings = model.settings, replace(model.settings, quotas=small)
    try:
        for name in SOURCES:
            if name == "popular":
                continue
            found, _ = model.retrieve(
                np.array([3, 9, 14]), table.allowed(), 500, (name,), np.arange(20, 40, dtype=np.uint32)
            )
            assert 0 < len(found.rows) <= 4, name
    finally:
        model.settings = whole


def test_a_lone_source_keeps_its_own_order(opened: tuple[RetrievalModel, ItemTable]) -> None:
    model, table = opened
    history, allowed = np.array([3, 9, 14]), table.allowed()
    caller = np.array([30, 4, 21, 4, 17], np.uint32)
    assert model.retrieve(history, allowed, 10, ("caller",), caller)[0].rows.tolist() == [30, 4, 21, 17]
    near, _ = model.retrieve(history, allowed, 500, ("content",))
    listed = [int(r) for r in np.asarray(model.neighbours)[[14, 9, 3]].T.ravel() if r]
    assert near.rows.tolist() == list(dict.fromkeys(listed))[:30]
    towered, _ = model.retrieve(history, allowed, 20, ("two_tower",))
    vector = table.embeddings.base[history].sum(axis=0)
    assert towered.rows.tolist() == exact_search(table.embeddings.base)(vector, 20, allowed)[0].tolist()


def test_a_source_that_has_nothing_gives_popular_items_instead(opened: tuple[RetrievalModel, ItemTable]) -> None:
    model, table = opened
    allowed = table.allowed()
    found, _ = model.retrieve(np.empty(0, np.int64), allowed, 500, ("caller",))
    assert len(found.rows) == int(allowed.sum())
    assert found.rows[:2].tolist() == [model.popular_rows[0, 0], model.popular_rows[1, 0]]
    late = found.rows[len(np.unique(model.popular_rows)) :]
    assert (np.diff(model.popular_scores[late]) <= 0).all()


class Fallen(Exception):
    """What a broken part raises."""


@pytest.mark.parametrize("parts", [p for n in (1, 2) for p in itertools.combinations(("tower", "search", "pairs"), n)])
def test_it_answers_whatever_falls(opened: tuple[RetrievalModel, ItemTable], parts: tuple[str, ...]) -> None:
    def broken(*arguments: Any) -> Any:
        raise Fallen

    class BrokenPairs:
        scores = broken

    whole, table = opened
    model = copy(whole)
    model.vectors, model.followers = Remembered(0), Remembered(0)
    for part in parts:
        setattr(model, "co_visitation" if part == "pairs" else part, BrokenPairs() if part == "pairs" else broken)
    found, degraded = model.retrieve(np.array([3, 9]), table.allowed(), 30)
    assert len(found.rows) == 30
    assert np.isfinite(found.scores).all()
    named = {"tower": "two_tower", "search": "two_tower", "pairs": "co_visitation"}
    assert {reason.partition(":")[0] for reason in degraded} == {named[part] for part in parts}


def test_new_items_are_searched_with_the_bundle_s_and_come_first_among_the_fresh(
    opened: tuple[RetrievalModel, ItemTable],
) -> None:
    model, whole = opened
    table = whole.view()
    vector = table.embeddings.base[[3, 9]].sum(axis=0)
    changes = [ItemChange(i, 10_000 + i, f"n{i}", created_us=i) for i in range(1, 41)]

    def embed(changes: Any, content: Any) -> Any:
        return np.linspace(0, 5, len(content), dtype=np.float32)[:, None] * vector

    table.apply(changes, np.zeros((40, 256), np.float32), embed)
    over = model.over(table)
    allowed = table.allowed()
    found, _ = over.retrieve(np.array([3, 9]), allowed, 10, ("two_tower",))
    every = np.concatenate([table.embeddings.base, table.embeddings.extra]) @ vector
    assert np.allclose(np.sort(every[found.rows])[::-1], np.sort(every[1:])[::-1][:10], atol=1e-4)
    assert found.rows[0] == table.row_count - 1
    fresh, _ = over.retrieve(np.empty(0, np.int64), allowed, 20, ("fresh",))
    assert fresh.rows.tolist() == list(range(table.row_count - 1, table.row_count - 21, -1))
    allowed[table.row_count - 1] = False
    assert table.row_count - 1 not in over.retrieve(np.array([3, 9]), allowed, 500)[0].rows
    assert model.delta_rows.size == 0


def test_a_new_item_is_taken_to_be_followed_and_popular_as_the_tower_s_candidates_are(
    opened: tuple[RetrievalModel, ItemTable],
) -> None:
    """Nobody could go on to it yet: the floor of co-visitation would put it below everything."""
    model, whole = opened
    table = whole.view()
    history = np.array([3, 7, 9])
    twin = int(model.retrieve(history, table.allowed(), 20, ("two_tower",))[0].rows[0])

    def embed(changes: Any, content: Any) -> Any:
        return table.embeddings.base[[twin]]

    table.apply([ItemChange(1, 10_000, "new", created_us=1)], np.zeros((1, 256), np.float32), embed)
    found, _ = model.over(table).retrieve(history, table.allowed(), 500)
    new = int(np.flatnonzero(found.rows == table.row_count - 1)[0])
    tower = np.flatnonzero((found.source_bits & 1 > 0) & (found.rows < table.row_count - 1))
    for name in ("co_visitation", "last_co_visitation", "popular"):
        mean = found.features[tower, COLUMN[name]].mean()
        assert found.features[new, COLUMN[name]] == pytest.approx(mean, abs=1e-4)
    dot = found.features[new, COLUMN["two_tower"]]
    assert dot == pytest.approx(found.features[found.rows == twin, COLUMN["two_tower"]][0], abs=1e-4)
    how = model.settings
    rest = found.features[tower, 0] - how.tower_weight * found.features[tower, COLUMN["two_tower"]]
    assert found.scores[new] == pytest.approx(how.tower_weight * dot + rest.mean(), abs=1e-4)


def test_new_items_like_what_the_user_met_last_are_proposed_by_content_the_newest_of_equals_first(
    opened: tuple[RetrievalModel, ItemTable],
) -> None:
    model, table = opened
    items = table.view()
    like, unlike = table.content.base[5], -table.content.base[5]
    changes = [ItemChange(n, 10**6 + n, f"new {n}") for n in range(1, 41)]
    items.apply(changes, np.stack([like if n % 2 else unlike for n in range(1, 41)]))
    late = model.over(items)
    rows = late.retrieve(np.array([5]), items.allowed(), 30, ("content",))[0].rows.tolist()
    like_it = [table.row_count + n - 1 for n in range(39, 0, -2)]
    assert rows[:15] == like_it[:15]
    allowed = items.allowed()
    allowed[like_it[0]] = False
    assert late.retrieve(np.array([5]), allowed, 30, ("content",))[0].rows.tolist()[:15] == like_it[1:16]


def test_new_items_that_the_blend_puts_last_have_a_fifth_of_the_places_and_the_rest_keep_their_order(
    opened: tuple[RetrievalModel, ItemTable],
) -> None:
    model, table = opened
    items = table.view()
    dim = table.embeddings.shape[1]
    changes = [ItemChange(n, 10**6 + n, f"new {n}") for n in range(1, 5)]
    far = -100.0 * table.embeddings.base[1:4].sum(axis=0)
    items.apply(
        changes, np.ones((4, table.content.shape[1]), np.float32), lambda changes, content: np.tile(far, (4, 1))
    )
    late = model.over(items)
    history = np.array([1, 2, 3])
    assert far.shape == (dim,)
    without = items.allowed()
    without[table.row_count :] = False
    plain = late.retrieve(history, without, 20)[0].rows.tolist()
    rows = late.retrieve(history, items.allowed(), 20)[0].rows.tolist()
    assert rows[:16] == plain[:16]
    assert all(row >= table.row_count for row in rows[16:])


def test_a_history_of_items_newer_than_the_bundle_leads_to_what_is_like_them(
    opened: tuple[RetrievalModel, ItemTable],
) -> None:
    model, whole = opened
    table = whole.view()
    like = table.content.base[5]
    table.apply([ItemChange(1, 10_001, "n1")], like[None])
    row = table.row_count - 1
    found, _ = model.over(table).retrieve(np.array([row]), allowed_without(table, [row]), 4, ("content",))
    assert (table.content[found.rows] @ like > 0.99).all()


def test_similar_users_leave_out_the_asker(opened: tuple[RetrievalModel, ItemTable]) -> None:
    model, _ = opened
    keys, scores = model.similar_users(int(model.user_keys[7]), np.asarray(model.user_embeddings[7]), 500)
    assert int(model.user_keys[7]) not in keys
    assert len(keys) == len(model.user_keys) - 1
    assert (np.diff(scores) <= 1e-6).all()


NOW_US = 1_780_000_000_000_000


def trending(table: ItemTable, rows: list[int], weights: list[float]) -> TrendSnapshot:
    return TrendSnapshot(NOW_US, table.keys_of(np.array(rows)), np.array(weights, np.float32))


def test_what_is_trending_is_what_a_stranger_gets_first(opened: tuple[RetrievalModel, ItemTable]) -> None:
    model, table = opened
    rare = int(np.argmin(model.trend_scores[1:])) + 1
    nobody = np.empty(0, np.int64)
    live = model.over(table, trending(table, [rare], [50.0]), NOW_US)
    for sources in ((), ("popular",)):
        before = model.retrieve(nobody, table.allowed(), 10, sources)[0]
        now = live.retrieve(nobody, table.allowed(), 10, sources)[0]
        assert rare not in before.rows[:3].tolist()
        assert now.rows[0] == rare
    expected = np.log(np.exp(model.trend_scores[rare]) + 50.0 / PRIOR_WEIGHT)
    assert now.features[0, COLUMN["blend"]] == pytest.approx(expected, rel=1e-5)
    assert now.features[0, COLUMN["popular"]] == model.popular_scores[rare]  # What the ranker learnt of it stays.


def test_trends_fade_and_never_were_in_a_request_about_the_past(opened: tuple[RetrievalModel, ItemTable]) -> None:
    model, table = opened
    rare = int(np.argmin(model.trend_scores[1:])) + 1
    trend = trending(table, [rare], [50.0])
    before = model.retrieve(np.empty(0, np.int64), table.allowed(), 10)[0]
    for as_of_us in (NOW_US + 24 * 3600 * 1_000_000, NOW_US - 3600 * 1_000_000):
        then = model.over(table, trend, as_of_us).retrieve(np.empty(0, np.int64), table.allowed(), 10)[0]
        assert np.array_equal(then.rows, before.rows)
        assert np.array_equal(then.scores, before.scores)


def test_a_trend_takes_half_of_the_popular_places_at_most_and_only_what_is_allowed(
    opened: tuple[RetrievalModel, ItemTable],
) -> None:
    model, table = opened
    model = copy(model)
    model.settings = replace(model.settings, quotas={**model.settings.quotas, "popular": 10})
    rows = list(range(1, 41))
    live = model.over(table, trending(table, rows, [5.0 + row for row in rows]), NOW_US)
    allowed = allowed_without(table, [40, 39])
    proposed = live._popular_first(allowed, 10).tolist()
    assert set(proposed[:5]) <= set(rows) - {39, 40}
    assert proposed[5:] == [row for row in model._popular_first(allowed, 10).tolist() if row not in proposed[:5]][:5]


def test_an_item_that_the_bundle_does_not_know_can_trend(opened: tuple[RetrievalModel, ItemTable]) -> None:
    model, table = opened
    table = table.view()
    change = ItemChange(1, 77, "new", attributes={"genre": "drama"})
    table.apply([change], table.content_of([change]))
    row = int(table.rows_of(np.array([77]))[0])
    assert row > table.bundle_rows
    live = model.over(table, trending(table, [row], [100.0]), NOW_US)
    assert live.retrieve(np.empty(0, np.int64), table.allowed(), 5)[0].rows[0] == row
