import os
import signal
import threading
import time
from contextlib import contextmanager, suppress

import pytest
import redis
from log_servers import DURABLE, free_port, redis_server, start_redis

from penchant.errors import ConfigError, LogError, LogFenced, LogUnavailable
from penchant.event_log import check_url, open_event_log, open_log_reader
from penchant.event_log.redis_log import RedisLogReader


@pytest.fixture
def url(new_log_url) -> str:
    return new_log_url("redis")


@pytest.fixture
def client(durable_redis_port):
    with redis.Redis(port=durable_redis_port) as made:
        yield made


def stream_of(url: str) -> str:
    return url.partition("stream=")[2] + ":events"


@contextmanager
def set_to(client, name: str, value: str):
    before = client.config_get(name)[name]
    client.config_set(name, value)
    try:
        yield
    finally:
        client.config_set(name, before)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("appendonly", "no"),
        ("appendfsync", "everysec"),
        ("no-appendfsync-on-rewrite", "yes"),
        ("maxmemory-policy", "allkeys-lru"),
    ],
)
def test_a_redis_that_may_forget_is_refused_with_the_setting_and_the_remedy(url, client, name, value):
    with set_to(client, name, value), pytest.raises(LogError, match=f"{name} is '{value}'.*start Redis with --{name} "):
        open_event_log(url)
    open_event_log(url).close()


def test_a_user_who_may_not_ask_for_the_settings_is_refused(url, client):
    client.acl_setuser(
        "asker", enabled=True, passwords=["+secret"], keys="*", categories=["+@all"], commands=["-config"]
    )
    with pytest.raises(LogError, match="allow its user CONFIG GET") as caught:
        open_event_log(url.replace("redis://", "redis://asker:secret@"))
    assert "secret" not in str(caught.value)
    with pytest.raises(LogError, match="mend user and password"):
        open_event_log(url.replace("redis://", "redis://asker:wrong@"))


def test_a_redis_that_is_not_there_is_told_within_a_bound():
    started = time.monotonic()
    with pytest.raises(LogUnavailable, match=r"does not answer.*start Redis"):
        open_event_log(f"redis://user:secret@127.0.0.1:{free_port()}/0")
    assert time.monotonic() - started < 30


def test_a_killed_redis_keeps_every_batch_it_acknowledged(tmp_path):
    child, port = start_redis(tmp_path / "redis", *DURABLE)
    log = open_event_log(f"redis://127.0.0.1:{port}/0")
    killer = threading.Timer(0.3, child.kill)
    killer.start()
    answered = 0
    try:
        while True:
            log.append([b"%d" % (answered + i) for i in range(10)])
            answered += 10
    except LogUnavailable:
        pass
    child.wait()
    with pytest.raises(LogUnavailable, match="not known yet"):
        log.append([b"x"])
    with pytest.raises(LogUnavailable, match="does not answer"):
        log.recover()
    child, _ = start_redis(tmp_path / "redis", *DURABLE, port=port)
    try:
        log.recover()
        assert log.position in (answered, answered + 10)
        assert log.append([b"next"]) == log.position
        assert [payload for _, payload in log.read()] == [b"%d" % n for n in range(log.position - 1)] + [b"next"]
    finally:
        log.close()
        child.kill()
        child.wait()


def test_what_an_append_without_answer_did_is_found_out_and_nothing_of_it_comes_late(tmp_path, monkeypatch):
    monkeypatch.setattr(RedisLogReader, "timeout_s", 0.5)
    child, port = start_redis(tmp_path / "redis", *DURABLE)
    try:
        log = open_event_log(f"redis://127.0.0.1:{port}/0")
        model = []
        for n in range(4):
            batch = [b"%d-%d" % (n, i) for i in range(3)]
            os.kill(child.pid, signal.SIGSTOP)
            with pytest.raises(LogUnavailable):
                log.append(batch)
            os.kill(child.pid, signal.SIGCONT)
            log.recover()
            if log.position > len(model):
                model += batch
            assert log.position == len(model)
            log.append([b"after %d" % n])
            model.append(b"after %d" % n)
        time.sleep(0.1)
        assert [payload for _, payload in log.read()] == model
        log.close()
    finally:
        child.kill()
        child.wait()


def test_a_writer_that_was_taken_over_while_its_append_was_open_recovers_to_being_fenced(url, monkeypatch):
    log = open_event_log(url)
    log.append([b"a"])
    log._unknown = True
    open_event_log(url).close()
    with pytest.raises(LogFenced, match="took"):
        log.recover()
    log.close()


def test_a_full_redis_takes_nothing_and_says_what_to_do(tmp_path):
    with redis_server(tmp_path / "redis", *DURABLE, "--maxmemory", "4mb") as port:
        url = f"redis://127.0.0.1:{port}/0"
        log = open_event_log(url)
        appended = 0
        with suppress(LogError):
            for _ in range(1000):
                log.append([bytes(1000)] * 100)
                appended += 100
        with pytest.raises(LogError, match="raise maxmemory"):
            log.append([bytes(1000)] * 100)
        assert log.position == log.newest() == appended
        assert sum(1 for _ in open_log_reader(url).read()) == appended
        log.hold("applied", appended)
        assert log.trim_before(appended, ["applied"]) == appended
        assert log.append([b"goes on"]) == appended + 1
        log.close()


@pytest.mark.parametrize("harm", ["trimmed", "edited", "deleted", "forgotten"])
def test_records_that_nobody_trimmed_here_are_missed(url, client, harm):
    log = open_event_log(url)
    log.append([b"%d" % n for n in range(20)])
    stream = stream_of(url)
    match harm:
        case "trimmed":
            client.xtrim(stream, maxlen=10, approximate=False)
            assert [position for position, _ in log.read(11)] == list(range(11, 21))
        case "edited":
            client.xdel(stream, "5-0")
        case "deleted":
            client.delete(stream)
            with pytest.raises(LogError, match="ends before position 20"):
                open_event_log(url)
        case "forgotten":
            client.delete(stream, f"{{{stream}}}:meta")
            with pytest.raises(LogError, match="is gone"):
                log.append([b"next"])
            return
    with pytest.raises(LogError, match=r"lacks record \d+, which nobody trimmed"):
        list(log.read())


def test_trimmed_records_are_told_from_missing_ones(url, client):
    log = open_event_log(url)
    log.append([b"%d" % n for n in range(20)])
    log.hold("applied", 20)
    assert log.trim_before(21, ["applied"]) == 21
    assert (log.oldest(), log.newest(), list(log.read(21))) == (21, 20, [])
    assert client.xlen(stream_of(url)) == 0
    with pytest.raises(LogError, match="begins at position 21"):
        list(log.read(3))
    log.close()
    log = open_event_log(url)
    assert log.append([b"next"]) == 21


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis://:secret@host:1/0?streem=x", "unknown option 'streem'"),
        ("redis://:secret@host:1/zero", "names no stream"),
        ("redis:///0", "names no stream"),
    ],
)
def test_a_url_of_another_form_is_refused_without_its_password(url, said):
    with pytest.raises(ConfigError, match=said) as caught:
        check_url(url)
    assert "secret" not in str(caught.value)
