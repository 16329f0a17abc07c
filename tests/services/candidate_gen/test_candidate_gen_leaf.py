"""Candidates of a real bundle: what may be returned, new items, similar items and users, and bad input."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penchant.errors import InvalidArgument, UnknownBundle
from penchant.ids import key, keys
from penchant.item_table import ItemChange
from penchant.leaves import Condition, RetrievalQuery, UserState
from penchant.retrieval import SOURCES
from services.candidate_gen.leaf import CandidateGen
from services.runtime.bundles import BundleHolder
from services.runtime.items import ItemFeed
from services.runtime.loaded import LoadedBundle, load_bundle

Holder = BundleHolder[LoadedBundle]


def user(*items: int, seen: tuple[int, ...] = (), hidden: tuple[int, ...] = ()) -> UserState:
    history = keys("", [f"i{i}" for i in items])
    count = len(history)
    return UserState(
        key("", "u1"), True, history, np.arange(count), np.full(count, 2), np.full(count, np.nan, np.float32),
        np.sort(keys("", [f"i{i}" for i in seen])), np.sort(keys("", [f"i{i}" for i in hidden])),
    )  # fmt: skip


def query(state: UserState, **options: Any) -> RetrievalQuery:
    return RetrievalQuery("walks-1", state, **{"max_candidates": 20, "as_of_us": 1, **options})


@pytest.fixture
async def feed() -> ItemFeed:
    return ItemFeed()


@pytest.fixture
async def holder(pristine: Path, feed: ItemFeed) -> AsyncIterator[Holder]:
    def opened(folder: Path, manifest: Any) -> LoadedBundle:
        bundle = load_bundle(folder, manifest, ranking=False)
        feed.attach(bundle.table, bundle.embed)
        return bundle

    held: Holder = BundleHolder(pristine, opened, poll_s=1000)
    await held.start()
    yield held
    await held.stop()


@pytest.fixture
def leaf(holder: Holder) -> CandidateGen:
    return CandidateGen(holder)


def ids_of(holder: Holder, rows: Any) -> list[str]:
    return [holder.newest.table.ids[row] for row in rows]


async def ids(leaf: CandidateGen, holder: Holder, state: UserState, **options: Any) -> list[str]:
    retrieved = await leaf.retrieve(query(state, **options), 1.0)
    found = retrieved.candidates
    assert len(np.unique(found.rows)) == len(found.rows) <= options.get("max_candidates", 20)
    assert (np.diff(found.scores) <= 0).all()
    assert (found.source_bits > 0).all()
    assert np.isfinite(found.features).all()
    return ids_of(holder, found.rows)


async def test_what_users_went_on_to_comes_first(leaf: CandidateGen, holder: Holder) -> None:
    first = (await ids(leaf, holder, user(10, 12, 14)))[:8]
    assert len({"i15", "i16", "i17", "i18", "i19"} & set(first)) >= 3


async def test_seen_hidden_and_excluded_items_do_not_return(leaf: CandidateGen, holder: Holder) -> None:
    state = user(10, 12, 14, seen=(10, 12, 14, 15), hidden=(16,))
    forbidden = {"i10", "i12", "i14", "i15", "i16", "i17"}
    assert not forbidden & set(await ids(leaf, holder, state, excluded_keys=keys("", ["i17"]), max_candidates=2000))
    with_seen = await ids(leaf, holder, state, include_seen=True, max_candidates=2000)
    assert {"i10", "i12", "i14", "i15", "i17"} <= set(with_seen)
    assert "i16" not in with_seen


async def test_conditions_hold_for_every_candidate(leaf: CandidateGen, holder: Holder) -> None:
    western = Condition("genre", any_of=("western",))
    cheap = Condition("price", maximum=30)
    found = await ids(leaf, holder, user(10, 12), conditions=(western, cheap), max_candidates=2000)
    assert found
    assert set(found) <= {f"i{i}" for i in range(31) if i % 3 == 2}
    others = await ids(leaf, holder, user(10, 12), conditions=(replace(western, negate=True),), max_candidates=2000)
    assert not {f"i{i}" for i in range(61) if i % 3 == 2} & set(others)


async def test_everything_that_is_left_comes_when_it_is_asked_for(leaf: CandidateGen, holder: Holder) -> None:
    everything = set(holder.newest.table.ids[1:])
    assert set(await ids(leaf, holder, user(), max_candidates=2000)) == everything
    assert set(await ids(leaf, holder, user(10), max_candidates=2000)) == everything
    last = sorted(everything)[0]
    seen_rest = replace(user(10), seen_keys=np.sort(keys("", everything - {last})))
    assert await ids(leaf, holder, seen_rest) == [last]
    for source in SOURCES:
        assert await ids(leaf, holder, seen_rest, sources=(source,)) == [last]


async def test_nothing_allowed_gives_nothing(leaf: CandidateGen, holder: Holder) -> None:
    assert await ids(leaf, holder, user(10), conditions=(Condition("price", minimum=1e9),)) == []
    assert await ids(leaf, holder, user(10), conditions=(Condition("genre", any_of=("horror",)),)) == []


async def test_ten_thousand_exclusions_and_unknown_keys_are_taken(leaf: CandidateGen, holder: Holder) -> None:
    rng = np.random.default_rng(1)
    strangers = rng.integers(-(2**63), 2**63, 10_000)
    state = replace(user(10), history_keys=np.array([1, 2, 3]), history_values=np.zeros(3, np.float32))
    assert len(await ids(leaf, holder, state, excluded_keys=strangers, caller_keys=strangers[:1000])) == 20


async def test_the_caller_s_own_candidates_take_part(leaf: CandidateGen, holder: Holder) -> None:
    own = keys("", ["i40", "i41", "nowhere"])
    retrieved = await leaf.retrieve(query(user(10), caller_keys=own, sources=("caller",)), 1.0)
    assert ids_of(holder, retrieved.candidates.rows)[:2] == ["i40", "i41"]
    everyone = (await leaf.retrieve(query(user(10), caller_keys=own, max_candidates=2000), 1.0)).candidates
    bit = 1 << SOURCES.index("caller")
    assert set(ids_of(holder, everyone.rows[(everyone.source_bits & bit) > 0])) == {"i40", "i41"}


async def test_an_item_written_a_moment_ago_is_found_and_travels_with_its_key(
    leaf: CandidateGen, holder: Holder, feed: ItemFeed
) -> None:
    new = key("", "brand-new")
    feed.apply([ItemChange(1, new, "brand-new", attributes={"genre": "drama", "price": 3.5})])
    retrieved = await leaf.retrieve(query(user(10, 12), max_candidates=2000), 1.0)
    found = retrieved.candidates
    assert retrieved.item_table_position == 1
    assert "brand-new" in ids_of(holder, found.rows)
    assert found.keys.tolist() == holder.newest.table.keys_of(found.rows).tolist()
    assert holder.newest.table.embeddings[holder.newest.table.rows_of(np.array([new]))].any()
    cheap = (Condition("price", minimum=3.4, maximum=3.6), Condition("genre", any_of=("drama",)))
    assert await ids(leaf, holder, user(10), conditions=cheap) == ["brand-new"]
    assert "brand-new" in await ids(leaf, holder, user(), sources=("fresh",))
    assert "brand-new" in await ids(leaf, holder, user(10, 12), sources=("two_tower",), max_candidates=2000)
    feed.apply([ItemChange(2, new, "brand-new", available=False)])
    assert "brand-new" not in await ids(leaf, holder, user(10), max_candidates=2000)


async def test_an_item_taken_off_sale_is_gone_at_once_and_may_come_back(
    leaf: CandidateGen, holder: Holder, feed: ItemFeed
) -> None:
    feed.apply([ItemChange(1, key("", "i20"), "i20", available=False), ItemChange(2, key("", "i21"), "i21", True)])
    assert not {"i20", "i21"} & set(await ids(leaf, holder, user(18, 19), max_candidates=2000))
    feed.apply([ItemChange(3, key("", "i20"), "i20"), ItemChange(4, key("", "i21"), "i21")])
    assert {"i20", "i21"} <= set(await ids(leaf, holder, user(18, 19), max_candidates=2000))


async def test_similar_items_are_those_visited_with_it(leaf: CandidateGen, holder: Holder) -> None:
    found = await ids(leaf, holder, user(), similar_to_keys=keys("", ["i30"]))
    assert "i30" not in found
    assert len({f"i{i}" for i in range(31, 37)} & set(found[:6])) >= 3
    retrieved = await leaf.retrieve(query(user(), similar_to_keys=keys("", ["nowhere"])), 1.0)
    assert len(retrieved.candidates.rows) == 20
    assert retrieved.degraded_sources[0].startswith("similar_to:")


async def test_a_new_item_has_similar_ones_by_content(leaf: CandidateGen, holder: Holder, feed: ItemFeed) -> None:
    new = key("", "brand-new")
    feed.apply([ItemChange(1, new, "brand-new", attributes={"genre": "western"})])
    found = await ids(leaf, holder, user(), similar_to_keys=np.array([new]), max_candidates=5)
    assert set(found) <= {f"i{i}" for i in range(61) if i % 3 == 2}


async def test_similar_users_are_users_and_never_the_asker(leaf: CandidateGen) -> None:
    retrieved = await leaf.retrieve(query(user(10, 12), similar_users=True, max_candidates=5), 1.0)
    assert len(retrieved.similar_user_keys) == 5
    assert key("", "u1") not in retrieved.similar_user_keys
    assert (np.diff(retrieved.similar_user_scores) <= 0).all()
    assert (np.abs(retrieved.similar_user_scores) <= 1 + 1e-5).all()
    assert len(retrieved.candidates.rows) == 0
    nobody = await leaf.retrieve(query(user(), similar_users=True), 1.0)
    assert len(nobody.similar_user_keys) == 0


async def test_bad_queries_name_the_field(leaf: CandidateGen) -> None:
    for options, field in (
        ({"max_candidates": 0}, "max_candidates"),
        ({"max_candidates": 2001}, "max_candidates"),
        ({"sources": ("two_tower", "gut_feeling")}, r"sources\[1\]"),
        ({"conditions": (Condition("colour", any_of=("red",)),)}, r"filter.conditions\[0\].attribute"),
        ({"conditions": (Condition("genre"),)}, r"filter.conditions\[0\].any_of"),
        ({"conditions": (Condition("price", any_of=("3",)),)}, r"filter.conditions\[0\]"),
    ):
        with pytest.raises(InvalidArgument, match=field):
            await leaf.retrieve(query(user(10), **options), 1.0)
    with pytest.raises(UnknownBundle, match="'other' is not held"):
        await leaf.retrieve(replace(query(user(10)), bundle_version="other"), 1.0)


async def test_a_failed_source_degrades_but_answers(leaf: CandidateGen, holder: Holder) -> None:
    model = holder.newest.retrieval
    assert model is not None

    def broken(history_rows: Any) -> Any:
        raise RuntimeError("the tower fell")

    whole, model.tower = model.tower, broken
    try:
        retrieved = await leaf.retrieve(query(user(10, 12)), 1.0)
    finally:
        model.tower = whole
    assert len(retrieved.candidates.rows) == 20
    assert [reason.partition(":")[0] for reason in retrieved.degraded_sources] == ["two_tower"]
    assert leaf.numbers()["degraded_two_tower"] == 1.0
