"""The seams of the request path: what the front door asks of each leaf, as numpy, without any wire.

A leaf is reached through one of these Protocols: over gRPC (services/recommender) or by a direct call
(services/standalone). Every method takes deadline_s, the seconds left for the call.
"""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from penchant.types import Bits, Keys, Matrix, Rows, Times, Vector

HISTORY_LENGTH = 200
SEEN_LENGTH = 10_000


def _no_keys() -> Keys:
    return np.empty(0, np.int64)


def _no_floats() -> Vector:
    return np.empty(0, np.float32)


@dataclass(frozen=True, slots=True)
class UserState:
    """What the online store holds of one user that the request path reads.

    history_* are aligned, oldest first, at most HISTORY_LENGTH; history_values is NaN where the event had
    none. seen_keys and hidden_keys are sorted. lowered_*: what the user skipped, oldest first. dense (Fu) is aged
    to the request's time.
    """

    user_key: int
    found: bool = False
    history_keys: Keys = field(default_factory=_no_keys)
    history_times: Times = field(default_factory=_no_keys)
    history_types: Keys = field(default_factory=_no_keys)
    history_values: Vector = field(default_factory=_no_floats)
    seen_keys: Keys = field(default_factory=_no_keys)
    hidden_keys: Keys = field(default_factory=_no_keys)
    dense: Vector = field(default_factory=_no_floats)
    applied_position: int = 0
    lowered_keys: Keys = field(default_factory=_no_keys)
    lowered_times: Times = field(default_factory=_no_keys)
    lowered_types: Keys = field(default_factory=_no_keys)
    texts: tuple[tuple[int, str], ...] = ()
    """What the user lately searched for or wrote, with its time in microseconds, oldest first."""
    merged_from: int = 0
    """The key that was asked for, where it was merged into user_key; else 0."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """B candidates in columns of equal length, best blended first.

    rows uint32 [B] into the item table (never 0); scores float32 [B] descending; source_bits uint32 [B],
    bit i is source_names[i]; features float32 [B, S], the retrieval features in the bundle's order. keys int64 [B]
    when any row is newer than the bundle, else empty: see ItemTable.own_rows.
    """

    rows: Rows
    scores: Vector
    source_bits: Bits
    features: Matrix
    source_names: tuple[str, ...]
    keys: Keys = field(default_factory=_no_keys)


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition on one item attribute; an item without the attribute fails it, unless negated."""

    attribute: str
    any_of: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    negate: bool = False


@dataclass(frozen=True, slots=True)
class RetrievalQuery:
    """What to retrieve. excluded_keys, caller_keys and similar_to_keys are int64, in the caller's order."""

    bundle_version: str
    user: UserState
    max_candidates: int
    as_of_us: int
    excluded_keys: Keys = field(default_factory=_no_keys)
    include_seen: bool = False
    conditions: tuple[Condition, ...] = ()
    sources: tuple[str, ...] = ()
    caller_keys: Keys = field(default_factory=_no_keys)
    similar_to_keys: Keys = field(default_factory=_no_keys)
    similar_users: bool = False


@dataclass(frozen=True, slots=True)
class Retrieved:
    """The answer; degraded_sources lists "source:reason"; similar_user_* only when they were asked for."""

    candidates: Candidates
    item_table_position: int
    degraded_sources: tuple[str, ...] = ()
    similar_user_keys: Keys = field(default_factory=_no_keys)
    similar_user_scores: Vector = field(default_factory=_no_floats)


@dataclass(frozen=True, slots=True)
class RankingQuery:
    """What to score."""

    bundle_version: str
    user: UserState
    candidates: Candidates
    as_of_us: int
    return_features: bool = False


@dataclass(frozen=True, slots=True)
class Ranked:
    """scores float32 [B, T] in request order; features float32 [B, F] only when asked for."""

    scores: Matrix
    tasks: tuple[str, ...]
    item_table_position: int
    features: Matrix | None = None


@dataclass(frozen=True, slots=True)
class FetchedUsers:
    """User states in request order, and how far the store has come."""

    users: tuple[UserState, ...]
    events_applied_through: int
    item_table_position: int


class FeatureLeaf(Protocol):
    """The feature store, as the request path sees it."""

    async def fetch_users(
        self, user_keys: Keys, as_of_us: int, minimum_position: int, deadline_s: float
    ) -> FetchedUsers:
        """States of the users, in request order; a user never written has found=False.

        Waits until minimum_position is applied or the deadline nears. Raises StoreUnavailable.
        """
        ...


class RetrievalLeaf(Protocol):
    """Candidate generation, as the request path sees it."""

    async def retrieve(self, query: RetrievalQuery, deadline_s: float) -> Retrieved:
        """Blended candidates. Raises UnknownBundle, InvalidArgument (unknown attribute or source)."""
        ...


class RankingLeaf(Protocol):
    """The ranker, as the request path sees it."""

    async def rank(self, query: RankingQuery, deadline_s: float) -> Ranked:
        """Task scores. Raises UnknownBundle."""
        ...
