"""Popular items out of the front door's own catalogue: what retrieval degrades to."""

import numpy as np

from penchant.leaves import Candidates, Retrieved
from penchant.retrieval import RETRIEVAL_FEATURES, SOURCES, RetrievalSettings
from penchant.retrieval.live import live_shares, with_live
from penchant.retrieval.rows import distinct, of_bundled
from penchant.types import Keys, Matrix, Rows, Vector
from services.recommender.query import Query

_BLEND = RETRIEVAL_FEATURES.index("blend")
_BIT = np.uint32(1 << SOURCES.index("popular"))


def popular(query: Query, asked: int, excluded: Keys, include_seen: bool) -> Retrieved:
    """At most `asked` of the most popular items of late that may be returned, by the bundle's trend and the live one.

    Items newer than the bundle come last, but where they are trending.
    Raises InvalidArgument for an unknown attribute.
    """
    table = query.table
    allowed = table.allowed(query.conditions)
    allowed[table.rows_of(excluded)] = False
    allowed[table.rows_of(query.user.hidden_keys)] = False
    if not include_seen:
        allowed[table.rows_of(query.user.seen_keys)] = False
    newer = np.arange(table.bundle_rows + 1, table.row_count, dtype=np.uint32)
    order = np.concatenate([query.catalogue.trending_rows, newer])
    rows = order[allowed[order]][:asked]
    live_rows, shares = live_shares(query.trend, table, query.as_of_us)
    if len(live_rows):
        rows = distinct(np.concatenate([rows, live_rows[allowed[live_rows]]]))
        log_shares = _log_shares(query, rows)
        rows = rows[np.argsort(-with_live(log_shares, rows, live_rows, shares), kind="stable")][:asked]
    features = _features(query, rows, with_live(_log_shares(query, rows), rows, live_rows, shares))
    candidates = Candidates(
        rows, features[:, _BLEND], np.full(len(rows), _BIT, np.uint32), features, SOURCES
    )  # fmt: skip
    return Retrieved(table.with_keys(candidates), table.position)


def _log_shares(query: Query, rows: Rows) -> Vector:
    trend = query.catalogue.trend_scores
    return of_bundled(rows, trend, float(trend.min()))


def _features(query: Query, rows: Rows, trend: Vector) -> Matrix:
    """Retrieval features as of a user without history, so that the ranker can go on; trend: log shares by row."""
    catalogue = query.catalogue
    popular = catalogue.popular_scores
    features = np.zeros((len(rows), len(RETRIEVAL_FEATURES)), np.float32)
    floor = np.log(RetrievalSettings.from_json(catalogue.manifest.retrieval).floor)
    by_name = {
        "blend": trend,
        "popular": of_bundled(rows, popular, float(popular.min())),
        "co_visitation": floor,
        "last_co_visitation": floor,
        "reciprocal_rank": 1.0 / np.sqrt(1.0 + np.arange(len(rows))),
    }
    for name, values in by_name.items():
        features[:, RETRIEVAL_FEATURES.index(name)] = values
    return features
