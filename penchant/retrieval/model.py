"""Candidates from several sources, blended: the retrieval that is served is the retrieval that is evaluated."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penchant.bundle import Manifest
from penchant.columns import Column
from penchant.errors import InvalidArgument
from penchant.leaves import Candidates
from penchant.retrieval.co_visitation import CoVisitation
from penchant.retrieval.settings import RetrievalSettings
from penchant.types import Keys, Mask, Matrix, Rows, Vector

SOURCES = ("two_tower", "co_visitation", "popular", "fresh", "content", "caller")
"""Bit i of source_bits is SOURCES[i]."""
RETRIEVAL_FEATURES = (
    "blend", "two_tower", "co_visitation", "last_co_visitation", "popular", "content", "reciprocal_rank",
)  # fmt: skip
"""Columns of Candidates.features."""
_BIT = {name: np.uint32(1 << i) for i, name in enumerate(SOURCES)}

Tower = Callable[[NDArray[np.int64]], Matrix]
"""history_rows int64 [1, L], left-padded with 0, newest last, to user embeddings [1, D]."""
Search = Callable[[Vector, int, Mask], tuple[Rows, Vector]]
"""(user embedding [D], k, allowed rows) to at most k allowed rows and their inner products, best first."""


def exact_search(embeddings_MD: Matrix) -> Search:
    """The k largest inner products over every allowed row; ties go to the lower row."""

    def search(vector: Vector, k: int, allowed: Mask) -> tuple[Rows, Vector]:
        rows = np.flatnonzero(allowed[: len(embeddings_MD)])
        whole = len(rows) == len(embeddings_MD) - 1
        scores = (embeddings_MD @ vector)[rows] if whole or len(rows) > 2000 else embeddings_MD[rows] @ vector
        if len(rows) > k:
            best = np.argpartition(-scores, k - 1)[:k]
            rows, scores = rows[best], scores[best]
        order = np.lexsort((rows, -scores))
        return rows[order].astype(np.uint32), scores[order].astype(np.float32)

    return search


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
        return cls(
            RetrievalSettings.from_json(manifest.retrieval),
            manifest.history_length,
            embeddings,
            content,
            CoVisitation.open(retrieval),
            np.load(retrieval / "popular.rows.npy"),
            np.load(retrieval / "popular.scores.npy"),
            np.load(retrieval / "trend.scores.npy"),
            np.load(retrieval / "fresh.rows.npy"),
            np.load(retrieval / "neighbours.rows.npy", mmap_mode="r"),
            np.load(folder / "users" / "keys.npy", mmap_mode="r"),
            np.load(folder / "users" / "embeddings.npy", mmap_mode="r"),
            tower,
            search,
        )

    def over(self, embeddings: Matrix | Column, content: Matrix | Column) -> "RetrievalModel":
        """The model over an item table as it is now, delta included."""
        return replace(self, embeddings=embeddings, content=content)

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
        delta: tuple[Rows, Vector] | None = None,
        user_vector: Vector | None = None,
    ) -> tuple[Candidates, tuple[str, ...]]:
        """At most max_candidates allowed rows, best blended first, and the sources that failed.

        history_rows [H]: rows the user acted on, oldest first, 0 for items no longer known. allowed [M+1]: what
        may be returned at all. If the sources do not fill the list, popular items and then any allowed ones do.
        Raises InvalidArgument for an unknown source.
        """
        for i, name in enumerate(sources):
            if name not in SOURCES:
                raise InvalidArgument(f"sources[{i}]", f"unknown source {name!r}; known are: {', '.join(SOURCES)}")
        used = set(sources) or set(SOURCES)
        rows_by_source: dict[str, Rows] = {}
        degraded: list[str] = []
        known = history_rows[history_rows > 0]
        known_models = known[known < len(self.neighbours)]
        vector = user_vector
        if vector is None and len(known_models):
            try:
                vector = self.user_vector(known_models)
            except Exception as error:
                degraded.append(f"two_tower:{type(error).__name__}")
        quota = self.settings.quotas
        if "two_tower" in used and vector is not None:
            try:
                rows_by_source["two_tower"] = self.search(vector, quota["two_tower"], allowed)[0]
                if delta is not None and len(delta[0]):
                    rows_by_source["fresh"] = delta[0]
            except Exception as error:
                degraded.append(f"two_tower:{type(error).__name__}")
        co_rows, co_scores = self.co_visitation.scores(known_models, self.settings.history_half_life)
        if "co_visitation" in used:
            permitted = allowed[co_rows]
            rows, scores = co_rows[permitted], co_scores[permitted]
            order = np.lexsort((rows, -scores))[: quota["co_visitation"]]
            rows_by_source["co_visitation"] = rows[order]
        if "popular" in used:
            rows_by_source["popular"] = self._first_allowed(self._windows_mixed(), allowed, quota["popular"])
        if "fresh" in used:
            fresh = self._first_allowed(self.fresh_rows, allowed, quota["fresh"])
            rows_by_source["fresh"] = np.concatenate([rows_by_source.get("fresh", fresh[:0]), fresh])
        if "content" in used and len(known_models):
            near = np.asarray(self.neighbours[known_models[::-1][:5]]).T.ravel()
            rows_by_source["content"] = self._first_allowed(near, allowed, quota["content"])
        if "caller" in used and caller_rows is not None:
            rows_by_source["caller"] = self._first_allowed(caller_rows, allowed, quota["caller"])
        rows, bits = _union(rows_by_source)
        if not sources or "popular" in used:
            rows, bits = self._filled(rows, bits, allowed, max_candidates)
        features = self._features(rows, vector, known_models, co_rows, co_scores)
        single = len(used) == 1
        score = (
            self._single_source_score(next(iter(used)), rows_by_source, rows, features) if single else features[:, 0]
        )
        order = np.lexsort((rows, -features[:, 4], -score))[:max_candidates]
        features = features[order]
        features[:, RETRIEVAL_FEATURES.index("reciprocal_rank")] = 1.0 / np.sqrt(1.0 + np.arange(len(order)))
        block = Candidates(rows[order], score[order].astype(np.float32), bits[order], features, SOURCES)
        return block, tuple(degraded)

    def _single_source_score(
        self, source: str, by_source: dict[str, Rows], rows: Rows, features: Matrix
    ) -> NDArray[np.float32]:
        """A lone source keeps its own order."""
        column = {"two_tower": 1, "co_visitation": 2, "popular": 4, "content": 5}.get(source)
        if column is not None and source != "content":
            return np.asarray(features[:, column])
        place = {int(r): i for i, r in enumerate(by_source.get(source, rows))}
        return np.array([-place.get(int(r), len(place)) for r in rows], np.float32)

    def _features(
        self, rows: Rows, vector: Vector | None, known: NDArray[np.int64], co_rows: Rows, co_scores: Vector
    ) -> Matrix:
        """Retrieval features [B, S], both terms of the blend exact for every candidate."""
        settings = self.settings
        embeddings = self.embeddings[rows]
        dot = embeddings @ vector if vector is not None else np.zeros(len(rows), np.float32)
        log_co = np.log(_look_up(rows, co_rows, co_scores) + settings.floor)
        last_rows, last_scores = self.co_visitation.scores(known[-1:], settings.history_half_life)
        log_last = np.log(_look_up(rows, last_rows, last_scores) + settings.floor)
        popular = _of_bundled(rows, self.popular_scores)
        trend = _of_bundled(rows, self.trend_scores)
        content = np.zeros(len(rows), np.float32)
        if len(known):
            content = self.content[rows] @ self.content[known[-5:]].mean(axis=0)
        if vector is None:
            blend = trend
        else:
            blend = settings.tower_weight * dot + (1.0 - settings.tower_weight) * log_co + settings.trend_weight * trend
        return np.stack([blend, dot, log_co, log_last, popular, content, np.zeros(len(rows))], axis=1).astype(
            np.float32
        )

    def _windows_mixed(self) -> Rows:
        """Popular rows of every window in turn, the shortest window first."""
        return np.asarray(self.popular_rows.T.ravel(), np.uint32)

    @staticmethod
    def _first_allowed(rows: Rows, allowed: Mask, k: int) -> Rows:
        kept = rows[allowed[rows]]
        _, first = np.unique(kept, return_index=True)
        return np.asarray(kept[np.sort(first)[:k]], np.uint32)

    def _filled(self, rows: Rows, bits: NDArray[np.uint32], allowed: Mask, k: int) -> tuple[Rows, NDArray[np.uint32]]:
        """With popular and then any allowed items appended until there are k, so no slate is empty needlessly."""
        if len(rows) >= k:
            return rows, bits
        free = allowed.copy()
        free[rows] = False
        more = self._first_allowed(self._windows_mixed(), free, k - len(rows))
        free[more] = False
        rest = np.flatnonzero(free)
        if len(rest) > k:
            scores = np.full(len(free), -np.inf, np.float32)
            scores[: len(self.popular_scores)] = self.popular_scores
            rest = rest[np.argpartition(-scores[rest], k)[:k]]
        more = np.concatenate([more, rest.astype(np.uint32)])[: k - len(rows)]
        filled = np.concatenate([rows, more])
        return filled, np.concatenate([bits, np.full(len(more), _BIT["popular"], np.uint32)])

    def similar_items(self, rows: Rows, allowed: Mask, k: int) -> Candidates:
        """Items like the given ones: co-visited with them, near in content or in embedding; best first."""
        known = rows[(rows > 0) & (rows < len(self.neighbours))].astype(np.int64)
        free = allowed.copy()
        free[rows] = False
        block, _ = self.retrieve(
            known, free, k, ("co_visitation", "content", "popular") if len(known) else ("popular",)
        )
        return block

    def similar_users(self, user_key: int, vector: Vector, k: int) -> tuple[Keys, Vector]:
        """Keys and cosines of the k users nearest to the vector, the user left out; best first."""
        norms = np.linalg.norm(self.user_embeddings, axis=1) * (np.linalg.norm(vector) + 1e-9) + 1e-9
        cosine = (self.user_embeddings @ vector) / norms
        cosine[np.asarray(self.user_keys) == user_key] = -np.inf
        order = np.argsort(-cosine, kind="stable")[:k]
        order = order[np.isfinite(cosine[order])]
        return np.asarray(self.user_keys[order], np.int64), cosine[order].astype(np.float32)


def _union(by_source: dict[str, Rows]) -> tuple[Rows, NDArray[np.uint32]]:
    """Unique rows, ascending, with the bits of the sources that proposed each."""
    if not by_source:
        return np.empty(0, np.uint32), np.empty(0, np.uint32)
    rows = np.concatenate(list(by_source.values()))
    bits = np.concatenate([np.full(len(r), _BIT[name], np.uint32) for name, r in by_source.items()])
    unique, place = np.unique(rows, return_inverse=True)
    merged = np.zeros(len(unique), np.uint32)
    np.bitwise_or.at(merged, place, bits)
    return unique.astype(np.uint32), merged


def _look_up(rows: Rows, known: Rows, scores: Vector) -> Vector:
    """scores at `rows` out of (ascending known, scores); 0 elsewhere."""
    if len(known) == 0:
        return np.zeros(len(rows), np.float32)
    place = np.minimum(np.searchsorted(known, rows), len(known) - 1)
    return np.where(known[place] == rows, scores[place], 0.0).astype(np.float32)


def _of_bundled(rows: Rows, scores: Vector) -> Vector:
    """scores at `rows`; the lowest for rows newer than the bundle."""
    found = np.full(len(rows), scores.min(), np.float32)
    bundled = rows < len(scores)
    found[bundled] = scores[rows[bundled]]
    return found


def user_ids(folder: Path) -> list[str]:
    """Ids of the bundle's users, aligned with users/keys.npy."""
    ids: list[str] = json.loads((folder / "users" / "ids.json").read_text())
    return ids
