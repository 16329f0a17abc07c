"""Settings of the feature store: the [feature_store] table of penchant.toml."""

from pathlib import Path

from pydantic import Field, field_validator

from penchant.errors import ConfigError, LogError
from penchant.event_log import check_url
from penchant.event_log.rules import checked_name
from services.runtime.config import ServerSettings
from services.runtime.policy_file import DEFAULT_POLICY


class FeatureStoreSettings(ServerSettings):
    """What the feature store can be told."""

    port: int = Field(default=50054, ge=0, le=65_535)
    redis: str = Field(default="redis://127.0.0.1:6379/0", repr=False)
    """redis://[user:password@]host:port/db, rediss:// for TLS, or unix:///path/to/socket?db=0."""
    redis_connections: int = Field(default=2, ge=1, le=64)
    redis_timeout_s: float = Field(default=5.0, gt=0, le=60)
    """A Redis that answers a write later than this counts as out; reads have their call's deadline."""
    plan: Path = Path("feature_repo/plan.json")
    """Written by `python -m feature_repo apply`."""
    feast_repository: Path | None = None
    """A folder with feature_store.yaml: read and write through Feast's SDK instead of directly. Slower; needs feast."""
    other_plan: Path | None = None
    """A Feast repository of your own to serve by FetchFeatures: its plan, by `python -m feature_repo compile`."""
    other_redis: str = Field(default="", repr=False)
    """Where that repository's online store is; empty means the same Redis and database."""
    policy: Path = DEFAULT_POLICY
    """The front door's policy file: its event types are those that are taken. Read again when it changes."""
    log: str = Field(default="log", repr=False)
    """Where the event and item logs are, one process writes them: a folder, redis://host:port/db?stream=penchant or
    kafka://host:port/topic."""
    log_keep_days: float = Field(default=0.0, ge=0, le=36_500)
    """Events older than the newest by this are dropped from the log; 0 keeps all: a lost store can be rebuilt whole."""
    log_needed_by: str = ""
    """Comma-separated names, such as learner, that must be done with an event before it is dropped."""
    max_backlog: int = Field(default=20_000, ge=1000, le=1_000_000)
    """Entries that may wait to be applied; beyond it WriteEvents answers RESOURCE_EXHAUSTED."""
    deduplication_events: int = Field(default=200_000, ge=1, le=10_000_000)
    """An event id is known for this many log positions; about 150 bytes of memory each."""

    @field_validator("log_needed_by")
    @classmethod
    def _names_holders(cls, names: str) -> str:
        for name in filter(None, names.split(",")):
            try:
                checked_name(name)
            except LogError as error:
                raise ValueError(str(error)) from None
        return names

    @field_validator("log", mode="before")
    @classmethod
    def _names_a_log(cls, log: object) -> str:
        try:
            check_url(str(log))
        except ConfigError as error:
            raise ValueError(str(error).removeprefix("log ")) from None
        return str(log)
