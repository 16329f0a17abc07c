"""A front door over fakes that implement the leaf Protocols, and a catalogue of twenty items in memory."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penchant.bundle import FORMAT, Manifest
from penchant.errors import StoreUnavailable, UnknownBundle
from penchant.ids import key, keys
from penchant.item_table import ItemTable, TagColumn
from penchant.leaves import (
    Candidates,
    FetchedUsers,
    Ranked,
    RankingQuery,
    RetrievalQuery,
    Retrieved,
    UserState,
)
from penchant.policy import Placement
from penchant.retrieval import RETRIEVAL_FEATURES, SOURCES, RetrievalSettings
from services.recommender.assembly import assemble
from services.recommender.catalogue import Catalogue
from services.recommender.deadline import Deadline
from services.recommender.degraded import Degraded
from services.recommender.front_door import FrontDoor
from services.recommender.query import Query
from services.recommender.versions import BundleChoice

ITEMS = 20
AS_OF_US = 1_700_000_000_000_000


def manifest(version: str = "b1") -> Manifest:
    return Manifest(
        version, FORMAT, "2026-01-01T00:00:00Z", "toy", {}, 0, 0, ITEMS, 2, 5, "fingerprint", {},
        RetrievalSettings().to_json(), ("like", "buy"), {"like": 1.0, "buy": 2.0}, {}, {},
    )  # fmt: skip


def catalogue(version: str = "b1") -> Catalogue:
    """Items i1..i20, row order by key; odd ones are red, even ones blue; the popularity is the row."""
    ids = sorted((f"i{n}" for n in range(1, ITEMS + 1)), key=lambda i: key("", i))
    angles = np.linspace(0, np.pi, ITEMS + 1, dtype=np.float32)
    embeddings = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    colours = np.array([(int(i[1:]) + 1) % 2 for i in ids], np.uint32)
    colour = TagColumn(("red", "blue"), np.array([0, 0, *range(1, ITEMS + 1)], np.int64), colours)
    table = ItemTable(
        np.concatenate([[0], keys("", ids)]), ["", *ids], embeddings, np.zeros((ITEMS + 1, 3), np.float32),
        np.zeros((ITEMS + 1, 4), np.float32), np.zeros(ITEMS + 1, np.int64), {"colour": colour},
        {"price": np.arange(ITEMS + 1, dtype=np.float32)},
    )  # fmt: skip
    scores = np.log((np.arange(ITEMS + 1) + 1) / 500).astype(np.float32)
    popular = np.arange(ITEMS, 0, -1).astype(np.uint32)
    return Catalogue(Path("nowhere"), manifest(version), table, popular, scores, scores)


@dataclass
class FakeStore:
    """States by user key; may fail or dawdle."""

    users: dict[int, UserState] = field(default_factory=dict)
    error: Exception | None = None
    delay_s: float = 0.0
    applied: int = 7
    asked: list[tuple[int, int]] = field(default_factory=list)

    async def fetch_users(
        self, user_keys: np.ndarray, as_of_us: int, minimum_position: int, deadline_s: float
    ) -> FetchedUsers:
        self.asked.append((as_of_us, minimum_position))
        await asyncio.sleep(self.delay_s)
        if self.error:
            raise self.error
        users = tuple(self.users.get(k, UserState(k)) for k in user_keys.tolist())
        return FetchedUsers(users, self.applied, 0)


@dataclass
class FakeRetrieval:
    """Every allowed row, the lowest first."""

    catalogues: dict[str, Catalogue]
    error: Exception | None = None
    delay_s: float = 0.0
    blind: bool = False
    """Leave what is seen, hidden or excluded in."""
    asked: list[RetrievalQuery] = field(default_factory=list)
    similar: tuple[np.ndarray, np.ndarray] | None = None

    async def retrieve(self, query: RetrievalQuery, deadline_s: float) -> Retrieved:
        self.asked.append(query)
        await asyncio.sleep(self.delay_s)
        if self.error:
            raise self.error
        if query.bundle_version not in self.catalogues:
            raise UnknownBundle(query.bundle_version)
        table = self.catalogues[query.bundle_version].table
        allowed = table.allowed(query.conditions)
        if query.sources == ("co_visitation",):
            allowed[:] = False
        if not self.blind or len(self.asked) > 1:
            allowed[table.rows_of(query.excluded_keys)] = False
            allowed[table.rows_of(query.user.hidden_keys)] = False
            if not query.include_seen:
                allowed[table.rows_of(query.user.seen_keys)] = False
        rows = np.flatnonzero(allowed).astype(np.uint32)[: query.max_candidates]
        block = Candidates(
            rows, -np.arange(len(rows), dtype=np.float32), np.full(len(rows), 3, np.uint32),
            np.zeros((len(rows), len(RETRIEVAL_FEATURES)), np.float32), SOURCES,
        )  # fmt: skip
        if self.similar and query.similar_users:
            return Retrieved(block, 0, (), *self.similar)
        return Retrieved(table.with_keys(block), table.position)


@dataclass
class FakeRanker:
    """Scores the two tasks by `score`, of the rows."""

    versions: Sequence[str] = ("b1",)
    score: Callable[[np.ndarray], np.ndarray] = lambda rows: rows.astype(np.float32)
    error: Exception | None = None
    delay_s: float = 0.0
    asked: list[RankingQuery] = field(default_factory=list)

    async def rank(self, query: RankingQuery, deadline_s: float) -> Ranked:
        self.asked.append(query)
        await asyncio.sleep(self.delay_s)
        if self.error:
            raise self.error
        if query.bundle_version not in self.versions:
            raise UnknownBundle(query.bundle_version)
        scores = self.score(query.candidates.rows)
        features = np.stack([scores] * 6, axis=1) if query.return_features else None
        return Ranked(np.stack([scores, scores / 2], axis=1).astype(np.float32), ("like", "buy"), 0, features)


@dataclass
class World:
    """A front door and the fakes behind it."""

    store: FakeStore
    retrieval: FakeRetrieval
    ranker: FakeRanker
    catalogues: dict[str, Catalogue]
    door: FrontDoor
    effects: list[Any]

    def query(self, user: str = "", deadline_s: float = 5.0, **fields: Any) -> Query:
        """A query of a user by id, "" for a stranger."""
        first = next(iter(self.catalogues.values()))
        given: dict[str, Any] = {
            "recommendation_id": "r1", "user_key": key("", user) if user else 0, "max_items": 5,
            "as_of_us": AS_OF_US, "catalogue": first, "table": first.table.view(),
            "placement": Placement(), "policy_version": "p1",
            "deadline": Deadline(deadline_s, time.monotonic), "degraded": Degraded(),
        }  # fmt: skip
        if "catalogue" in fields:
            given["table"] = fields["catalogue"].table.view()
        return Query(**{**given, **fields})

    def know(self, user: str, seen: Sequence[str] = (), hidden: Sequence[str] = ()) -> None:
        """Give a user seen and hidden items."""
        state = UserState(key("", user), True)
        self.store.users[state.user_key] = replace(
            state, seen_keys=np.sort(keys("", seen)), hidden_keys=np.sort(keys("", hidden))
        )

    def ids(self, slate: Any) -> list[str]:
        """The slate's item ids."""
        return [slate.query.catalogue.table.ids[r] for r in slate.rows.tolist()]


@pytest.fixture
def world() -> World:
    """One bundle, everything well."""
    catalogues = {"b1": catalogue("b1")}
    store, retrieval, ranker = FakeStore(), FakeRetrieval(catalogues), FakeRanker()
    effects: list[Any] = []
    choice = BundleChoice(lambda: tuple(catalogues))
    door = assemble(
        store, retrieval, ranker, choice, catalogues.__getitem__, [lambda q, s, r: effects.append((q, s, r))]
    )
    return World(store, retrieval, ranker, catalogues, door, effects)


@pytest.fixture
def store_down() -> StoreUnavailable:
    """What a dead store raises."""
    return StoreUnavailable("gone")


@pytest.fixture
def more_of() -> Callable[[str], Catalogue]:
    """Makes a further bundle."""
    return catalogue
