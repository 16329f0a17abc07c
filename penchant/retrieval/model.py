"""Candidates from several sources, blended: the retrieval that is served is the retrieval that is evaluated."""

import json
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penchant.bundle import Manifest
from penchant.columns import Column
from penchant.errors import InvalidArgument
from penchant.item_table import ItemTable
from penchant.leaves import Candidates
from penchant.mapped import mapped
from penchant.retrieval.co_visitation import CoVisitation
from penchant.retrieval.delta import DeltaSearch
from penchant.retrieval.features import (
    BLEND,
    CO_VISITATION,
    CONTENT,
    DOT,
    LAST_CO_VISITATION,
    POPULAR,
    RECIPROCAL_RANK,
    RETRIEVAL_FEATURES,
)
from penchant.retrieval.live import live_shares, with_live
from penchant.retrieval.new_items import made_new, new_like, with_new
from penchant.retrieval.remembered import Remembered
from penchant.retrieval.rows import distinct, first, look_up, of_bundled, union
from penchant.retrieval.search import Search, best, merged
from penchant.retrieval.settings import RetrievalSettings
from penchant.retrieval.text import ContentIndex, lifted
from penchant.trend import NO_TREND, TrendSnapshot
from penchant.types import Keys, Mask, Matrix, Rows, Vector

SOURCES = ("two_tower", "co_visitation", "popular", "fresh", "content", "caller")
"""Bit i of source_bits is SOURCES[i]."""
_NEWEST = 5
"""History items that content looks back on."""
_NEW = 50
"""Items newer than the bundle that the tower proposes beside its nearest: their vectors, made from content alone, are
shorter than learnt ones, and would seldom be among those."""
_REMEMBERED_VECTORS = 32 << 20
_REMEMBERED_FOLLOWERS = 96 << 20
"""Bytes: of users who come back before they act again, the tower need not be asked again."""
_BIT = {name: np.uint32(1 << i) for i, name in enumerate(SOURCES)}

Tower = Callable[[NDArray[np.int64]], Matrix]
"""history_rows int64 [1, L], left-padded with 0, newest last, to user embeddings [1, D]."""


@dataclass(slots=True)
class RetrievalModel:
    """Everything a query needs, by row. embeddings and content may reach beyond the bundle: the item table's delta."""

    settings: RetrievalSettings
    history_length: int
    embeddings: Matrix | Column
    content: Matrix | Column
    co_visitation: CoVisitation
    popular_rows: Rows
    """[W, K] best first, by window; the last window is all time."""
    popular_scores: Vector
    """[N+1] log share of all-time events, for every row."""
    trend_scores: Vector
    """[N+1] log share of events in the window that the settings chose, smoothed by all time."""
    fresh_rows: Rows
    neighbours: Rows
    """[N+1, K] content neighbours, best first, 0 for none."""
    user_keys: Keys
    user_embeddings: Matrix
    tower: Tower
    search: Search
    delta_rows: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    """Rows that came after the bundle, newest first; see over()."""
    delta: DeltaSearch = field(init=False)
    """Searches those rows; one for all that over() makes of a model."""
    late_search: Search | None = None
    """delta's, over the table that over() was given."""
    vectors: Remembered[Vector] = field(init=False)
    """The tower's, by history; one for all that over() makes of a model, as the next."""
    followers: Remembered[tuple[Rows, Vector, Rows, Vector]] = field(init=False)
    """Co-visitation of a history and of its last item."""
    content_index: ContentIndex = field(init=False)
    """Of the bundle's rows, for texts; one for all that over() makes of a model."""
    live_rows: Rows = field(default_factory=lambda: np.empty(0, np.uint32))
    """Rows that are trending now, ascending; see over()."""
    live_shares: Vector = field(default_factory=lambda: np.empty(0, np.float32))
    """What live events add to their share of the trend."""
    _live_order: Rows = field(init=False, default_factory=lambda: np.empty(0, np.uint32))
    _popular_order: Rows = field(init=False)
    """Popular rows of every window in turn, the shortest window first, each row once."""
    _fresh_order: Rows = field(init=False)
    _least_popular: float = field(init=False)
    _least_trend: float = field(init=False)

    def __post_init__(self) -> None:
        self.content_index = ContentIndex(self.content.base if isinstance(self.content, Column) else self.content)
        self._popular_order = distinct(np.asarray(self.popular_rows.T.ravel(), np.uint32))
        self._fresh_order = distinct(self.fresh_rows)
        self.delta = DeltaSearch(self.user_embeddings)
        self.vectors = Remembered(_REMEMBERED_VECTORS)
        self.followers = Remembered(_REMEMBERED_FOLLOWERS)
        self._least_popular = float(self.popular_scores.min())
        self._least_trend = float(self.trend_scores.min())

    @classmethod
    def open(
        cls,
        folder: Path,
        manifest: Manifest,
        tower: Tower,
        search: Search,
        embeddings: Matrix | Column,
        content: Matrix | Column,
    ) -> "RetrievalModel":
        """Map a verified bundle's retrieval files; embeddings and content come from its ItemTable."""
        retrieval = folder / "retrieval"
        model = cls(
            RetrievalSettings.from_json(manifest.retrieval),
            manifest.history_length,
            embeddings,
            content,
            CoVisitation.open(retrieval),
            np.load(retrieval / "popular.rows.npy"),
            np.load(retrieval / "popular.scores.npy"),
            np.load(retrieval / "trend.scores.npy"),
            np.load(retrieval / "fresh.rows.npy"),
            mapped(retrieval / "neighbours.rows.npy"),
            mapped(folder / "users" / "keys.npy"),
            mapped(folder / "users" / "embeddings.npy"),
            tower,
            search,
        )
        model.content_index.ready()
        return model

    def over(self, table: ItemTable, trend: TrendSnapshot = NO_TREND, as_of_us: int = 0) -> "RetrievalModel":
        """The model over an item table and the live trend as they are now, delta included."""
        model = copy(self)
        model.embeddings, model.content, model.delta_rows = table.embeddings, table.content, table.newest_rows
        model.late_search = self.delta.over(table)
        model.live_rows, model.live_shares = live_shares(trend, table, as_of_us)
        if len(model.live_rows):
            shares = model._trend_of(model.live_rows)
            model._live_order = model.live_rows[np.lexsort((model.live_rows, -shares))]
        return model

    def _trend_of(self, rows: NDArray[np.integer]) -> Vector:
        """Log share of the trend, live events included."""
        return with_live(of_bundled(rows, self.trend_scores, self._least_trend), rows, self.live_rows, self.live_shares)

    def user_vector(self, history_rows: NDArray[np.int64]) -> Vector:
        """The tower's embedding [D] of a history of rows, oldest first."""
        padded = np.zeros((1, self.history_length), np.int64)
        newest = history_rows[-self.history_length :]
        if len(newest):
            padded[0, -len(newest) :] = newest
        return np.asarray(self.tower(padded)[0], np.float32)

    def retrieve(
        self,
        history_rows: NDArray[np.int64],
        allowed: Mask,
        max_candidates: int,
        sources: Sequence[str] = (),
        caller_rows: Rows | None = None,
        user_vector: Vector | None = None,
        fill: bool = False,
        text: Vector | None = None,
    ) -> tuple[Candidates, tuple[str, ...]]:
        """At most max_candidates allowed rows, best blended first, and the sources that failed, "source:reason".

        history_rows [H]: rows the user acted on, oldest first, 0 for items no longer known. allowed [M+1]: what
        may be returned at all. If the sources do not fill the list, popular items and then any allowed ones do:
        always with fill or without a choice of sources, and in any case where the list would be empty. text: a
        text_vector; items like it are proposed by content, and their scores are lifted, their features are not.
        Raises InvalidArgument for an unknown source.
        """
        used = _known_sources(sources)
        known = history_rows[history_rows > 0]
        query = _Query(known, known[known < len(self.neighbours)], allowed, caller_rows, user_vector, text)
        degraded: list[str] = []

        def attempt(name: str, step: Callable[[_Query], Rows | None]) -> Rows | None:
            try:
                return step(query)
            except Exception as error:
                degraded.append(f"{name}:{type(error).__name__}")
                return None

        if user_vector is None and len(query.bundled):
            attempt("two_tower", self._set_vector)
        attempt("co_visitation", self._set_followers)
        steps = {
            "two_tower": self._nearest,
            "co_visitation": self._followers,
            "popular": self._popular,
            "fresh": self._fresh,
            "content": self._like_the_newest,
            "caller": self._caller,
        }
        proposed = {name: attempt(name, steps[name]) for name in SOURCES if name in used}
        by_source = {name: rows for name, rows in proposed.items() if rows is not None}
        rows, bits = union(by_source, _BIT)
        if fill or not sources or "popular" in used or len(rows) == 0:
            rows, bits = self._filled(rows, bits, allowed, max_candidates)
        features = self._features(rows, bits, query)
        score = features[:, 0] if len(used) > 1 else _own_order(next(iter(used)), by_source, rows, features)
        if used == {"popular"}:
            score = with_live(score, rows, self.live_rows, self.live_shares)
        if text is not None and len(used) > 1:
            score = lifted(score, self.content[rows], text)
        order = np.lexsort((rows, -features[:, POPULAR], -score))
        if len(used) > 1:
            order = with_new(order, rows >= len(self.popular_scores), max_candidates)
        order = order[:max_candidates]
        features = features[order]
        if len(query.bundled):
            liked = self.content[query.bundled[-_NEWEST:]].mean(axis=0)
            features[:, CONTENT] = self.content[rows[order]] @ liked
        features[:, RECIPROCAL_RANK] = 1.0 / np.sqrt(1.0 + np.arange(len(order)))
        block = Candidates(rows[order], score[order].astype(np.float32), bits[order], features, SOURCES)
        return block, tuple(dict.fromkeys(degraded))

    def _set_vector(self, query: "_Query") -> None:
        key = query.bundled.tobytes()
        query.vector = self.vectors.of(key, len(key), lambda: self.user_vector(query.bundled))

    def _set_followers(self, query: "_Query") -> None:
        half_life, key = self.settings.history_half_life, query.bundled.tobytes()

        def scores() -> tuple[Rows, Vector, Rows, Vector]:
            of_last = self.co_visitation.scores(query.bundled[-1:], half_life)
            return *self.co_visitation.scores(query.bundled, half_life), *of_last

        rows, mass, last_rows, last_mass = self.followers.of((half_life, key), len(key), scores)
        query.followers, query.last_followers = (rows, mass), (last_rows, last_mass)

    def _nearest(self, query: "_Query") -> Rows | None:
        if query.vector is None:
            return None
        k = self.settings.quotas["two_tower"]
        found = self.search(query.vector, k, query.allowed)
        if self.late_search is None:
            return found[0]
        late = self.late_search(query.vector, k, query.allowed)
        return distinct(np.concatenate([merged(found, late, k)[0], late[0][:_NEW]]))

    def _followers(self, query: "_Query") -> Rows:
        rows, scores = query.followers
        permitted = query.allowed[rows]
        return best(rows[permitted], scores[permitted], self.settings.quotas["co_visitation"])[0]

    def _popular(self, query: "_Query") -> Rows:
        return self._popular_first(query.allowed, self.settings.quotas["popular"])

    def _popular_first(self, allowed: Mask, k: int) -> Rows:
        """k popular rows, at most half of them because they are trending now."""
        popular = first(self._popular_order, allowed, k)
        if len(self._live_order) == 0:
            return popular
        live = first(self._live_order, allowed, max(k // 2, 1))
        return distinct(np.concatenate([live, popular]))[:k]

    def _fresh(self, query: "_Query") -> Rows:
        return first(np.concatenate([self.delta_rows, self._fresh_order]), query.allowed, self.settings.quotas["fresh"])

    def _like_the_newest(self, query: "_Query") -> Rows | None:
        quota = self.settings.quotas["content"]
        asked = self._like_the_text(query, quota)
        newest = query.known[::-1][:_NEWEST]
        if len(newest) == 0:
            return asked
        late = newest >= len(self.neighbours)
        near = np.array(self.neighbours[np.where(late, 0, newest)])
        for place in np.flatnonzero(late):
            near[place] = self._content_neighbours(int(newest[place]), near.shape[1])
        new = new_like(self.content, newest, query.allowed)
        like = first(distinct(np.concatenate([new, near.T.ravel()])), query.allowed, quota)
        return like if asked is None else distinct(np.concatenate([asked, like]))

    def _like_the_text(self, query: "_Query", k: int) -> Rows | None:
        if query.text is None:
            return None
        late = self.content.extra if isinstance(self.content, Column) else self.content[:0]
        return self.content_index.nearest(query.text, late, query.allowed, k)

    def _caller(self, query: "_Query") -> Rows | None:
        if query.caller_rows is None:
            return None
        return first(distinct(query.caller_rows), query.allowed, self.settings.quotas["caller"])

    def _content_neighbours(self, row: int, k: int) -> Rows:
        """The bundle's rows nearest in content to a row of the delta, 0 where there are fewer."""
        base = self.content.base if isinstance(self.content, Column) else self.content
        similarity = np.asarray(base[: len(self.neighbours)] @ self.content[row])
        near = np.zeros(k, np.uint32)
        found = best(np.flatnonzero(similarity > 1e-6), similarity[similarity > 1e-6], k)[0]
        near[: len(found)] = found
        return near

    def _features(self, rows: Rows, bits: NDArray[np.uint32], query: "_Query") -> Matrix:
        """Retrieval features [B, S], both terms of the blend exact for every candidate that the models know.

        All but content and place, which nothing is ordered by: they are added for those that are kept.
        """
        settings, vector = self.settings, query.vector
        features = np.zeros((len(rows), len(RETRIEVAL_FEATURES)), np.float32)
        if vector is not None:
            features[:, DOT] = self.embeddings[rows] @ vector
        features[:, CO_VISITATION] = np.log(look_up(rows, *query.followers) + settings.floor)
        features[:, LAST_CO_VISITATION] = np.log(look_up(rows, *query.last_followers) + settings.floor)
        features[:, POPULAR] = of_bundled(rows, self.popular_scores, self._least_popular)
        trend = self._trend_of(rows)
        if vector is None:
            features[:, BLEND] = trend
        else:
            weight, dot, log_co = settings.tower_weight, features[:, DOT], features[:, CO_VISITATION]
            features[:, BLEND] = weight * dot + (1.0 - weight) * log_co + settings.trend_weight * trend
        new = rows >= len(self.popular_scores)
        if new.any() and not new.all():
            near = features[~new][bits[~new] & _BIT["two_tower"] > 0]
            near = near if len(near) else features[~new]
            features[new] = made_new(features[new], near, settings.tower_weight, settings.new_lift)
            # What happens now is known of them all the same.
            if vector is None:
                features[new, BLEND] = with_live(features[new, BLEND], rows[new], self.live_rows, self.live_shares)
            else:
                features[new, BLEND] += settings.trend_weight * (trend[new] - self._least_trend)
        return features

    def _filled(self, rows: Rows, bits: NDArray[np.uint32], allowed: Mask, k: int) -> tuple[Rows, NDArray[np.uint32]]:
        """With popular and then any allowed items appended until there are k, so no slate is empty needlessly."""
        if len(rows) >= k:
            return rows, bits
        free = allowed.copy()
        free[rows] = False
        more = self._popular_first(free, k - len(rows))
        free[more] = False
        rest = np.flatnonzero(free)
        rest_scores = of_bundled(rest, self.popular_scores, self._least_popular)
        more = np.concatenate([more, best(rest, rest_scores, k)[0]])[: k - len(rows)]
        filled = np.concatenate([rows, more])
        return filled, np.concatenate([bits, np.full(len(more), _BIT["popular"], np.uint32)])

    def similar_items(self, rows: Rows, allowed: Mask, k: int) -> Candidates:
        """Items like the given ones: co-visited with them, near in content or in embedding; best first.

        Items newer than the bundle were visited with nothing yet: for them it is content alone.
        """
        known = rows[rows > 0].astype(np.int64)
        free = allowed.copy()
        free[rows] = False
        if (known < len(self.neighbours)).any():
            sources: tuple[str, ...] = ("co_visitation", "content", "popular")
        else:
            sources = ("content",) if len(known) else ("popular",)
        return self.retrieve(known, free, k, sources, fill=True)[0]

    def similar_users(self, user_key: int, vector: Vector, k: int) -> tuple[Keys, Vector]:
        """Keys and cosines of the k users nearest to the vector, the user left out; best first."""
        norms = np.linalg.norm(self.user_embeddings, axis=1) * (np.linalg.norm(vector) + 1e-9) + 1e-9
        cosine = (self.user_embeddings @ vector) / norms
        cosine[np.asarray(self.user_keys) == user_key] = -np.inf
        order = np.argsort(-cosine, kind="stable")[:k]
        order = order[np.isfinite(cosine[order])]
        return np.asarray(self.user_keys[order], np.int64), cosine[order].astype(np.float32)


@dataclass(slots=True)
class _Query:
    """What the sources read of one query, and what they share."""

    known: NDArray[np.int64]
    """History rows, oldest first."""
    bundled: NDArray[np.int64]
    """Those of them that the models know."""
    allowed: Mask
    caller_rows: Rows | None
    vector: Vector | None
    text: Vector | None = None
    """What was lately searched for: penchant.retrieval.text."""
    followers: tuple[Rows, Vector] = (np.empty(0, np.uint32), np.empty(0, np.float32))
    """Co-visitation of the history: rows ascending, and their mass."""
    last_followers: tuple[Rows, Vector] = (np.empty(0, np.uint32), np.empty(0, np.float32))
    """The same of the newest item alone."""


def _known_sources(sources: Sequence[str]) -> set[str]:
    for i, name in enumerate(sources):
        if name not in SOURCES:
            raise InvalidArgument(f"sources[{i}]", f"unknown source {name!r}; known are: {', '.join(SOURCES)}")
    return set(sources) or set(SOURCES)


def _own_order(source: str, by_source: dict[str, Rows], rows: Rows, features: Matrix) -> Vector:
    """Scores by which a lone source keeps its own order; rows it did not propose come after."""
    column = {"two_tower": 1, "co_visitation": 2, "popular": POPULAR}.get(source)
    if column is not None:
        return np.asarray(features[:, column])
    listed = by_source.get(source, rows)
    ascending = np.argsort(listed)
    return -look_up(rows, listed[ascending], ascending.astype(np.float32), len(listed))


def user_ids(folder: Path) -> list[str]:
    """Ids of the bundle's users, aligned with users/keys.npy."""
    ids: list[str] = json.loads((folder / "users" / "ids.json").read_text())
    return ids
