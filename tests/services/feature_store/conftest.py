"""A running feature store over real Redis."""

from collections.abc import AsyncIterator, Callable

import pytest
from store_world import NOW_US, SCHEMA, penchant_plan

from penchant.features import FeatureSchema
from services.feature_store.connection import RedisAddress
from services.feature_store.leaf import FeatureStore
from services.feature_store.redis_store import RedisOnlineStore


@pytest.fixture
def new_log(request, new_log_url) -> Callable[[], str]:
    """Gives the URL of an empty place for logs, of files unless parametrised with another kind."""
    kind = getattr(request, "param", "file")
    return lambda: new_log_url(kind)


@pytest.fixture
def log_url(new_log) -> str:
    return new_log()


@pytest.fixture
async def new_leaf(redis_url, log_url) -> AsyncIterator[Callable[..., FeatureStore]]:
    """Makes leaves on one Redis database and one place for logs; stop() one before starting the next."""
    made = []

    def new(schema: FeatureSchema = SCHEMA, log=log_url, **options) -> FeatureStore:
        store = RedisOnlineStore(penchant_plan(), RedisAddress.parse(redis_url), timeout_s=2.0)
        made.append(FeatureStore(store, lambda: schema, log, **options))
        return made[-1]

    yield new
    for leaf in made:
        await leaf.stop()


@pytest.fixture
async def leaf(new_leaf) -> FeatureStore:
    store = new_leaf()
    await store.start(NOW_US)
    return store
