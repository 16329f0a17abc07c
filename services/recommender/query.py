"""What is asked, and what each stage makes of it. A stage adds its own fields and keeps order and length."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from penchant.events import BUILT_IN
from penchant.item_table import ItemTable
from penchant.leaves import Candidates, Condition, UserState
from penchant.policy import Placement
from penchant.trend import NO_TREND, TrendSnapshot
from penchant.types import Keys, Mask, Matrix, Rows, Vector
from services.recommender.catalogue import Catalogue
from services.recommender.deadline import Deadline
from services.recommender.degraded import Degraded


def _no_keys() -> Keys:
    return np.empty(0, np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One request for a slate, in keys. user_key 0 is a stranger; similar_to is empty but for similar items."""

    recommendation_id: str
    user_key: int
    max_items: int
    as_of_us: int
    catalogue: Catalogue
    table: ItemTable
    """The catalogue's, as it was when the request came."""
    placement: Placement
    policy_version: str
    deadline: Deadline
    degraded: Degraded
    last_bundle: bool = True
    """False: another bundle is left to try, should a leaf not hold this one."""
    tenant: str = ""
    session_id: str = ""
    placement_name: str = ""
    conditions: tuple[Condition, ...] = ()
    excluded_keys: Keys = field(default_factory=_no_keys)
    caller_keys: Keys = field(default_factory=_no_keys)
    similar_to: Keys = field(default_factory=_no_keys)
    context: Mapping[str, str] = field(default_factory=dict)
    include_seen: bool = False
    minimum_position: int = 0
    ranked: bool = True
    sources: tuple[str, ...] = ()
    return_features: bool = False
    trend: TrendSnapshot = NO_TREND
    """What is trending, as it was when the request came: for the slate that needs no leaf."""
    event_weights: NDArray[np.float64] = field(default_factory=lambda: BUILT_IN.weights)
    """The policy's weight of each event-type code."""
    user: UserState = field(default_factory=lambda: UserState(0))
    events_applied_through: int = 0
    token_satisfied: bool = True


@dataclass(frozen=True, slots=True)
class Pool:
    """B candidates with their rows and keys in the front door's own item table; row 0: not there."""

    candidates: Candidates
    rows: Rows
    keys: Keys
    item_table_position: int
    exhausted: bool
    """Retrieval had no more than these."""

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, slots=True)
class Removed:
    """Keys that each filter took out, by filter name, in retrieval order."""

    by_filter: Mapping[str, Keys]

    def keys(self, but: str = "") -> Keys:
        """All of them, or all but one filter's."""
        return np.concatenate([_no_keys(), *(keys for name, keys in self.by_filter.items() if name != but)])


@dataclass(frozen=True, slots=True)
class Scored:
    """A pool with what its slate is ordered by, [B]; task_scores [B, T] and features [B, F] only from the ranker."""

    pool: Pool
    scores: Vector
    tasks: tuple[str, ...] = ()
    task_scores: Matrix | None = None
    features: Matrix | None = None


@dataclass(frozen=True, slots=True)
class Slate:
    """K chosen items in columns, in slate order, and what they were made of."""

    query: Query
    rows: Rows
    keys: Keys
    scores: Vector
    retrieval_scores: Vector
    source_bits: NDArray[np.uint32]
    source_names: tuple[str, ...]
    propensities: Vector
    item_table_position: int
    tasks: tuple[str, ...] = ()
    task_scores: Matrix | None = None
    features: Matrix | None = None

    def __len__(self) -> int:
        return len(self.rows)


def kept(pool: Pool, mask_B: Mask) -> Pool:
    """The pool's candidates where the mask is true, in order."""
    if mask_B.all():
        return pool
    c = pool.candidates
    candidates = Candidates(
        c.rows[mask_B], c.scores[mask_B], c.source_bits[mask_B], c.features[mask_B], c.source_names,
        c.keys[mask_B] if len(c.keys) else c.keys,
    )  # fmt: skip
    return Pool(candidates, pool.rows[mask_B], pool.keys[mask_B], pool.item_table_position, pool.exhausted)


def joined(first: Pool, second: Pool) -> Pool:
    """Both pools in order, the second's candidates after the first's; they must share no item."""
    a, b = first.candidates, second.candidates
    if len(second) == 0 or a.source_names != b.source_names:
        return first
    with_keys = len(a.keys) or len(b.keys)
    candidates = Candidates(
        np.concatenate([a.rows, b.rows]),
        np.concatenate([a.scores, b.scores]),
        np.concatenate([a.source_bits, b.source_bits]),
        np.concatenate([a.features, b.features]),
        a.source_names,
        np.concatenate([first.keys, second.keys]) if with_keys else a.keys,
    )
    return Pool(
        candidates,
        np.concatenate([first.rows, second.rows]),
        np.concatenate([first.keys, second.keys]),
        min(first.item_table_position, second.item_table_position),
        second.exhausted,
    )
