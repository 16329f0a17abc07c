"""Popular items out of the front door's own catalogue: what retrieval degrades to."""

import numpy as np

from penchant.leaves import Candidates, Retrieved
from penchant.retrieval import RETRIEVAL_FEATURES, SOURCES, RetrievalSettings
from penchant.types import Keys, Vector
from services.recommender.query import Query

_BIT = np.uint32(1 << SOURCES.index("popular"))


def popular(query: Query, asked: int, excluded: Keys, include_seen: bool) -> Retrieved:
    """At most `asked` of the most popular items that may be returned; items newer than the bundle come last.

    Raises InvalidArgument for an unknown attribute.
    """
    catalogue = query.catalogue
    table = query.table
    allowed = table.allowed(query.conditions)
    allowed[table.rows_of(excluded)] = False
    allowed[table.rows_of(query.user.hidden_keys)] = False
    if not include_seen:
        allowed[table.rows_of(query.user.seen_keys)] = False
    newer = np.arange(table.bundle_rows + 1, table.row_count, dtype=np.uint32)
    order = np.concatenate([catalogue.popular_rows, newer])
    rows = order[allowed[order]][:asked]
    bundled = rows <= table.bundle_rows
    scores = np.full(len(rows), catalogue.popular_scores.min(), np.float32)
    scores[bundled] = catalogue.popular_scores[rows[bundled]]
    candidates = Candidates(
        rows, scores, np.full(len(rows), _BIT, np.uint32), _features(query, scores), SOURCES
    )  # fmt: skip
    return Retrieved(table.with_keys(candidates), table.position)


def _features(query: Query, scores: Vector) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Retrieval features as of a user without history, so that the ranker can go on."""
    features = np.zeros((len(scores), len(RETRIEVAL_FEATURES)), np.float32)
    floor = np.log(RetrievalSettings.from_json(query.catalogue.manifest.retrieval).floor)
    by_name = {
        "blend": scores,
        "popular": scores,
        "co_visitation": floor,
        "last_co_visitation": floor,
        "reciprocal_rank": 1.0 / np.sqrt(1.0 + np.arange(len(scores))),
    }
    for name, values in by_name.items():
        features[:, RETRIEVAL_FEATURES.index(name)] = values
    return features
