"""One gRPC server from start to clean stop: health, reflection, status, the door, signals."""

import asyncio
import gc
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import grpc
import uvloop
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from penchant.errors import ConfigError, PenchantError
from penchant.v1 import status_service_pb2, status_service_pb2_grpc
from services.runtime import logs
from services.runtime.config import ServerSettings
from services.runtime.door import DoorInterceptor
from services.runtime.memory import give_memory_back
from services.runtime.metrics import CallMetrics
from services.runtime.status import StatusServicer, StatusSnapshot

_log = logs.logger("server")
LIVENESS = "liveness"
"""Health service that is SERVING as long as the loop turns: a process without a bundle waits, it is not restarted."""
_READY_POLL_S = 0.05
SWITCH_INTERVAL_S = 5e-4
"""A busy Python thread gives way after this long; the default of 5 ms starves native searches."""


async def serve(
    name: str,
    settings: ServerSettings,
    register: Callable[[grpc.aio.Server], None],
    status: Callable[[], StatusSnapshot],
    ready: Callable[[], bool],
    service_names: Sequence[str],
    stop: asyncio.Event | None = None,
    listening: Callable[[int], None] = lambda port: None,
    metrics: CallMetrics | None = None,
) -> None:
    """Serve until `stop` is set (without one: until SIGTERM or SIGINT), then drain and return.

    register adds the servicers; service_names are their full names, for health and reflection. Health is SERVING
    while ready() is true. listening is told the port once it is open. Raises ConfigError if it cannot be opened.
    """
    stop = _signalled() if stop is None else stop
    metrics = CallMetrics() if metrics is None else metrics
    door = DoorInterceptor(settings.token, metrics)
    server = grpc.aio.server(
        interceptors=[door], options=_options(settings), maximum_concurrent_rpcs=settings.max_concurrent_calls
    )
    register(server)

    def snapshot() -> StatusSnapshot:
        now = status()
        return StatusSnapshot(
            now.bundle_versions,
            now.policy_version,
            now.item_table_position,
            now.events_applied_through,
            {**metrics.numbers(), **now.metrics},
            now.refused_bundle,
        )

    status_service_pb2_grpc.add_StatusServiceServicer_to_server(StatusServicer(name, snapshot), server)
    names = (*service_names, status_service_pb2.DESCRIPTOR.services_by_name["StatusService"].full_name)
    checks = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    reflection.enable_server_reflection((*names, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    for service in ("", *names):
        await checks.set(service, health_pb2.HealthCheckResponse.NOT_SERVING)
    await checks.set(LIVENESS, health_pb2.HealthCheckResponse.SERVING)
    port = _open_port(server, settings)
    if settings.metrics_port:
        metrics.expose(settings.metrics_host, settings.metrics_port)
    kubelet = await _health_server(settings, checks)
    await server.start()
    _log.info("listening", service=name, host=settings.host, port=port)
    listening(port)
    watching = asyncio.create_task(_watch(ready, checks, ("", *names)))
    try:
        await stop.wait()
    finally:
        _log.info("stopping", service=name)
        watching.cancel()
        await checks.enter_graceful_shutdown()
        stopped = asyncio.create_task(server.stop(settings.drain_s))
        door.end_streams()
        await stopped
        if kubelet is not None:
            await kubelet.stop(None)
        _log.info("stopped", service=name)


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> int:
    """Run a service's main on uvloop; the exit status. A bad configuration is one sentence on stderr and status 2."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    give_memory_back()
    try:
        uvloop.run(main())
    except PenchantError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def _options(settings: ServerSettings) -> list[tuple[str, int]]:
    options = [
        ("grpc.so_reuseport", 0),  # A second process on the port is an error, not half of the connections.
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", 64 << 20),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),  # Our channels ping every 20 s.
    ]
    if settings.max_connection_age_s:
        options.append(("grpc.max_connection_age_ms", int(settings.max_connection_age_s * 1000)))
        options.append(("grpc.max_connection_age_grace_ms", int(settings.drain_s * 1000)))
    return options


def _open_port(server: grpc.aio.Server, settings: ServerSettings) -> int:
    host = settings.host
    address = host if host.startswith("unix:") else f"{host}:{settings.port}"
    try:
        if settings.tls_certificate is not None and settings.tls_key is not None:
            port = server.add_secure_port(address, _credentials(settings.tls_certificate, settings.tls_key))
        else:
            port = server.add_insecure_port(address)
    except (RuntimeError, ValueError) as error:
        raise ConfigError(f"cannot listen on {address} ({error}): is the port taken?") from None
    if port == 0:
        raise ConfigError(f"cannot listen on {address}: is the port taken?")
    return port


def _credentials(certificate: Path, key: Path) -> grpc.ServerCredentials:
    """TLS credentials that follow the files, so that a renewed certificate needs no restart."""

    def stamp() -> tuple[int, int]:
        return certificate.stat().st_mtime_ns, key.stat().st_mtime_ns

    def read() -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration([(key.read_bytes(), certificate.read_bytes())])

    last = [stamp()] if _readable(certificate) and _readable(key) else []

    def fetch() -> Any:
        now = stamp()
        if now == last[0]:
            return None
        last[0] = now
        return read()

    return grpc.dynamic_ssl_server_credentials(read(), fetch)


def _readable(path: Path) -> bool:
    try:
        path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror})") from None
    return True


async def _health_server(settings: ServerSettings, checks: Any) -> grpc.aio.Server | None:
    if not settings.health_port:
        return None
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    if server.add_insecure_port(f"{settings.host}:{settings.health_port}") == 0:
        raise ConfigError(f"cannot listen on {settings.host}:{settings.health_port}: is the port taken?")
    await server.start()
    return server


async def _watch(ready: Callable[[], bool], checks: Any, names: Sequence[str]) -> None:
    """Keep health in step with ready(). What lives at the first readiness is kept from the garbage collector."""
    serving, frozen = False, False
    while True:
        now = ready()
        if now != serving:
            serving = now
            states = health_pb2.HealthCheckResponse
            for name in names:
                await checks.set(name, states.SERVING if now else states.NOT_SERVING)
        if now and not frozen:
            frozen = True
            gc.collect()
            gc.freeze()
        await asyncio.sleep(_READY_POLL_S)


def _signalled() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    return stop
