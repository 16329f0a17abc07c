"""What a client gets back, as plain frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SlateItem:
    """One item of a slate; sources and task scores say why it is there."""

    item_id: str
    score: float
    position: int
    sources: tuple[str, ...]
    task_scores: Mapping[str, float]
    retrieval_score: float
    propensity: float


@dataclass(frozen=True, slots=True)
class Versions:
    """What an answer was made of."""

    bundle: str
    policy: str
    item_table_position: int
    events_applied_through: int
    arm: str


@dataclass(frozen=True, slots=True)
class Slate:
    """Items in slate order. Echo recommendation_id on the events that follow."""

    recommendation_id: str
    items: tuple[SlateItem, ...]
    versions: Versions
    degraded_stages: tuple[str, ...]
    token_satisfied: bool = True


@dataclass(frozen=True, slots=True)
class SimilarUser:
    """One user and the cosine of the two users' vectors."""

    user_id: str
    score: float


@dataclass(frozen=True, slots=True)
class SimilarUsers:
    """Users, most similar first."""

    users: tuple[SimilarUser, ...]
    versions: Versions
    degraded_stages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why one entry of a batch was not taken; index is its place in the batch, from 0."""

    index: int
    field: str
    reason: str


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a batch. position: the write token of events, the item-table position of items, else 0."""

    accepted: int
    rejections: tuple[Rejection, ...]
    position: int = 0


@dataclass(frozen=True, slots=True)
class Merged:
    """What became of a merge. position: the write token; already: they were one before."""

    position: int
    already: bool


@dataclass(frozen=True, slots=True)
class Status:
    """What a process says of itself."""

    service: str
    version: str
    bundle_versions: tuple[str, ...]
    policy_version: str
    item_table_position: int
    events_applied_through: int
    uptime_s: float
    metrics: Mapping[str, float]
    refused_bundle: str

    def trouble(self) -> str:
        """In words: why writes are not taken; "" if they are, as far as this process knows."""
        if self.metrics.get("ingestion_fenced"):
            return "writes are refused: a newer feature store took this one's online store over; stop one of the two"
        if self.metrics.get("ingestion_behind"):
            return "writes are refused until the online store holds all of the event log again: see its log for why"
        return ""
