"""Our own Redis child: private, forgetful unless asked, gone afterwards."""

import os
import signal
import stat
import time
from pathlib import Path

import psutil
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from stack.ports import free_port, is_free
from stack.redis_server import redis_spec, save
from stack.supervisor import BackOff, Supervisor


def test_redis_runs_with_open_connections_and_is_gone_afterwards(tmp_path: Path) -> None:
    port = free_port()
    spec, url = redis_spec(tmp_path / "redis", port)
    with Supervisor(tmp_path / "run") as supervisor:
        supervisor.start(spec)
        client = redis.Redis.from_url(url)
        client.set("key", "value")
        pid = supervisor.process("redis")["pid"]
    assert not psutil.pid_exists(pid)
    assert is_free(port)
    assert not (tmp_path / "redis" / "redis.rdb").exists()
    client.close()


def test_redis_keeps_its_data_where_asked(tmp_path: Path) -> None:
    for expected in (None, b"value"):
        spec, url = redis_spec(tmp_path / "redis", free_port(), keep=True)
        with Supervisor(tmp_path / "run") as supervisor:
            supervisor.start(spec)
            with redis.Redis.from_url(url) as client:
                assert client.get("key") == expected
                client.set("key", "value")


def test_redis_asks_for_its_password_and_shows_it_to_nobody_else(tmp_path: Path) -> None:
    port = free_port()
    spec, url = redis_spec(tmp_path / "redis", port)
    password = url.split(":")[2].split("@")[0]
    assert password not in " ".join(spec.command)
    assert stat.S_IMODE((tmp_path / "redis" / "redis.conf").stat().st_mode) == 0o600
    with Supervisor(tmp_path / "run") as supervisor:
        supervisor.start(spec)
        with redis.Redis(port=port, retry=Retry(NoBackoff(), 0)) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.get("key")


def test_a_crash_loses_nothing_that_was_saved(tmp_path: Path) -> None:
    spec, url = redis_spec(tmp_path / "redis", free_port())
    with Supervisor(tmp_path / "run", BackOff(first_s=0.05)) as supervisor, redis.Redis.from_url(url) as client:
        supervisor.start(spec)
        client.set("key", "loaded")
        save(url)
        client.set("later", "lost")
        os.kill(supervisor.process("redis")["pid"], signal.SIGKILL)
        deadline = time.monotonic() + 10
        while supervisor.process("redis")["restarts"] == 0 or supervisor.process("redis")["state"] != "up":
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert client.mget("key", "later") == [b"loaded", None]
    redis_spec(tmp_path / "redis", free_port())
    assert not (tmp_path / "redis" / "redis.rdb").exists()
