"""What candidate generation can be told: [candidate_gen] of penchant.toml."""

from typing import Literal

from services.runtime.config import LeafSettings, Port


class CandidateGenSettings(LeafSettings):
    """Settings of the process."""

    port: Port = 50052
    index: Literal["auto", "hnsw", "exact"] = "auto"
    """Nearest-neighbour search: auto takes hnsw from 1,000 items up, where it finds what exact search finds."""
