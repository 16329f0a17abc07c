"""The leaf: a query against a bundle's retrieval model and the item table as it is now."""

from collections import Counter

import numpy as np

from penchant.errors import InvalidArgument, UnknownBundle
from penchant.item_table import ItemTable
from penchant.leaves import Candidates, RetrievalQuery, Retrieved
from penchant.retrieval import RETRIEVAL_FEATURES, SOURCES, RetrievalModel
from penchant.retrieval.text import text_vector
from penchant.types import Mask
from services.runtime.bundles import BundleHolder
from services.runtime.loaded import LoadedBundle
from services.runtime.trend import TrendFeed

MAX_CANDIDATES = 2000
_NONE = Candidates(
    np.empty(0, np.uint32),
    np.empty(0, np.float32),
    np.empty(0, np.uint32),
    np.empty((0, len(RETRIEVAL_FEATURES)), np.float32),
    SOURCES,
)


class CandidateGen:
    """RetrievalLeaf over the bundles a holder holds.

    A function of query, bundle, item table and trend: it reads no clock.
    """

    def __init__(self, holder: BundleHolder[LoadedBundle], trend: TrendFeed | None = None) -> None:
        self._holder = holder
        self._trend = trend or TrendFeed()
        self._degraded: Counter[str] = Counter()

    async def retrieve(self, query: RetrievalQuery, deadline_s: float) -> Retrieved:
        """Candidates, items similar to some, or users similar to one. Raises UnknownBundle, InvalidArgument.

        Runs where it is called: in a thread the same millisecond of work cost a fifth more CPU, and its answer came
        ten times later while both cores were busy.
        """
        if not 1 <= query.max_candidates <= MAX_CANDIDATES:
            raise InvalidArgument("max_candidates", f"is {query.max_candidates}: from 1 to {MAX_CANDIDATES}")
        bundle = self._holder.get(query.bundle_version)
        if bundle.retrieval is None:
            raise UnknownBundle(f"bundle {query.bundle_version!r} is held without its retrieval files")
        table = bundle.table.view()
        model = bundle.retrieval.over(table, self._trend.now, query.as_of_us)
        if query.similar_users:
            return _similar_users(model, table, query)
        allowed = allowed_rows(table, query)
        candidates, degraded = (
            _similar_items(model, table, query, allowed)
            if len(query.similar_to_keys)
            else _for_user(model, table, query, allowed)
        )
        self._degraded.update(reason.partition(":")[0] for reason in degraded)
        return Retrieved(table.with_keys(candidates), table.position, degraded)

    def numbers(self) -> dict[str, float]:
        """For GetStatus: how often each source failed, and how the newest bundle's delta is searched; how often the
        tower was not asked because the history was one that it had seen."""
        failed = {f"degraded_{source}": float(count) for source, count in self._degraded.items()}
        newest = self._holder.newest if self._holder.versions else None
        if newest is None or newest.retrieval is None:
            return failed
        delta, vectors = newest.retrieval.delta, newest.retrieval.vectors
        return {
            **failed,
            "user_cache_hits": float(vectors.hits),
            "user_cache_misses": float(vectors.misses),
            "delta_indexed": float(delta.indexed),
            "delta_tail": float(delta.tail(newest.table.view())),
            "delta_compactions": float(delta.compactions),
        }


def allowed_rows(table: ItemTable, query: RetrievalQuery) -> Mask:
    """Rows the query may return: available, meeting its conditions, not excluded, hidden, or (unless asked) seen."""
    allowed = table.allowed(query.conditions)
    forbidden = [query.excluded_keys, query.user.hidden_keys]
    if not query.include_seen:
        forbidden.append(query.user.seen_keys)
    for keys in forbidden:
        allowed[table.rows_of(keys)] = False
    return allowed


def _for_user(
    model: RetrievalModel, table: ItemTable, query: RetrievalQuery, allowed: Mask
) -> tuple[Candidates, tuple[str, ...]]:
    history = table.rows_of(query.user.history_keys).astype(np.int64)
    caller = table.rows_of(query.caller_keys) if len(query.caller_keys) else None
    text = text_vector(query.user.texts, query.as_of_us, table) if query.user.texts else None
    return model.retrieve(history, allowed, query.max_candidates, query.sources, caller, text=text)


def _similar_items(
    model: RetrievalModel, table: ItemTable, query: RetrievalQuery, allowed: Mask
) -> tuple[Candidates, tuple[str, ...]]:
    rows = table.rows_of(query.similar_to_keys)
    candidates = model.similar_items(rows, allowed, query.max_candidates)
    return candidates, () if rows.any() else ("similar_to:unknown item, popular ones instead",)


def _similar_users(model: RetrievalModel, table: ItemTable, query: RetrievalQuery) -> Retrieved:
    """Users near this one's vector; none for a user without a history the bundle knows."""
    history = table.rows_of(query.user.history_keys).astype(np.int64)
    known = history[(history > 0) & (history <= table.bundle_rows)]
    if len(known) == 0:
        return Retrieved(_NONE, table.position)
    keys, scores = model.similar_users(query.user.user_key, model.user_vector(known), query.max_candidates)
    return Retrieved(_NONE, table.position, similar_user_keys=keys, similar_user_scores=scores)
