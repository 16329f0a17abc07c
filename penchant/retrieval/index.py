"""The bundle's HNSW index as the search that retrieval asks for, if it finds what exact search finds."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from penchant.errors import BundleMismatch
from penchant.retrieval.search import Search, exact_search
from penchant.types import Mask, Matrix, Rows, Vector

INDEX_FILE = "retrieval/index.hnsw"
HNSW_FROM = 1000
"""Items from which the index pays; below, exact search is as fast."""
GATE = 0.98
"""Share of the exact neighbours that the index must find for the bundle's own users."""
_GATE_QUERIES = 64
_GATE_K = 300
_BREADTHS = (2, 4, 8, 16)
"""ef in multiples of the neighbours asked for; the first that passes the gate is taken."""
_MAX_OVER_FETCH = 2000
_LINKS = 16
_BUILD_BREADTH = 200


@dataclass(frozen=True, slots=True)
class OpenedSearch:
    """A search, and how it came about; recall is that of the gate, 1 for exact search.

    breadth: ef of the graph in multiples of the neighbours asked for; 0 for exact search.
    """

    search: Search
    kind: Literal["hnsw", "exact"]
    recall: float = 1.0
    breadth: int = 0


def open_search(folder: Path, embeddings: Matrix, user_embeddings: Matrix, index: str = "auto") -> OpenedSearch:
    """Search over a verified bundle's items. index is hnsw, exact, or auto.

    auto takes the index from HNSW_FROM items up, but only if it passes the gate: graphs over inner products can lose
    items for good, by how the embeddings lie. Raises BundleMismatch where the index is missing or not the items'.
    """
    if index == "exact" or (index == "auto" and len(embeddings) - 1 < HNSW_FROM):
        return OpenedSearch(exact_search(embeddings), "exact")
    return _gated(_load(folder / INDEX_FILE, embeddings), embeddings, user_embeddings, index)


def build_search(embeddings: Matrix, user_embeddings: Matrix, index: str = "auto") -> OpenedSearch:
    """The same over items of which there is no file: the graph is built here, in this thread, without the GIL."""
    import hnswlib

    count = len(embeddings) - 1
    if index == "exact" or count < HNSW_FROM:
        return OpenedSearch(exact_search(embeddings), "exact")
    built = hnswlib.Index(space="ip", dim=embeddings.shape[1])
    built.init_index(max_elements=count, M=_LINKS, ef_construction=_BUILD_BREADTH, random_seed=1)
    built.set_num_threads(1)
    built.add_items(embeddings[1:], np.arange(1, count + 1))
    return _gated(built, embeddings, user_embeddings, index)


def _gated(opened: Any, embeddings: Matrix, user_embeddings: Matrix, index: str) -> OpenedSearch:
    exact = exact_search(embeddings)
    queries = np.asarray(user_embeddings[:: max(len(user_embeddings) // _GATE_QUERIES, 1)][:_GATE_QUERIES])
    recall = 1.0
    for breadth in _BREADTHS:
        search = hnsw_search(opened, embeddings, breadth)
        recall = _recall(search, exact, queries, len(embeddings) - 1)
        if recall >= GATE:
            return OpenedSearch(search, "hnsw", recall, breadth)
    return OpenedSearch(search, "hnsw", recall, breadth) if index == "hnsw" else OpenedSearch(exact, "exact")


def hnsw_search(index: Any, embeddings: Matrix, breadth: int) -> Search:
    """Search over an hnswlib index: fetches as many more as may be forbidden, and sorts out the forbidden.

    Where much is forbidden, what is left is searched exactly: over-fetching would lose recall or time.
    """
    exact = exact_search(embeddings)
    count = len(embeddings) - 1

    def search(vector: Vector, k: int, allowed: Mask) -> tuple[Rows, Vector]:
        forbidden = count - int(np.count_nonzero(allowed[1 : count + 1]))
        wanted = k + forbidden
        if wanted > min(_MAX_OVER_FETCH, count) or forbidden > count // 2:
            return exact(vector, k, allowed)
        index.set_ef(max(breadth * wanted, 200))
        try:
            labels, distances = index.knn_query(vector[None, :], k=wanted)
        except RuntimeError:  # The graph reached fewer than were asked for.
            return exact(vector, k, allowed)
        rows, scores = labels[0].astype(np.int64), 1.0 - distances[0]
        kept = allowed[rows]
        return rows[kept][:k].astype(np.uint32), scores[kept][:k].astype(np.float32)

    return search


def _load(path: Path, embeddings: Matrix) -> Any:
    """The index of a file whose sha256 was checked: hnswlib crashes on damaged ones."""
    import hnswlib

    if not path.is_file():
        raise BundleMismatch(f'{path} is missing: publish the bundle again, or set index = "exact"')
    index = hnswlib.Index(space="ip", dim=embeddings.shape[1])
    try:
        index.load_index(str(path), max_elements=0)
    except RuntimeError as error:
        raise BundleMismatch(f"{path} cannot be loaded ({error}): publish the bundle again") from None
    if index.get_current_count() != len(embeddings) - 1:
        raise BundleMismatch(
            f"{path} holds {index.get_current_count()} items, the bundle {len(embeddings) - 1}: publish it again"
        )
    index.set_num_threads(1)
    return index


def _recall(search: Search, exact: Search, queries: Matrix, count: int) -> float:
    """Mean share of the exact neighbours found, over the queries; 1 without any."""
    allowed = np.ones(count + 1, np.bool_)
    allowed[0] = False
    k = min(_GATE_K, count)
    shares = [
        len(np.intersect1d(search(query, k, allowed)[0], exact(query, k, allowed)[0], assume_unique=True)) / k
        for query in queries
        if np.any(query)
    ]
    return float(np.mean(shares)) if shares else 1.0
