"""From settings to a running feature store."""

from collections.abc import Callable

from penchant.bundle import Manifest
from penchant.errors import ConfigError
from penchant.features import STORED_ITEM_FEATURES, STORED_USER_FEATURES, FeatureSchema
from penchant.features.plan import Plan
from penchant.policy import Policy
from services.feature_store.config import FeatureStoreSettings
from services.feature_store.connection import RedisAddress
from services.feature_store.crash_points import crash_points
from services.feature_store.leaf import FeatureStore
from services.feature_store.redis_store import RedisOnlineStore
from services.feature_store.sdk_store import SdkOnlineStore
from services.feature_store.store import OnlineStore
from services.runtime.bundles import BundleHolder
from services.runtime.logs import logger

_log = logger("feature_store")
BEFORE_BUNDLES = FeatureSchema.default(has_times=True, has_values=True, item_attributes={}, user_attributes={})
"""What is counted by while no bundle says otherwise."""


def schema_holder(settings: FeatureStoreSettings) -> BundleHolder[FeatureSchema]:
    """Follows the published bundle's feature schema."""

    def load(folder: object, manifest: Manifest) -> FeatureSchema:
        return FeatureSchema.from_json(manifest.schema)

    return BundleHolder(settings.bundles, load, settings.bundle_poll_s)


def open_store(settings: FeatureStoreSettings) -> OnlineStore:
    """The online store the settings name. Raises ConfigError."""
    plan = Plan.read(settings.plan)
    wanted = (f"{stored.view}:{stored.name}" for stored in (*STORED_USER_FEATURES, *STORED_ITEM_FEATURES))
    if missing := [name for name in wanted if name not in plan.features]:
        raise ConfigError(
            f"{settings.plan} is of an older version, {missing[0]} is not in it: write it with "
            "`python -m feature_repo apply`"
        )
    if settings.feast_repository is not None:
        return SdkOnlineStore.open(plan, settings.feast_repository)
    return RedisOnlineStore(
        plan, RedisAddress.parse(settings.redis), settings.redis_connections, settings.redis_timeout_s
    )


def other_stores(settings: FeatureStoreSettings) -> tuple[OnlineStore, ...]:
    """Stores of other Feast repositories, to be read by name. Raises ConfigError."""
    if settings.other_plan is None:
        return ()
    address = RedisAddress.parse(settings.other_redis or settings.redis)
    plan = Plan.read(settings.other_plan)
    return (RedisOnlineStore(plan, address, settings.redis_connections, settings.redis_timeout_s),)


def newest_schema(holder: BundleHolder[FeatureSchema]) -> Callable[[], FeatureSchema]:
    """The published bundle's schema, the default one before the first bundle."""
    return lambda: holder.newest if holder.versions else BEFORE_BUNDLES


def open_leaf(
    settings: FeatureStoreSettings, schema: Callable[[], FeatureSchema], policy: Callable[[], Policy]
) -> FeatureStore:
    """The leaf; `schema` gives the feature schema in force, `policy` the policy."""
    return FeatureStore(
        open_store(settings),
        schema,
        settings.log,
        settings.max_backlog,
        settings.deduplication_events,
        lambda message: _log.warning("ingestion", problem=message),
        other_stores(settings),
        crash_points(),
        lambda: policy().event_types,
        settings.log_keep_days,
        tuple(filter(None, settings.log_needed_by.split(","))),
    )
