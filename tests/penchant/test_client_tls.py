"""The clients over TLS, with a token, and what they say where either is missing."""

from collections.abc import Iterator
from concurrent import futures
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from penchant.client import AsyncClient, Client
from penchant.errors import ConfigError, ServiceUnavailable
from penchant.v1 import status_service_pb2, status_service_pb2_grpc


class Status(status_service_pb2_grpc.StatusServiceServicer):
    """Asks for a token."""

    def GetStatus(self, request: Any, context: Any) -> Any:  # noqa: N802
        if dict(context.invocation_metadata()).get("authorization") != "Bearer secret":
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "a token is needed")
        return status_service_pb2.GetStatusResponse(service="ranker")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Address of a TLS server, and the PEM of who signed its certificate (it did)."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(private, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    key = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )  # fmt: skip
    server = grpc.server(futures.ThreadPoolExecutor(2))
    status_service_pb2_grpc.add_StatusServiceServicer_to_server(Status(), server)
    port = server.add_secure_port("localhost:0", grpc.ssl_server_credentials([(key, pem)]))
    server.start()
    authority = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.write_bytes(pem)
    yield f"localhost:{port}", authority
    server.stop(None)


async def test_both_clients_speak_tls_with_a_token(served: tuple[str, Path]) -> None:
    address, authority = served
    with Client(address, "secret", 20.0, authority) as client:
        assert client.status().service == "ranker"
    async with AsyncClient(address, "secret", 20.0, authority) as aio:
        assert (await aio.status()).service == "ranker"


async def test_a_missing_token_is_said(served: tuple[str, Path]) -> None:
    address, authority = served
    with Client(address, "", 20.0, authority) as client, pytest.raises(ServiceUnavailable) as caught:
        client.status()
    assert caught.value.reason == "UNAUTHENTICATED"
    async with AsyncClient(address, "wrong", 20.0, authority) as aio:
        with pytest.raises(ServiceUnavailable, match="UNAUTHENTICATED"):
            await aio.status()


def test_plain_text_to_a_tls_server_is_unavailable(served: tuple[str, Path]) -> None:
    with Client(served[0], "secret", 5.0) as client, pytest.raises(ServiceUnavailable):
        client.status()


def test_a_missing_authority_is_a_bad_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="PEM"):
        Client(tls_authority=tmp_path / "none.pem")
