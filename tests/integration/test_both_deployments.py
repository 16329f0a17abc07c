"""One process and four answer alike: same bundle, same Redis, same slates."""

import os
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from penchant.answers import Slate
from penchant.leaves import Condition
from penchant.segments import read_segments
from penchant.v1 import log_pb2
from penchant.writes import EventWrite, ItemWrite, UserWrite

USERS = [f"user {n}" for n in range(24)]
AS_OF = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def both(start_stack: Any, new_redis: Callable[[], str]) -> tuple[Any, Any]:
    """A standalone stack, and four services on the same bundles and Redis; users with histories, new items in both."""
    redis = new_redis()
    one = start_stack("standalone", redis, exposure_features_rate="1.0")
    four = start_stack("separate", redis, one.bundles, status_poll_s="0.1", exposure_features_rate="1.0")
    # Of two feature stores on one Redis, the one that started last may write.
    client = four.client()
    client.write_users(
        [UserWrite(user_id=u, attributes={"plan": ("free", "paid")[n % 2]}) for n, u in enumerate(USERS)]
    )
    client.write_events(
        [
            EventWrite(
                user_id=user, item_id=f"i{(7 * n + 3 * place) % 60}",
                event_time=datetime(2025, 12, 1 + place, tzinfo=UTC),
                event_type="hide" if place % 9 == 8 else "click",
            )
            for n, user in enumerate(USERS)
            for place in range(n)
        ]
    )  # fmt: skip
    items = [
        ItemWrite(item_id="new 1", attributes={"genre": "drama", "price": 3.0}),
        ItemWrite(item_id="new 2", attributes={"genre": "western", "price": 4.0}),
        ItemWrite(item_id="new 1", attributes={"genre": "comedy", "price": 3.0}),
        ItemWrite(item_id="i5", deleted=True),
    ]
    for stack in (one, four):
        assert stack.client().write_items(items).accepted == len(items)
        until(lambda stack=stack: knows_items(stack))
    return one, four


def knows_items(stack: Any) -> bool:
    slate = stack.client().recommend_items(1000, user_id="nobody", as_of=AS_OF)
    found = {item.item_id for item in slate.items}
    return {"new 1", "new 2"} <= found and "i5" not in found


def until(holds: Callable[[], bool], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def alike(one: Slate, four: Slate) -> None:
    assert [i.item_id for i in one.items] == [i.item_id for i in four.items]
    for mine, theirs in zip(one.items, four.items, strict=True):
        assert mine.score == pytest.approx(theirs.score, abs=1e-5)
        assert mine.task_scores == pytest.approx(theirs.task_scores, abs=1e-5)
        assert mine.retrieval_score == pytest.approx(theirs.retrieval_score, abs=1e-5)
        assert mine.sources == theirs.sources
    assert one.degraded_stages == four.degraded_stages == ()
    assert one.versions.bundle == four.versions.bundle
    assert one.versions.policy == four.versions.policy


REQUESTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "long": {"max_items": 1000},
    "retrieval order": {"ranking": "retrieval"},
    "seen left in": {"include_seen": True, "max_items": 50},
    "diverse": {"placement": "diverse"},
    "diverse and new": {"placement": "diverse", "max_items": 60},
    "filtered": {"conditions": [Condition("genre", ("drama", "comedy")), Condition("price", maximum=40.0)]},
    "negated": {"conditions": [Condition("genre", ("drama",), negate=True)], "max_items": 30},
    "excluded": {"excluded": [f"i{n}" for n in range(0, 40, 2)]},
    "one source": {"sources": ["co_visitation"], "max_items": 5},
    "caller's own": {"candidates": ["new 1", "i7", "i9"], "sources": ["caller", "popular"]},
}


@pytest.mark.parametrize("name", REQUESTS)
def test_slates_are_the_same(both: tuple[Any, Any], name: str) -> None:
    one, four = (stack.client() for stack in both)
    asked = {"max_items": 10, **REQUESTS[name]}
    for user in [*USERS, "a stranger", ""]:
        if name == "one source" and user in (USERS[0], "a stranger", ""):
            continue  # Without a history that source finds nothing, and both say so.
        alike(
            one.recommend_items(user_id=user, as_of=AS_OF, **asked),
            four.recommend_items(user_id=user, as_of=AS_OF, **asked),
        )  # fmt: skip


def test_similar_items_and_users_are_the_same(both: tuple[Any, Any]) -> None:
    one, four = (stack.client() for stack in both)
    for item in ("i1", "i20", "new 1"):
        alike(one.recommend_similar_items(item, 12), four.recommend_similar_items(item, 12))
    for user in USERS[5:]:
        mine, theirs = one.recommend_similar_users(user, 5), four.recommend_similar_users(user, 5)
        assert [u.user_id for u in mine.users] == [u.user_id for u in theirs.users]
        assert mine.users


def test_a_ranker_that_learnt_the_new_items_in_another_order_scores_the_same(both: tuple[Any, Any]) -> None:
    one, four = both
    os.kill(four.pid("ranker"), signal.SIGKILL)
    until(
        lambda: four.supervisor.process("ranker")["restarts"] > 0 and four.supervisor.process("ranker")["state"] == "up"
    )
    until(lambda: not four.client().recommend_items(5, user_id=USERS[9], as_of=AS_OF).degraded_stages)
    time.sleep(0.5)  # The ranker's own snapshot of items.
    for user in USERS:
        alike(
            one.client().recommend_items(1000, user_id=user, as_of=AS_OF),
            four.client().recommend_items(1000, user_id=user, as_of=AS_OF),
        )  # fmt: skip


@pytest.mark.parametrize("place", [0, 1])
def test_every_slate_is_in_the_exposure_log(both: tuple[Any, Any], place: int) -> None:
    stack = both[place]
    slate = stack.client().recommend_items(7, user_id=USERS[3], as_of=AS_OF, placement="shelf", session_id="s1")

    def record() -> log_pb2.ExposureRecord | None:
        records = [log_pb2.ExposureRecord.FromString(p) for _, p in read_segments(stack.folder / "exposures")]
        return next((r for r in records if r.recommendation_id == slate.recommendation_id), None)

    until(lambda: record() is not None, 5.0)
    found = record()
    assert found is not None
    assert (found.placement, found.session_id, found.bundle) == ("shelf", "s1", slate.versions.bundle)
    assert len(found.item_keys) == 7 * 8
    assert len(found.features) % (7 * 4) == 0
    assert found.features
    assert found.schema_fingerprint
