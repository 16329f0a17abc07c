"""A running feature store over real Redis."""

from collections.abc import AsyncIterator, Callable

import pytest
from store_world import NOW_US, SCHEMA, penchant_plan

from penchant.features import FeatureSchema
from services.feature_store.connection import RedisAddress
from services.feature_store.leaf import FeatureStore
from services.feature_store.redis_store import RedisOnlineStore


@pytest.fixture
async def new_leaf(redis_url, tmp_path) -> AsyncIterator[Callable[..., FeatureStore]]:
    """Makes leaves on one Redis database and log folder; stop() one before starting the next."""
    made = []

    def new(schema: FeatureSchema = SCHEMA, log=None, **options) -> FeatureStore:
        store = RedisOnlineStore(penchant_plan(), RedisAddress.parse(redis_url), timeout_s=2.0)
        made.append(FeatureStore(store, lambda: schema, str(log or tmp_path / "log"), **options))
        return made[-1]

    yield new
    for leaf in made:
        await leaf.stop()


@pytest.fixture
async def leaf(new_leaf) -> FeatureStore:
    store = new_leaf()
    await store.start(NOW_US)
    return store
