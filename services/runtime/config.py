"""Configuration of a process: a table a service in penchant.toml, environment overrides, frozen, nothing unknown."""

import difflib
import ipaddress
import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, EnvSettingsSource

from penchant.errors import ConfigError

SERVICES = ("recommender", "candidate_gen", "ranker", "feature_store", "standalone")
"""Tables of penchant.toml, and the first part of an override: PENCHANT_<SERVICE>__<FIELD>."""
CONFIG_VARIABLE = "PENCHANT_CONFIG"
TOKEN_VARIABLE = "PENCHANT_TOKEN"
"""The client's token; servers do not read it."""
CRASH_VARIABLE = "PENCHANT_CRASH_POINT"
"""Where a crash test kills the feature store; see services.feature_store.crash_points."""
DEFAULT_FILE = Path("penchant.toml")

Port = Annotated[int, Field(ge=0, le=65_535)]
S = TypeVar("S", bound="ServerSettings")


class ServerSettings(BaseModel):
    """What every server can be told; a service's own settings inherit it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    """Address to listen on. Beyond loopback it needs TLS, a token, or allow_insecure."""
    port: Port = 50051
    """0 lets the system choose."""
    bundles: Path = Path("bundles")
    """Folder of bundles with its CURRENT pointer."""
    token: str = Field(default="", repr=False)
    """Callers must send it as "authorization: Bearer <token>"; empty asks for none. Health checks need none."""
    tls_certificate: Path | None = None
    """PEM certificate chain; read again when the file changes."""
    tls_key: Path | None = None
    """PEM private key of tls_certificate."""
    allow_insecure: bool = False
    """Listen beyond loopback without TLS and token."""
    health_port: Port = 0
    """Serve health checks alone here too, without TLS (the kubelet's gRPC probe speaks none); 0 is off."""
    metrics_port: Port = 0
    """Prometheus metrics over HTTP; 0 is off."""
    metrics_host: str = "127.0.0.1"
    """Address of metrics_port. Beyond loopback it needs allow_insecure: it asks for no token."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "console", "json"] = "auto"
    """auto is console on a terminal, else JSON."""
    drain_s: float = Field(default=5.0, ge=0, le=600)
    """Running calls get this long to end when the process is told to stop."""
    default_deadline_s: float = Field(default=1.0, gt=0, le=600)
    """Deadline of a call that came without one."""
    max_concurrent_calls: int = Field(default=256, ge=1, le=100_000)
    """Calls above it are refused at once with RESOURCE_EXHAUSTED."""
    max_message_bytes: int = Field(default=4 << 20, ge=1 << 10, le=1 << 30)
    """A larger request is refused with RESOURCE_EXHAUSTED."""
    max_connection_age_s: float = Field(default=0.0, ge=0)
    """Connections are closed gently after this long, so that clients that resolve DNS see new servers; 0 is never."""
    bundle_poll_s: float = Field(default=1.0, gt=0, le=3600)
    """How often CURRENT is looked at."""

    @model_validator(mode="after")
    def _door_is_closed(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key go together: give both or none")
        if not (is_loopback(self.host) or self.tls_certificate or self.token or self.allow_insecure):
            raise ValueError(
                f"host {self.host!r} is reachable from other machines: set tls_certificate and tls_key, or token, or "
                "write allow_insecure = true if the network itself is closed"
            )
        if self.metrics_port and not (is_loopback(self.metrics_host) or self.allow_insecure):
            raise ValueError(
                f"metrics_host {self.metrics_host!r} is reachable from other machines: write allow_insecure = true if "
                "the network itself is closed"
            )
        return self


class LeafSettings(ServerSettings):
    """A server that answers from a bundle and follows the items that the feature store tells of."""

    feature_store: str = "127.0.0.1:50054"
    """Address of the feature store, host:port or dns:///name:port; empty: new items are not followed."""
    feature_store_token: str = Field(default="", repr=False)
    """Token of the feature store's door."""
    feature_store_ca: Path | None = None
    """PEM certificate authority of the feature store; without one the channel is not encrypted."""


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    if host == "localhost" or host.startswith("unix:"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def load(service: str, settings: type[S], environment: Mapping[str, str] | None = None) -> S:
    """Settings of a service: defaults, then its table in the file, then PENCHANT_<SERVICE>__<FIELD>.

    The file is PENCHANT_CONFIG, or ./penchant.toml where there is one. Raises ConfigError naming what is unknown or
    out of bounds and where it was said.
    """
    environment = os.environ if environment is None else environment
    path = environment.get(CONFIG_VARIABLE)
    file = Path(path) if path else DEFAULT_FILE
    table = _table(file, service) if path or file.exists() else {}
    _refuse_unknown(table, settings.model_fields, f"{file} [{service}]")
    overrides = _overrides(service, settings, environment)
    try:
        return settings.model_validate({**table, **overrides})
    except ValidationError as error:
        raise ConfigError("; ".join(_sentences(error, service, file, overrides))) from None


def _table(file: Path, service: str) -> dict[str, Any]:
    try:
        tables = tomllib.loads(file.read_text())
    except OSError as error:
        raise ConfigError(f"{file} cannot be read ({error.strerror}): mend {CONFIG_VARIABLE}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is no TOML: {error}") from None
    _refuse_unknown(tables, SERVICES, str(file))
    table = tables.get(service, {})
    if not isinstance(table, dict):
        raise ConfigError(f"{file}: {service} must be a table: write [{service}]")
    return table


def _overrides(service: str, settings: type[ServerSettings], environment: Mapping[str, str]) -> dict[str, Any]:
    """Fields the environment sets. Other services' overrides are theirs to check."""
    for name in environment:
        if not name.upper().startswith("PENCHANT_") or name in (CONFIG_VARIABLE, TOKEN_VARIABLE, CRASH_VARIABLE):
            continue
        owner, separator, field = name.upper().removeprefix("PENCHANT_").partition("__")
        if separator and owner.lower() in SERVICES:
            known = settings.model_fields if owner.lower() == service else (field.lower(),)
            if field.lower() in known:
                continue
            candidates = [f"PENCHANT_{owner}__{f.upper()}" for f in known]
        else:
            candidates = [CONFIG_VARIABLE, TOKEN_VARIABLE]
            candidates += [f"PENCHANT_{s.upper()}__{f.upper()}" for s in SERVICES for f in settings.model_fields]
        raise ConfigError(f"unknown environment variable {name}{_did_you_mean(name, candidates)}")
    source = EnvSettingsSource(cast(type[BaseSettings], settings), env_prefix=f"PENCHANT_{service.upper()}__")
    source.env_vars = {name.lower(): value for name, value in environment.items()}
    return source()


def _refuse_unknown(found: Iterable[str], known: Iterable[str], place: str) -> None:
    known = list(known)
    for name in found:
        if name not in known:
            raise ConfigError(f"{place}: unknown name {name!r}{_did_you_mean(name, known)}")


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f": did you mean {close[0]!r}?" if close else f"; known are: {', '.join(sorted(known)[:40])}"


def _sentences(error: ValidationError, service: str, file: Path, overrides: Mapping[str, Any]) -> list[str]:
    sentences = []
    for problem in error.errors():
        path = ".".join(str(part) for part in problem["loc"])
        field = path.split(".")[0]
        where = f"PENCHANT_{service.upper()}__{field.upper()}" if field in overrides else f"{file} [{service}] {path}"
        given = "" if field in ("token", "log", "") else f" (given: {problem['input']!r})"
        sentences.append(f"{where.strip()}: {problem['msg'].removeprefix('Value error, ')}{given}")
    return sentences
