"""The request path over fakes: always an answer, never the wrong one."""

import asyncio
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from penchant.errors import InvalidArgument, ServiceUnavailable, UnknownBundle
from penchant.ids import key, keys
from penchant.item_table import ItemChange
from penchant.leaves import Condition, FetchedUsers, UserState
from penchant.policy import Placement
from penchant.trend import TrendSnapshot


async def test_the_slate_is_ordered_by_weighed_task_scores(world: Any) -> None:
    slate = await world.door.recommend(world.query("ann"), None)
    assert slate.rows.tolist() == [20, 19, 18, 17, 16]
    assert slate.scores.tolist() == [40.0, 38.0, 36.0, 34.0, 32.0]
    assert slate.tasks == ("like", "buy")
    assert slate.propensities.tolist() == [1.0] * 5
    assert slate.query.degraded.stages == []


async def test_retrieval_order_is_served_when_asked_for(world: Any) -> None:
    slate = await world.door.recommend(world.query("ann", ranked=False), None)
    assert slate.rows.tolist() == [1, 2, 3, 4, 5]
    assert world.ranker.asked == []


async def test_a_dead_store_leaves_a_stranger_and_says_so(world: Any, store_down: Exception) -> None:
    world.store.error = store_down
    slate = await world.door.recommend(world.query("ann", minimum_position=3), None)
    assert len(slate) == 5
    assert slate.query.degraded.stages == ["hydrate_query:StoreUnavailable"]
    assert not slate.query.token_satisfied


async def test_another_users_state_is_never_used(world: Any) -> None:
    class Confused:
        async def fetch_users(self, *_: Any) -> FetchedUsers:
            return FetchedUsers((UserState(99, True, seen_keys=np.array([1])),), 0, 0)

    world.door.pipeline = replace(
        world.door.pipeline, user_hydrator=replace(world.door.pipeline.user_hydrator, leaf=Confused())
    )
    slate = await world.door.recommend(world.query("ann"), None)
    assert (slate.query.user.user_key, slate.query.user.found) == (key("", "ann"), False)
    assert slate.query.degraded.stages == ["hydrate_query:StoreUnavailable"]


async def test_failed_retrieval_gives_popular_items_still_ranked(world: Any) -> None:
    world.retrieval.error = ServiceUnavailable("down")
    world.know("ann", seen=["i1"], hidden=["i2"])
    slate = await world.door.recommend(world.query("ann", max_items=100), None)
    assert slate.query.degraded.stages == ["retrieve:ServiceUnavailable"]
    assert set(world.ids(slate)) == {f"i{n}" for n in range(3, 21)}
    assert slate.tasks
    block = world.ranker.asked[0].candidates
    assert (np.diff(block.scores) <= 0).all()
    assert block.features.shape[1] == 7


async def test_a_failed_ranker_leaves_retrieval_order(world: Any) -> None:
    world.ranker.error = RuntimeError("a fault")
    slate = await world.door.recommend(world.query("ann"), None)
    assert slate.rows.tolist() == [1, 2, 3, 4, 5]
    assert slate.query.degraded.stages == ["score:RuntimeError"]
    assert slate.task_scores is None


@pytest.mark.parametrize(
    ("slow", "stage"),
    [
        ("store", "hydrate_query:deadline"),
        ("retrieval", "retrieve:deadline"),
        ("ranker", "score:deadline"),
    ],
)
async def test_a_slow_leaf_is_cut_short_within_the_deadline(world: Any, slow: str, stage: str) -> None:
    getattr(world, slow).delay_s = 10.0
    started = time.monotonic()
    slate = await world.door.recommend(world.query("ann", deadline_s=0.5), None)
    assert time.monotonic() - started < 5.0
    assert slate.query.degraded.stages == [stage]
    assert len(slate) == 5


async def test_everything_slow_still_answers_in_time(world: Any) -> None:
    for leaf in (world.store, world.retrieval, world.ranker):
        leaf.delay_s = 10.0
    started = time.monotonic()
    slate = await world.door.recommend(world.query("ann", deadline_s=0.5), None)
    assert time.monotonic() - started < 5.0
    assert len(slate) == 5


async def test_no_time_at_all_gives_popular_items(world: Any) -> None:
    slate = await world.door.recommend(world.query("ann", deadline_s=0.0), None)
    assert slate.rows.tolist() == [20, 19, 18, 17, 16]
    assert [s.split(":")[0] for s in slate.query.degraded.stages] == ["hydrate_query", "retrieve", "score"]


async def test_scores_that_are_no_number_sink_and_the_answer_is_finite(world: Any) -> None:
    def score(rows: np.ndarray) -> np.ndarray:
        scores = rows.astype(np.float32)
        scores[rows == 20] = np.nan
        scores[rows == 19] = np.inf
        return scores

    world.ranker.score = score
    slate = await world.door.recommend(world.query("ann", max_items=20), None)
    assert slate.rows.tolist()[:3] == [18, 17, 16]
    assert sorted(slate.rows.tolist()[-2:]) == [19, 20]
    assert np.isfinite(slate.scores).all()
    assert np.isfinite(slate.task_scores).all()
    assert slate.query.degraded.stages == ["score:2 scores not finite"]


async def test_only_bad_scores_mean_retrieval_order(world: Any) -> None:
    world.ranker.score = lambda rows: np.full(len(rows), np.nan, np.float32)
    slate = await world.door.recommend(world.query("ann"), None)
    assert slate.rows.tolist() == [1, 2, 3, 4, 5]


async def test_filters_hold_where_retrieval_does_not(world: Any) -> None:
    world.retrieval.blind = True
    world.know("ann", seen=["i1"], hidden=["i2"])
    query = world.query("ann", max_items=30, excluded_keys=keys("", ["i3"]))
    slate = await world.door.recommend(query, None)
    assert set(world.ids(slate)) == {f"i{n}" for n in range(4, 21)}
    _, _, removed = world.effects[0]
    assert {name: len(k) for name, k in removed.by_filter.items()} == {"hidden": 1, "excluded": 1, "seen": 1}


async def test_hidden_items_stay_away_where_seen_ones_return(world: Any) -> None:
    world.know("ann", seen=["i1", "i2"], hidden=["i2"])
    slate = await world.door.recommend(world.query("ann", max_items=30, include_seen=True), None)
    assert "i1" in world.ids(slate)
    assert "i2" not in world.ids(slate)


async def test_one_more_round_fills_what_filters_took(world: Any) -> None:
    world.retrieval.blind = True
    table = world.catalogues["b1"].table
    world.know("ann", seen=[table.ids[r] for r in (1, 2, 3)])
    placement = Placement(max_candidates=5)
    slate = await world.door.recommend(world.query("ann", placement=placement), None)
    assert sorted(slate.rows.tolist()) == [6, 7, 8, 9, 10]
    assert world.ranker.asked[0].candidates.rows.tolist() == [4, 5, 6, 7, 8, 9, 10]
    assert len(world.retrieval.asked) == 2


async def test_a_user_who_has_seen_everything_sees_it_again_but_nothing_hidden(world: Any) -> None:
    everything = [f"i{n}" for n in range(1, 21)]
    world.know("ann", seen=everything, hidden=["i1"])
    slate = await world.door.recommend(world.query("ann"), None)
    assert len(slate) == 5
    assert "i1" not in world.ids(slate)
    assert slate.query.degraded.stages == ["filter_seen:nothing unseen is left"]


async def test_sources_that_find_nothing_are_widened(world: Any) -> None:
    slate = await world.door.recommend(world.query("ann", sources=("co_visitation",)), None)
    assert len(slate) == 5
    assert slate.query.degraded.stages == ["retrieve:nothing from the sources asked for"]


async def test_everything_excluded_is_an_empty_slate_that_says_why(world: Any) -> None:
    query = world.query("ann", excluded_keys=keys("", [f"i{n}" for n in range(1, 21)]))
    slate = await world.door.recommend(query, None)
    assert len(slate) == 0
    assert slate.query.degraded.stages == ["select:no item meets the request's filter and exclusions"]


async def test_k_above_the_catalogue_gives_the_catalogue(world: Any) -> None:
    slate = await world.door.recommend(world.query("ann", max_items=1000), None)
    assert sorted(slate.rows.tolist()) == list(range(1, 21))


async def test_conditions_reach_retrieval_and_the_fallback(world: Any) -> None:
    red = (Condition("colour", ("red",)),)
    ids = world.ids(await world.door.recommend(world.query("ann", conditions=red, max_items=30), None))
    world.retrieval.error = ServiceUnavailable("down")
    again = world.ids(await world.door.recommend(world.query("ann", conditions=red, max_items=30), None))
    assert set(ids) == set(again) == {f"i{n}" for n in range(1, 21, 2)}


async def test_an_unknown_attribute_is_the_callers_fault(world: Any) -> None:
    query = world.query("ann", conditions=(Condition("weight", ("1",)),))
    with pytest.raises(InvalidArgument, match=r"filter.conditions\[0\].attribute"):
        await world.door.recommend(query, None)


async def test_a_leaf_without_the_bundle_is_asked_for_the_older_one(world: Any, more_of: Any) -> None:
    new, old = more_of("b2"), world.catalogues["b1"]
    world.retrieval.catalogues = {"b1": old, "b2": new}
    slate = await world.door.recommend(world.query("ann", catalogue=new), old)
    assert slate.query.catalogue.version == "b1"
    assert slate.query.degraded.stages == []
    assert [q.bundle_version for q in world.retrieval.asked] == ["b2", "b1"]


async def test_without_an_older_bundle_the_stage_degrades(world: Any, more_of: Any) -> None:
    slate = await world.door.recommend(world.query("ann", catalogue=more_of("b2")), None)
    assert slate.query.degraded.stages == ["retrieve:UnknownBundle", "score:UnknownBundle"]
    assert len(slate) == 5


async def test_before_the_first_bundle_the_refusal_says_what_to_do(world: Any) -> None:
    world.catalogues.clear()
    with pytest.raises(UnknownBundle, match="python -m training fit"):
        world.door.catalogues()


async def test_an_item_that_was_taken_off_is_not_shown_though_retrieval_has_it(world: Any, more_of: Any) -> None:
    world.retrieval.catalogues = {"b1": more_of("b1")}
    table = world.catalogues["b1"].table
    table.apply([ItemChange(1, key("", "i5"), "i5", deleted=True)])
    slate = await world.door.recommend(world.query("ann", max_items=30), None)
    assert "i5" not in world.ids(slate)
    assert len(slate) == 19


async def test_an_item_newer_than_the_front_doors_table_is_left_out(world: Any, more_of: Any) -> None:
    ahead = more_of("b1")
    ahead.table.apply([ItemChange(1, key("", "new"), "new")])
    world.retrieval.catalogues = {"b1": ahead}
    slate = await world.door.recommend(world.query("ann", max_items=30), None)
    assert len(slate) == 20
    world.catalogues["b1"].table.apply([ItemChange(1, key("", "new"), "new")])
    slate = await world.door.recommend(world.query("ann", max_items=30), None)
    assert "new" in world.ids(slate)


async def test_a_token_is_asked_for_and_reported(world: Any) -> None:
    slate = await world.door.recommend(world.query("ann", minimum_position=7), None)
    assert world.store.asked == [(slate.query.as_of_us, 7)]
    assert slate.query.token_satisfied
    slate = await world.door.recommend(world.query("ann", minimum_position=8), None)
    assert not slate.query.token_satisfied
    assert slate.query.events_applied_through == 7


async def test_a_stranger_asks_no_store(world: Any) -> None:
    slate = await world.door.recommend(world.query(), None)
    assert len(slate) == 5
    assert world.store.asked == []


async def test_similar_items_leave_the_item_itself_out(world: Any) -> None:
    query = world.query(similar_to=keys("", ["i3"]), ranked=False, max_items=30)
    slate = await world.door.recommend_similar(query, None)
    assert "i3" not in world.ids(slate)
    assert len(slate) == 19
    assert slate.query.degraded.stages == []


async def test_an_unknown_item_has_popular_neighbours_and_says_so(world: Any) -> None:
    query = world.query(similar_to=keys("", ["nothing"]), ranked=False)
    slate = await world.door.recommend_similar(query, None)
    assert len(slate) == 5
    assert slate.query.degraded.stages == ["retrieve:unknown item, popular ones instead"]


async def test_a_failing_side_effect_is_nobodys_business(world: Any) -> None:
    def bad(*_: Any) -> None:
        raise RuntimeError("disk full")

    world.door.pipeline = replace(world.door.pipeline, side_effects=[bad])
    assert len(await world.door.recommend(world.query("ann"), None)) == 5


async def test_concurrent_requests_keep_their_own_degraded_stages(world: Any) -> None:
    world.store.delay_s = 0.6
    quick = world.query("ann", deadline_s=1.0)
    calm = world.query("bob", deadline_s=30.0)
    hasty, well = await asyncio.gather(world.door.recommend(quick, None), world.door.recommend(calm, None))
    assert hasty.query.degraded.stages == ["hydrate_query:deadline"]
    assert well.query.degraded.stages == []


async def test_similar_users_come_from_the_bundle_that_candidate_gen_holds(world: Any, more_of: Any) -> None:
    five, other = key("", "five"), key("other tenant", "seven")
    world.retrieval.similar = (np.array([five, 9, other]), np.array([0.5, 0.25, 0.125], np.float32))
    old, new = world.catalogues["b1"], more_of("b2")
    names = ["five", "seven"] if five < other else ["seven", "five"]
    for catalogue in (old, new):
        catalogue.__dict__.update(user_keys=np.sort([five, other]), _user_ids=names)
    found = await world.door.recommend_users(world.query("ann", catalogue=new), old)
    assert (found.ids, found.scores.tolist()) == (["five"], [0.5])
    assert found.query.catalogue.version == "b1"


async def test_similar_users_without_candidate_gen_are_none_and_it_is_said(world: Any) -> None:
    world.retrieval.error = ServiceUnavailable("down")
    found = await world.door.recommend_users(world.query("ann"), None)
    assert found.ids == []
    assert found.query.degraded.stages == ["retrieve:ServiceUnavailable"]
    assert world.door.degraded == 1


async def test_what_is_trending_comes_first_where_retrieval_is_down(world: Any) -> None:
    world.retrieval.error = ConnectionError("down")
    table = world.catalogues["b1"].table
    last = int(table.rows_of(keys("", ["i7"]))[0])
    trend = TrendSnapshot(world.query().as_of_us, keys("", ["i7"]), np.array([100.0], np.float32))
    calm = await world.door.recommend(world.query(ranked=False), None)
    slate = await world.door.recommend(world.query(ranked=False, trend=trend), None)
    assert slate.rows[0] == last
    assert [row for row in slate.rows.tolist() if row != last] == [r for r in calm.rows.tolist() if r != last][:4]
    hidden = replace(world.query(ranked=False, trend=trend), excluded_keys=keys("", ["i7"]))
    assert last not in (await world.door.recommend(hidden, None)).rows.tolist()
