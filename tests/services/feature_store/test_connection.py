import asyncio
import socket

import pytest
import uvloop

from penchant.errors import ConfigError, StoreUnavailable
from services.feature_store.connection import RedisAddress, RedisPool, command


async def pings(url: str) -> list:
    pool = RedisPool(RedisAddress.parse(url))
    try:
        one = await pool.execute(command("PING"), 1)
        many = await asyncio.gather(*(pool.execute(command("ECHO", n) + command("PING"), 2) for n in range(100)))
        return [one, *many]
    finally:
        pool.close()


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_replies_come_in_order_on_both_event_loops(run, redis_url):
    expected = [[b"PONG"], *([str(n).encode(), b"PONG"] for n in range(100))]
    assert run(pings(redis_url)) == expected


async def test_a_refused_command_names_the_store_and_what_it_said(redis_url):
    pool = RedisPool(RedisAddress.parse(redis_url))
    with pytest.raises(StoreUnavailable, match="refused: ERR"):
        await pool.execute(command("NONSENSE"), 1)
    assert await pool.execute(command("PING"), 1) == [b"PONG"]
    pool.close()


async def test_a_broken_connection_is_opened_again(redis_url):
    pool = RedisPool(RedisAddress.parse(redis_url), connections=1)
    await pool.execute(command("PING"), 1)
    pool._wires[0].close()
    await asyncio.sleep(0)
    assert await pool.execute(command("PING"), 1) == [b"PONG"]
    pool.close()


async def test_nobody_there_and_nobody_answering_are_said_within_the_timeout():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        pool = RedisPool(RedisAddress.parse(f"redis://127.0.0.1:{port}/0"), timeout_s=0.2)
        with pytest.raises(StoreUnavailable, match="cannot be reached"):
            await pool.execute(command("PING"), 1)
        silent.listen()
        with pytest.raises(StoreUnavailable, match=r"within 0\.2 s"):
            await pool.execute(command("PING"), 1)
        pool.close()


async def test_what_is_no_redis_is_said():
    async def web(reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await writer.drain()

    server = await asyncio.start_server(web, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    pool = RedisPool(RedisAddress.parse(f"redis://127.0.0.1:{port}/0"), timeout_s=1.0)
    with pytest.raises(StoreUnavailable, match="no Redis"):
        await pool.execute(command("PING"), 1)
    pool.close()
    server.close()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://h:7/3", ("h", 7, "", "", 3, False)),
        ("rediss://u:p%2C1@h", ("h", 6379, "", "p,1", 0, True)),
        ("unix:///run/redis.sock?db=2", ("127.0.0.1", 6379, "/run/redis.sock", "", 2, False)),
    ],
)
def test_addresses(url, expected):
    a = RedisAddress.parse(url)
    assert (a.host, a.port, a.path, a.password, a.database, a.tls) == expected


@pytest.mark.parametrize("url", ["localhost:6379", "http://h", "redis://h/x", "redis://h:port/0"])
def test_a_bad_address_is_refused_with_the_forms(url):
    with pytest.raises(ConfigError, match="redis://host:port/db"):
        RedisAddress.parse(url)


async def test_what_is_sent_in_order_runs_in_order_also_after_an_answer_was_given_up_on(redis_url):
    pool = RedisPool(RedisAddress.parse(redis_url), connections=3)
    other = RedisPool(RedisAddress.parse(redis_url), connections=1)
    await pool.execute(command("PING"), 1, in_order=True)
    await other.execute(command("CLIENT", "PAUSE", 300, "WRITE"), 1)
    with pytest.raises(StoreUnavailable):
        await pool.execute(command("SET", "a", "old"), 1, timeout_s=0.05, in_order=True)
    await pool.execute(command("SET", "a", "new"), 1, in_order=True)
    assert await other.execute(command("GET", "a"), 1) == [b"new"]
    pool.close()
    other.close()


async def test_a_connection_that_takes_anothers_place_kills_it(redis_url):
    pool = RedisPool(RedisAddress.parse(redis_url), connections=1)
    await pool.execute(command("PING"), 1)
    first = pool._wires[0]
    pool._wires[0] = type(first)()
    pool._wires[0].client_id = first.client_id
    await pool.execute(command("PING"), 1)
    await asyncio.sleep(0.05)
    assert not first.open
    pool.close()
