import os
from collections.abc import Callable, Iterator
from itertools import count

import pytest
from log_servers import DURABLE, kafka_brokers, redis_server
from tiny import tiny_bundles, tiny_data

__all__ = ["tiny_bundles", "tiny_data"]

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before anything imports torch: see training/__main__.py
DATABASES = 256


@pytest.fixture(scope="session")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Port of a Redis of the tests' own, started as a child process and killed at the end."""
    with redis_server(tmp_path_factory.mktemp("redis")) as port:
        yield port


@pytest.fixture(scope="session")
def durable_redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Port of a Redis that may hold event logs."""
    with redis_server(tmp_path_factory.mktemp("durable redis"), *DURABLE) as port:
        yield port


@pytest.fixture(scope="session")
def kafka() -> Iterator[str]:
    """Brokers of a Kafka (librdkafka's mock cluster)."""
    with kafka_brokers() as brokers:
        yield brokers


@pytest.fixture(scope="session")
def new_log_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Gives the URL of an empty place for event logs of a kind (file, redis, kafka) at each call."""
    numbers = count(1)

    def new(kind: str) -> str:
        if kind == "redis":
            port = request.getfixturevalue("durable_redis_port")
            return f"redis://127.0.0.1:{port}/0?stream=test{next(numbers)}"
        if kind == "kafka":
            return f"kafka://{request.getfixturevalue('kafka')}/test{next(numbers)}"
        return tmp_path_factory.mktemp("logs").as_uri()

    return new


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
