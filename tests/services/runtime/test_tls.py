"""Over TLS: a real handshake, a renewed certificate without restart, health for the kubelet on a port of its own."""

import asyncio
import datetime
import socket
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from grpc_health.v1 import health_pb2, health_pb2_grpc

from penchant.errors import ConfigError
from services.runtime.channels import open_channel
from services.runtime.config import ServerSettings
from services.runtime.server import serve
from services.runtime.status import StatusSnapshot


def write_certificate(folder: Path, serial: int) -> tuple[Path, Path]:
    """A self-signed certificate of localhost."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    built = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(private.public_key())
    built = built.serial_number(serial).not_valid_before(now - datetime.timedelta(hours=1))
    built = built.not_valid_after(now + datetime.timedelta(hours=1))
    built = built.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    certificate = built.sign(private, hashes.SHA256())
    (folder / "tls.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "tls.key").write_bytes(key)
    return folder / "tls.crt", folder / "tls.key"


async def start(settings: ServerSettings) -> tuple[int, asyncio.Event, asyncio.Task[None]]:
    stop, port = asyncio.Event(), asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(
        serve("ranker", settings, lambda server: None, StatusSnapshot, lambda: True, (), stop, port.set_result)
    )
    return await port, stop, serving


async def health(channel: grpc.aio.Channel) -> int:
    stub = health_pb2_grpc.HealthStub(channel)
    answer: Any = await stub.Check(health_pb2.HealthCheckRequest(), timeout=60)
    return int(answer.status)


async def test_calls_go_over_tls_and_a_renewed_certificate_is_used_without_restart(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path, 1)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        kubelet_port = probe.getsockname()[1]
    port, stop, serving = await start(
        ServerSettings(port=0, tls_certificate=certificate, tls_key=key, health_port=kubelet_port, drain_s=1)
    )
    address = f"localhost:{port}"
    async with open_channel(address, certificate) as channel:
        assert await health(channel) in (1, 2)
    async with open_channel(f"127.0.0.1:{kubelet_port}") as plain:
        assert await health(plain) in (1, 2)
    async with open_channel(f"127.0.0.1:{port}") as plain:
        with pytest.raises(grpc.aio.AioRpcError):
            await health(plain)
    old = tmp_path / "old.crt"
    old.write_bytes(certificate.read_bytes())
    write_certificate(tmp_path, 2)
    async with open_channel(address, certificate) as channel:
        assert await health(channel) in (1, 2)
    async with open_channel(address, old) as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            await health(channel)
    stop.set()
    await serving


async def test_a_missing_key_is_a_sentence(tmp_path: Path) -> None:
    settings = ServerSettings(port=0, tls_certificate=tmp_path / "no.crt", tls_key=tmp_path / "no.key")
    with pytest.raises(ConfigError, match=r"no\.crt cannot be read"):
        await serve("ranker", settings, lambda server: None, StatusSnapshot, lambda: True, (), asyncio.Event())
