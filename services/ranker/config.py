"""What the ranker can be told: [ranker] of penchant.toml."""

from services.runtime.config import LeafSettings, Port


class RankerSettings(LeafSettings):
    """Settings of the process."""

    port: Port = 50053
