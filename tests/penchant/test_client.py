"""The typed clients: what they refuse before anything is sent, by field, and that they raise only penchant's errors."""

import asyncio
import math
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from penchant.client import AsyncClient, Client
from penchant.errors import ClientClosed, ConfigError, InvalidArgument, ServiceUnavailable
from penchant.leaves import Condition
from penchant.writes import EventWrite, ItemWrite, UserWrite

CLICK = EventWrite(event_type="click", user_id="ann", item_id="a")
Ask = Callable[[Any], Any]


@pytest.fixture
def client() -> Iterator[Client]:
    """Nothing answers there: what is refused is refused before it is sent."""
    with Client("127.0.0.1:1", deadline_s=5.0) as made:
        yield made


@pytest.mark.parametrize(
    ("ask", "field", "value", "bound"),
    [
        (lambda c: c.recommend_items(-1), "max_items", "-1", "from 1 to 1000"),
        (lambda c: c.recommend_items(1.5), "max_items", "1.5", "from 1 to 1000"),
        (lambda c: c.recommend_items("5"), "max_items", "'5'", "from 1 to 1000"),
        (lambda c: c.recommend_items(context={"a": 1}), "context['a']", "1", "text"),
        (lambda c: c.recommend_items(context="a=1"), "context", "'a=1'", "map text to text"),
        (lambda c: c.recommend_items(user_id=5), "user_id", "5", "text"),
        (lambda c: c.recommend_items(user_id="\ud800"), "user_id", "ud800", "UTF-8"),
        (lambda c: c.recommend_items(excluded="A-0001"), "excluded_item_ids", "'A-0001'", "list of texts"),
        (lambda c: c.recommend_items(excluded=["a", 5]), "excluded_item_ids[1]", "5", "text"),
        (lambda c: c.recommend_items(candidates="A-0001"), "candidate_item_ids", "'A-0001'", "list of texts"),
        (lambda c: c.recommend_items(sources="popular"), "sources", "'popular'", "list of texts"),
        (lambda c: c.recommend_items(sources=5), "sources", "5", "list of texts"),
        (lambda c: c.recommend_items(include_seen="yes"), "include_seen", "'yes'", "True or False"),
        (lambda c: c.recommend_items(token=1.5), "token.position", "1.5", "whole number"),
        (lambda c: c.recommend_items(token=2**63), "token.position", "9223", "whole number"),
        (lambda c: c.recommend_items(as_of="now"), "as_of", "'now'", "datetime"),
        (lambda c: c.recommend_items(ranking=["a"]), "ranking", "['a']", "'model' or 'retrieval'"),
        (lambda c: c.recommend_items(colour="red"), "colour", "", "unknown"),
        (lambda c: c.recommend_items(conditions="genre=a"), "filter.conditions", "'genre=a'", "list of Conditions"),
        (lambda c: c.recommend_items(conditions=["g"]), "filter.conditions[0]", "'g'", "Condition"),
        (
            lambda c: c.recommend_items(conditions=[Condition("g", "Drama")]),
            "filter.conditions[0].any_of", "'Drama'", "list of texts",
        ),
        (
            lambda c: c.recommend_similar_items("a", conditions=[Condition("year", minimum="x")]),
            "filter.conditions[0].minimum", "'x'", "number",
        ),
        (lambda c: c.recommend_similar_items(5), "item_id", "5", "text"),
        (lambda c: c.recommend_similar_items("a", excluded="b"), "excluded_item_ids", "'b'", "list of texts"),
        (lambda c: c.recommend_similar_users("a", -3), "max_users", "-3", "from 1 to 1000"),
        (lambda c: c.write_events(CLICK), "events", "EventWrite", "list of EventWrites"),
        (lambda c: c.write_events([CLICK, "x"]), "events[1]", "'x'", "EventWrite"),
        (
            lambda c: c.write_events([CLICK, EventWrite(event_type="view", position=-1)]),
            "events[1].position", "-1", "from 0 to 4294967295",
        ),
        (lambda c: c.write_events([EventWrite(event_type="view", value="x")]), "events[0].value", "'x'", "number"),
        (
            lambda c: c.write_events([EventWrite(event_type="view", event_time="now")]),
            "events[0].event_time", "'now'", "datetime",
        ),
        (lambda c: c.write_items([ItemWrite(item_id=7)]), "items[0].item_id", "7", "text"),
        (
            lambda c: c.write_items([ItemWrite(item_id="a", attributes={"tags": ["x", 5]})]),
            "items[0].attributes['tags'].values[1]", "5", "text",
        ),
        (
            lambda c: c.write_items([ItemWrite(item_id="a", attributes={"tags": None})]),
            "items[0].attributes['tags']", "None", "list of texts",
        ),
        (lambda c: c.write_users([UserWrite(user_id="a", attributes=5)]), "users[0].attributes", "5", "map"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named_with_its_value_and_bound(
    client: Client, ask: Ask, field: str, value: str, bound: str
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        ask(client)
    assert caught.value.field == field
    assert value in caught.value.reason
    assert bound in caught.value.reason


async def test_the_asyncio_client_says_the_same() -> None:
    async with AsyncClient("127.0.0.1:1") as client:
        with pytest.raises(InvalidArgument, match="max_items: is -1"):
            await client.recommend_items(-1)
        with pytest.raises(InvalidArgument, match="excluded_item_ids"):
            await client.recommend_items(excluded="A-0001")


def test_what_an_iterator_yields_is_sent(client: Client) -> None:
    with pytest.raises(ServiceUnavailable):
        client.write_events(e for e in [CLICK])
    with pytest.raises(ServiceUnavailable):
        client.recommend_items(excluded=(i for i in "ab"))


async def test_a_closed_client_says_so() -> None:
    client, aio = Client("127.0.0.1:1"), AsyncClient("127.0.0.1:1")
    client.close()
    await aio.close()
    client.close()
    await aio.close()
    with pytest.raises(ClientClosed, match="make another"):
        client.status()
    with pytest.raises(ClientClosed, match="make another"):
        await aio.status()


async def test_a_client_closed_during_a_call_raises_only_our_errors() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        client, aio = Client(address, deadline_s=20.0), AsyncClient(address, deadline_s=20.0)
        closing = threading.Timer(0.3, client.close)
        closing.start()
        with pytest.raises((ClientClosed, ServiceUnavailable)):
            await asyncio.to_thread(client.status)
        call = asyncio.create_task(aio.status())
        await asyncio.sleep(0.3)
        await aio.close()
        with pytest.raises((ClientClosed, ServiceUnavailable)):
            await call
        closing.join()


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"deadline_s": -1.0}, "deadline_s"),
        ({"deadline_s": 0}, "deadline_s"),
        ({"deadline_s": math.nan}, "deadline_s"),
        ({"deadline_s": math.inf}, "deadline_s"),
        ({"deadline_s": None}, "deadline_s"),
        ({"token": "ü"}, "token"),
        ({"token": "a\nb"}, "token"),
        ({"token": 5}, "token"),
        ({"address": 5}, "address"),
        ({"address": "\ud800"}, "address"),
    ],
)
async def test_a_client_cannot_be_made_of_nonsense(kind: Any, given: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        kind(**given)
    assert caught.value.field == field
    assert "ü" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_an_authority_that_is_no_certificate_is_a_bad_setting(tmp_path: Path, text: str) -> None:
    (tmp_path / "ca.pem").write_text(text)
    with pytest.raises(ConfigError, match="PEM"):
        Client(tls_authority=tmp_path / "ca.pem")
