"""The bundle's HNSW index as the search that retrieval asks for."""

from pathlib import Path

import numpy as np

from penchant.retrieval.search import Search, exact_search
from penchant.types import Mask, Matrix, Rows, Vector

HNSW_FROM = 1000
"""Items from which the index pays; below, exact search is as fast."""
_MAX_OVER_FETCH = 2000


def hnsw_search(path: Path, embeddings: Matrix) -> Search:
    """Search over retrieval/index.hnsw: fetches as many more as may be forbidden, and sorts out the forbidden.

    Where much is forbidden, what is left is searched exactly: over-fetching would lose recall or time.
    """
    import hnswlib

    exact = exact_search(embeddings)
    index = hnswlib.Index(space="ip", dim=embeddings.shape[1])
    index.load_index(str(path), max_elements=0)
    index.set_num_threads(1)
    count = index.get_current_count()

    def search(vector: Vector, k: int, allowed: Mask) -> tuple[Rows, Vector]:
        forbidden = len(embeddings) - 1 - int(np.count_nonzero(allowed[1 : len(embeddings)]))
        wanted = k + forbidden
        if wanted > min(_MAX_OVER_FETCH, count) or forbidden > count // 2:
            return exact(vector, k, allowed)
        index.set_ef(max(2 * wanted, 200))
        labels, distances = index.knn_query(vector[None, :], k=wanted)
        rows, scores = labels[0].astype(np.int64), 1.0 - distances[0]
        kept = allowed[rows]
        return rows[kept][:k].astype(np.uint32), scores[kept][:k].astype(np.float32)

    return search
