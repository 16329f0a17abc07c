"""What the ranker can be told: [ranker] of penchant.toml."""

from services.runtime.config import LeafSettings


class RankerSettings(LeafSettings):
    """Settings of the process."""

    port: int = 50053
