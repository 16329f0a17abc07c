"""What a process says of itself, for people and for version pinning."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version

import grpc

from penchant.v1 import status_service_pb2 as messages
from penchant.v1 import status_service_pb2_grpc as rpc


@dataclass(frozen=True, slots=True)
class StatusSnapshot:
    """The state of a process now; bundle_versions are those ready to answer, newest first."""

    bundle_versions: tuple[str, ...] = ()
    policy_version: str = ""
    item_table_position: int = 0
    events_applied_through: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)
    refused_bundle: str = ""


class StatusServicer(rpc.StatusServiceServicer):
    """Answers GetStatus from a snapshot function; reads no store."""

    def __init__(self, service: str, status: Callable[[], StatusSnapshot]) -> None:
        self._service = service
        self._status = status
        self._started = time.monotonic()
        try:
            self._version = version("penchant")
        except PackageNotFoundError:
            self._version = "unknown"

    async def GetStatus(  # noqa: N802
        self, request: messages.GetStatusRequest, context: grpc.aio.ServicerContext[object, object]
    ) -> messages.GetStatusResponse:
        """The snapshot, and how long this process has run."""
        now = self._status()
        return messages.GetStatusResponse(
            service=self._service,
            version=self._version,
            bundle_versions=now.bundle_versions,
            policy_version=now.policy_version,
            item_table_position=now.item_table_position,
            events_applied_through=now.events_applied_through,
            uptime_s=time.monotonic() - self._started,
            metrics=dict(now.metrics),
            refused_bundle=now.refused_bundle,
        )
