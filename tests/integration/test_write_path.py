"""Writing through the front door of both deployments: streams, and what the slate after them shows."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tiny_bundle import GENRES

from penchant.errors import ServiceUnavailable
from penchant.writes import EventWrite, ItemWrite
from services.runtime.policy_file import DEFAULT_POLICY


@pytest.fixture(scope="module", params=["standalone", "separate"])
def kind(request: Any) -> str:
    return request.param


@pytest.fixture(scope="module")
def policy(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy file that tests may write to."""
    path = tmp_path_factory.mktemp("policy") / "policy.toml"
    path.write_text(DEFAULT_POLICY.read_text())
    return path


@pytest.fixture(scope="module")
def stack(kind: str, start_stack: Any, new_redis: Callable[[], str], policy: Path) -> Any:
    return start_stack(kind, new_redis(), policy=str(policy))


def until(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def clicks(user: str, batches: int, size: int, named: bool = False) -> list[list[EventWrite]]:
    return [
        [
            EventWrite(
                event_type="click",
                user_id=user,
                item_id=f"i{(b + n) % 60}",
                event_id=f"{user}-{b}-{n}" if named else "",
            )
            for n in range(size)
        ]
        for b in range(batches)
    ]


def test_a_stream_is_answered_in_order_and_read_with_its_last_token(stack: Any) -> None:
    client = stack.client()
    positions = [written.position for written in client.stream_events(clicks("streaming", 20, 7))]
    assert [after - before for before, after in pairwise(positions)] == [7] * 19
    slate = client.recommend_items(5, user_id="streaming", token=positions[-1])
    assert slate.token_satisfied
    assert slate.versions.events_applied_through >= positions[-1]


def test_a_front_door_that_is_killed_leaves_the_client_knowing_what_is_in(stack: Any) -> None:
    front = "standalone" if "standalone" in stack.ports else "recommender"
    batches = clicks("broken off", 400, 10, named=True)
    client = stack.client()
    written = []

    def with_a_kill_half_way() -> Iterator[list[EventWrite]]:
        for n, batch in enumerate(batches):
            if n == 100:
                os.kill(stack.pid(front), signal.SIGKILL)
            yield batch

    with pytest.raises(ServiceUnavailable):
        written.extend(client.stream_events(with_a_kill_half_way()))
    assert 80 <= len(written) <= 101
    until(lambda: stack.supervisor.process(front)["restarts"] > 0 and stack.supervisor.process(front)["state"] == "up")
    again = [answer.position for answer in stack.client().stream_events(batches)]
    # What was acknowledged is in, where it was: sent again it counts nothing and gets the first token.
    assert again[: len(written)] == [answer.position for answer in written]
    assert again == sorted(again)
    assert again[-1] - again[0] == 399 * 10


def items(slate: Any) -> list[str]:
    return [item.item_id for item in slate.items]


@pytest.mark.parametrize("who", ["anonymous_id", "device_id"])
def test_an_anonymous_session_has_slates_of_its_own_from_its_first_event(stack: Any, who: str) -> None:
    client = stack.client()
    stranger = items(client.recommend_items(10))
    seen = stranger[0]
    written = client.write_events([EventWrite(event_type="click", item_id=seen, **{who: "first visit"})])
    slate = client.recommend_items(10, token=written.position, **{who: "first visit"})
    assert slate.token_satisfied
    assert seen not in items(slate)
    assert any("co_visitation" in item.sources or "two_tower" in item.sources for item in slate.items)
    assert items(slate) != [item for item in stranger if item != seen]
    assert items(client.recommend_items(10)) == stranger


def test_after_a_merge_every_identity_gets_the_slates_of_one_person(stack: Any) -> None:
    client = stack.client()
    client.write_events([EventWrite(event_type="click", user_id="mia", item_id=f"i{n}") for n in range(3)])
    client.write_events([EventWrite(event_type="click", anonymous_id="tab", item_id=f"i{n}") for n in range(10, 14)])
    client.write_events([EventWrite(event_type="hide", device_id="tablet", item_id="i30")])
    for more in ({"anonymous_id": "tab"}, {"device_id": "tablet"}):
        token = client.merge_identities("mia", **more).position
    assert client.merge_identities("mia", device_id="tablet").already
    token = client.write_events([EventWrite(event_type="click", device_id="tablet", item_id="i40")]).position
    for ranking in ("model", "retrieval"):
        slates = [
            items(client.recommend_items(60, token=token, ranking=ranking, **who))
            for who in ({"user_id": "mia"}, {"anonymous_id": "tab"}, {"device_id": "tablet"})
        ]
        assert slates[0] == slates[1] == slates[2]
        assert not {"i0", "i1", "i2", "i10", "i11", "i12", "i13", "i30", "i40"} & set(slates[0])
        assert len(slates[0]) == 51


def test_what_was_hidden_is_in_no_later_slate_of_any_kind(stack: Any) -> None:
    client = stack.client()
    client.write_events([EventWrite(event_type="click", user_id="no", item_id=f"i{n}") for n in (1, 2)])
    shown = items(client.recommend_items(10, user_id="no"))
    for kind, item in (("hide", shown[0]), ("dislike", shown[1])):
        token = client.write_events([EventWrite(event_type=kind, user_id="no", item_id=item)]).position
        slates = [
            client.recommend_items(60, user_id="no", token=token),
            client.recommend_items(60, user_id="no", token=token, ranking="retrieval"),
            client.recommend_items(60, user_id="no", token=token, include_seen=True),
            client.recommend_items(60, user_id="no", token=token, candidates=[item], sources=["caller", "popular"]),
            client.recommend_items(60, user_id="no", token=token, placement="diverse"),
            *(client.recommend_similar_items(f"i{n}", 60, user_id="no", token=token) for n in (1, 2, 3)),
        ]
        for slate in slates:
            assert slate.token_satisfied
            assert not slate.degraded_stages
            assert slate.items
            assert item not in items(slate)
    assert shown[0] in items(client.recommend_similar_items("i1", 60, user_id="somebody else"))


def test_what_was_skipped_sinks(stack: Any) -> None:
    client = stack.client()
    client.write_events([EventWrite(event_type="click", user_id="hm", item_id=f"i{n}") for n in (1, 2)])
    first = items(client.recommend_items(50, user_id="hm"))[0]
    token = 0
    for ranking in ("model", "retrieval"):
        before = items(client.recommend_items(50, user_id="hm", ranking=ranking)).index(first)
        skips = [EventWrite(event_type="skip", user_id="hm", item_id=first)] * 2
        token = client.write_events(skips).position
        assert items(client.recommend_items(50, user_id="hm", ranking=ranking, token=token)).index(first) > before


def test_a_type_that_the_policy_names_is_taken_within_seconds_and_a_bad_policy_changes_nothing(
    stack: Any, policy: Path
) -> None:
    client = stack.client()
    bookmark = EventWrite(event_type="bookmark", user_id="own", item_id="i7")
    policy.write_text(DEFAULT_POLICY.read_text())
    until(lambda: client.write_events([bookmark]).rejections)
    assert "or name it in the policy" in client.write_events([bookmark]).rejections[0].reason
    policy.write_text(policy.read_text() + "\n[event_types.bookmark]\ncode = 32\nweight = 1.5\nin_history = true\n")
    until(lambda: client.write_events([bookmark]).accepted)
    slate = client.recommend_items(60, user_id="own", token=client.write_events([bookmark]).position)
    assert "i7" not in items(slate)
    assert not slate.degraded_stages
    policy.write_text(policy.read_text().replace("code = 32", "code = 33"))
    time.sleep(1.5)
    assert client.write_events([bookmark]).accepted == 1


def test_a_viral_item_is_in_a_strangers_slate_within_seconds(stack: Any) -> None:
    client = stack.client()
    viral = items(client.recommend_items(60))[-1]
    client.write_items([ItemWrite(item_id="brand new", attributes={"genre": "western", "price": 3.0})])
    for item in (viral, "brand new"):
        client.write_events(
            [EventWrite(event_type="purchase", user_id=f"fan {n} of {item}", item_id=item) for n in range(60)]
        )
    started = time.monotonic()
    until(lambda: {viral, "brand new"} <= set(items(client.recommend_items(10, ranking="retrieval"))))
    print(f"in a stranger's slate after {time.monotonic() - started:.2f} s")
    assert viral in items(client.recommend_items(20))
    assert viral in items(client.recommend_items(10, sources=["popular"], ranking="retrieval"))


@pytest.mark.parametrize("history", [0, 3])
def test_a_search_shows_in_the_next_slate_also_of_a_user_without_history(stack: Any, history: int) -> None:
    client = stack.client()
    who = f"searching {history}"
    wanted = GENRES[2]
    if history:
        client.write_events([EventWrite(event_type="click", anonymous_id=who, item_id=f"i{n}") for n in range(history)])
    before = {r: items(client.recommend_items(10, anonymous_id=who, ranking=r)) for r in ("model", "retrieval")}
    search = EventWrite(event_type="search", anonymous_id=who, text=f"a good {wanted.upper()}!")
    token = client.write_events([search]).position

    def share(slate: list[str]) -> float:
        return sum(GENRES[int(item[1:]) % len(GENRES)] == wanted for item in slate if item[1:].isdecimal()) / len(slate)

    for ranking, slate in before.items():
        after = client.recommend_items(10, anonymous_id=who, ranking=ranking, token=token)
        assert share(items(after)) > max(share(slate), 0.6)
        assert any("content" in item.sources for item in after.items)
        later = datetime.now(UTC) + timedelta(minutes=4)
        soon = client.recommend_items(10, anonymous_id=who, ranking=ranking, as_of=later)
        assert share(items(soon)) > share(slate)
    assert not client.recommend_items(10, anonymous_id=who, token=token).degraded_stages
