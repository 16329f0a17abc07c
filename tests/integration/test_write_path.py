"""Writing through the front door of both deployments: streams, and what the slate after them shows."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest

from penchant.errors import ServiceUnavailable
from penchant.writes import EventWrite


@pytest.fixture(scope="module", params=["standalone", "separate"])
def stack(request: Any, start_stack: Any, new_redis: Callable[[], str]) -> Any:
    return start_stack(request.param, new_redis())


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
