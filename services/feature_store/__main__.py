"""python -m services.feature_store"""

import sys
import time

from services.feature_store.config import FeatureStoreSettings
from services.feature_store.open import newest_schema, open_leaf, schema_holder
from services.feature_store.server import SERVICE_NAMES, register, wall_clock_us
from services.runtime import logs
from services.runtime.config import load
from services.runtime.policy_file import PolicyFile
from services.runtime.server import run, serve
from services.runtime.status import StatusSnapshot


async def main() -> None:
    """Open the store, mend what an unclean stop left, and serve until told to stop."""
    settings = load("feature_store", FeatureStoreSettings)
    logs.configure(settings.log_level, settings.log_format)
    holder = schema_holder(settings)
    await holder.start()
    policy = PolicyFile(settings.policy, time.monotonic)
    leaf = open_leaf(settings, newest_schema(holder), policy.current)
    await leaf.start(wall_clock_us())

    def status() -> StatusSnapshot:
        return StatusSnapshot(
            bundle_versions=holder.versions,
            policy_version=policy.current().version,
            item_table_position=leaf.item_table_position,
            events_applied_through=leaf.applied,
            metrics=leaf.metrics(),
            refused_bundle=holder.refused,
        )

    try:
        await serve(
            "feature_store",
            settings,
            lambda server: register(leaf, server, settings.default_deadline_s),
            status,
            lambda: leaf.serving,
            SERVICE_NAMES,
        )
    finally:
        await leaf.stop()
        await holder.stop()


if __name__ == "__main__":
    sys.exit(run(main))
