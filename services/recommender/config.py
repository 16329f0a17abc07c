"""What the front door can be told."""

from pathlib import Path

from pydantic import Field, field_validator

from services.runtime.config import ServerSettings
from services.runtime.policy_file import DEFAULT_POLICY


class FrontDoorSettings(ServerSettings):
    """Of the front door itself, however its leaves are reached: [recommender] and [standalone] both have these."""

    port: int = Field(default=50051, ge=0, le=65_535)
    policy: Path = DEFAULT_POLICY
    """Policy file; read again when it changes."""
    exposures: Path | None = Path("runs/exposures")
    """Folder of the exposure log, one process each; empty: exposures are not logged."""
    exposure_bytes: int = Field(default=1 << 30, ge=1 << 20)
    """The exposure log's share of the disk: beyond it the oldest segments are dropped and counted."""
    exposure_features_rate: float = Field(default=0.01, ge=0, le=1)
    """Share of requests whose feature rows are logged with the slate."""

    @field_validator("exposures", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value


class RecommenderSettings(FrontDoorSettings):
    """Of the front door as a service of its own: where the leaves are."""

    candidate_gen: str = "127.0.0.1:50052"
    ranker: str = "127.0.0.1:50053"
    feature_store: str = "127.0.0.1:50054"
    leaf_token: str = Field(default="", repr=False)
    """Token that the leaves ask for."""
    leaf_ca: Path | None = None
    """PEM; set it where the leaves speak TLS."""
    status_poll_s: float = Field(default=1.0, gt=0, le=3600)
    """How often the leaves are asked which bundles they hold."""
