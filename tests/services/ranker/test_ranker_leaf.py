"""Scores of a real bundle: in request order, over the same inputs as training, and bad input."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penchant.errors import BundleMismatch, InvalidArgument, UnknownBundle
from penchant.features import UserFeatures
from penchant.ids import key, keys
from penchant.item_table import ItemChange
from penchant.leaves import Candidates, RankingQuery, UserState
from penchant.ranking import feature_rows, ranker_inputs
from penchant.retrieval import RETRIEVAL_FEATURES, SOURCES
from services.ranker.leaf import Ranker
from services.runtime.bundles import BundleHolder
from services.runtime.items import ItemFeed
from services.runtime.loaded import LoadedBundle, load_bundle

Holder = BundleHolder[LoadedBundle]
AS_OF = 90 * 86_400_000_000


@pytest.fixture
async def feed() -> ItemFeed:
    return ItemFeed()


@pytest.fixture
async def holder(pristine: Path, feed: ItemFeed) -> AsyncIterator[Holder]:
    def opened(folder: Path, manifest: Any) -> LoadedBundle:
        bundle = load_bundle(folder, manifest, retrieval=False)
        feed.attach(bundle.table, bundle.embed)
        return bundle

    held: Holder = BundleHolder(pristine, opened, poll_s=1000)
    await held.start()
    yield held
    await held.stop()


@pytest.fixture
def leaf(holder: Holder) -> Ranker:
    return Ranker(holder)


@pytest.fixture
def user(holder: Holder) -> UserState:
    history = keys("", ["i10", "i12", "gone"])
    features = UserFeatures.empty(holder.newest.schema)
    features.apply_columns(
        history, np.full(3, 2), np.full(3, np.nan), np.array([AS_OF - 3_000_000, AS_OF - 2_000_000, AS_OF])
    )
    return features.state(key("", "u1"), AS_OF)


def block(rows: list[int], blend: list[float] | None = None) -> Candidates:
    count = len(rows)
    features = np.zeros((count, len(RETRIEVAL_FEATURES)), np.float32)
    features[:, 0] = np.arange(count, 0, -1) if blend is None else blend
    return Candidates(
        np.array(rows, np.uint32), features[:, 0], np.ones(count, np.uint32), features, SOURCES
    )  # fmt: skip


def query(user: UserState, candidates: Candidates, **options: Any) -> RankingQuery:
    return RankingQuery("walks-1", user, candidates, AS_OF, **options)


async def test_scores_come_in_request_order(leaf: Ranker, holder: Holder, user: UserState) -> None:
    rows = [7, 3, 30, 12]
    ranked = await leaf.rank(query(user, block(rows)), 1.0)
    assert ranked.tasks == ("engage",)
    expected = np.array([4, 3, 2, 1]) + holder.newest.table.features[np.array(rows)][:, 0]
    assert np.allclose(ranked.scores[:, 0], expected, atol=1e-5)
    turned = await leaf.rank(query(user, block(rows[::-1], [1, 2, 3, 4])), 1.0)
    assert np.allclose(turned.scores, ranked.scores[::-1], atol=1e-6)


async def test_the_features_it_returns_are_those_that_training_computes(
    leaf: Ranker, holder: Holder, user: UserState
) -> None:
    bundle = holder.newest
    candidates = block([7, 3])
    ranked = await leaf.rank(query(user, candidates, return_features=True), 1.0)
    inputs = ranker_inputs(user, candidates, bundle.table, bundle.schema, bundle.manifest.history_length, AS_OF)
    assert ranked.features is not None
    assert np.array_equal(ranked.features, feature_rows(inputs).astype(np.float32))
    assert (await leaf.rank(query(user, candidates), 1.0)).features is None


async def test_an_item_newer_than_the_bundle_is_scored_and_found_by_its_key(
    leaf: Ranker, holder: Holder, feed: ItemFeed, user: UserState
) -> None:
    feed.apply([ItemChange(1, key("", "new"), "new", attributes={"genre": "drama"})])
    elsewhere = replace(block([3, 999]), keys=np.array([holder.newest.table.keys[3], key("", "new")]))
    ranked = await leaf.rank(query(user, elsewhere), 1.0)
    assert ranked.item_table_position == 1
    assert np.isfinite(ranked.scores).all()
    not_here = replace(block([3, 999]), keys=np.array([holder.newest.table.keys[3], key("", "later")]))
    assert np.isfinite((await leaf.rank(query(user, not_here), 1.0)).scores).all()


async def test_strangers_and_no_candidates_are_answered(leaf: Ranker) -> None:
    ranked = await leaf.rank(query(UserState(0), block([1, 2])), 1.0)
    assert ranked.scores.shape == (2, 1)
    assert np.isfinite(ranked.scores).all()
    nothing = await leaf.rank(query(UserState(0), block([])), 1.0)
    assert nothing.scores.shape == (0, 1)


async def test_scores_that_are_no_number_are_passed_on_and_counted(leaf: Ranker, user: UserState) -> None:
    ranked = await leaf.rank(query(user, block([1, 2, 3], [np.nan, np.inf, 1.0])), 1.0)
    assert np.isfinite(ranked.scores[:, 0]).tolist() == [False, False, True]
    assert leaf.numbers() == {"scores": 3.0, "scores_not_finite": 2.0}


async def test_bad_queries_name_the_field(leaf: Ranker, user: UserState) -> None:
    with pytest.raises(InvalidArgument, match="row 62 is beyond the"):
        await leaf.rank(query(user, block([1, 62])), 1.0)
    with pytest.raises(InvalidArgument, match="at most 2000"):
        await leaf.rank(query(user, block([1] * 2001)), 1.0)
    narrow = replace(block([1]), features=np.zeros((1, 2), np.float32))
    with pytest.raises(InvalidArgument, match=r"candidates\.features: 2 features"):
        await leaf.rank(query(user, narrow), 1.0)
    with pytest.raises(BundleMismatch, match="the user has 3 features"):
        await leaf.rank(query(replace(user, dense=np.zeros(3, np.float32)), block([1])), 1.0)
    with pytest.raises(UnknownBundle, match="'other' is not held"):
        await leaf.rank(replace(query(user, block([1])), bundle_version="other"), 1.0)


async def test_a_trained_bundle_loads_and_its_golden_rows_hold(tiny_bundles: tuple[Path, Path]) -> None:
    held: Holder = BundleHolder(tiny_bundles[1], load_bundle, poll_s=1000)
    await held.start()
    assert held.refused == ""
    bundle = held.newest
    assert bundle.retrieval is not None
    candidates, degraded = bundle.retrieval.retrieve(np.array([1, 2, 3]), bundle.table.allowed(), 50)
    assert degraded == ()
    ranked = await Ranker(held).rank(RankingQuery(bundle.version, UserState(0), candidates, AS_OF), 1.0)
    assert ranked.scores.shape == (len(candidates.rows), len(bundle.manifest.tasks))
    assert np.isfinite(ranked.scores).all()
    await held.stop()
