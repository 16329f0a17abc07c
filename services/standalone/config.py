"""What the standalone process can be told: the front door's settings and the leaves' own, in one table."""

from typing import Literal

from pydantic import Field

from services.feature_store.config import FeatureStoreSettings
from services.recommender.config import FrontDoorSettings


class StandaloneSettings(FrontDoorSettings, FeatureStoreSettings):
    """[standalone] of penchant.toml."""

    port: int = Field(default=50051, ge=0, le=65_535)
    index: Literal["auto", "hnsw", "exact"] = "auto"
    """Nearest-neighbour search: auto takes hnsw from 1,000 items up, where it finds what exact search finds."""
