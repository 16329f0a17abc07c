"""Is a process ready? One small class a way of asking; each answers "" for yes, else why not."""

import socket
from dataclasses import dataclass
from typing import Protocol

import grpc
import redis
from grpc_health.v1 import health_pb2
from redis.backoff import NoBackoff
from redis.retry import Retry


class Health(Protocol):
    """One question to one process."""

    def why_not(self, timeout_s: float) -> str:
        """ "" if it is ready to serve, "NOT_SERVING" if it answers but is not, else what went wrong."""
        ...


NOT_SERVING = "NOT_SERVING"
"""The answer of a process that lives and says that it is not ready: no reason to restart it."""


@dataclass(frozen=True, slots=True)
class GrpcHealth:
    """grpc.health.v1 at host:port, without TLS."""

    address: str
    service: str = ""

    def why_not(self, timeout_s: float) -> str:
        """SERVING is the one good answer."""
        with grpc.insecure_channel(self.address, options=[("grpc.enable_http_proxy", 0)]) as channel:
            try:
                check = channel.unary_unary(
                    "/grpc.health.v1.Health/Check",
                    request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
                    response_deserializer=health_pb2.HealthCheckResponse.FromString,
                )
                answer = check(health_pb2.HealthCheckRequest(service=self.service), timeout=timeout_s)
            except grpc.RpcError as error:
                return f"{error.code().name} at {self.address}"
        return "" if answer.status == health_pb2.HealthCheckResponse.SERVING else NOT_SERVING


@dataclass(frozen=True, slots=True)
class RedisHealth:
    """PING by URL: redis://, rediss:// or unix://."""

    url: str

    def why_not(self, timeout_s: float) -> str:
        """A server that loads its file answers, but is not ready."""
        once = Retry(NoBackoff(), 0)  # by itself the client goes on trying for ten seconds
        try:
            client = redis.Redis.from_url(
                self.url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, retry=once
            )
        except ValueError:
            return f"{self.url!r} is no Redis URL: write redis://host:port/db, rediss://... or unix:///path/to/socket"
        try:
            client.ping()
        except redis.BusyLoadingError:
            return NOT_SERVING
        except redis.RedisError as error:
            return str(error) or type(error).__name__
        finally:
            client.close()
        return ""


@dataclass(frozen=True, slots=True)
class TcpHealth:
    """Something accepts connections."""

    host: str
    port: int

    def why_not(self, timeout_s: float) -> str:
        """Connects and hangs up."""
        try:
            with socket.create_connection((self.host, self.port), timeout=timeout_s):
                return ""
        except OSError as error:
            return f"{self.host}:{self.port}: {error.strerror or error}"
