"""What the front door says of itself."""

from collections.abc import Mapping

from penchant.errors import UnknownBundle
from services.recommender.front_door import FrontDoor
from services.recommender.side_effects.exposure import ExposureLog
from services.runtime.policy_file import PolicyFile
from services.runtime.status import StatusSnapshot


def front_door_status(
    door: FrontDoor,
    policy: PolicyFile,
    item_table_position: int,
    exposures: ExposureLog | None,
    refused_bundle: str,
    counted: Mapping[str, float] | None = None,
    applied: int = 0,
) -> StatusSnapshot:
    """Bundles that the front door and its leaves all hold, and what was counted (`counted`: by the leaves here)."""
    try:
        versions = door.choice.versions()
    except UnknownBundle:
        versions = ()
    metrics = {
        **(counted or {}),
        "slates_answered": float(door.answered),
        "slates_degraded": float(door.degraded),
        "policy_refused": float(bool(policy.refused)),
    }
    if exposures is not None:
        metrics["exposures_written"] = float(exposures.written)
        metrics["exposures_dropped"] = float(exposures.dropped + exposures.writer.dropped_records)
    return StatusSnapshot(
        versions,
        policy.current().version,
        item_table_position,
        max(door.events_applied_through, applied),
        metrics,
        refused_bundle,
    )
