"""The leaf: candidates of one user scored by a bundle's ranker, over the item table as it is now."""

import numpy as np

from penchant.errors import BundleMismatch, InvalidArgument, UnknownBundle
from penchant.leaves import Candidates, Ranked, RankingQuery
from penchant.ranking import feature_rows, ranker_inputs
from penchant.retrieval import RETRIEVAL_FEATURES
from services.runtime.bundles import BundleHolder
from services.runtime.loaded import LoadedBundle

MAX_CANDIDATES = 2000


class Ranker:
    """RankingLeaf over the bundles a holder holds. A function of query, bundle and item table: it reads no clock."""

    def __init__(self, holder: BundleHolder[LoadedBundle]) -> None:
        self._holder = holder
        self._scored = 0
        self._not_finite = 0

    async def rank(self, query: RankingQuery, deadline_s: float) -> Ranked:
        """Task scores in request order. Raises UnknownBundle, InvalidArgument, BundleMismatch.

        An item that has not arrived here is scored as an unknown one. Scores that are no number are passed on, and
        counted: putting them last is the selector's part.
        """
        bundle = self._holder.get(query.bundle_version)
        if bundle.ranker is None:
            raise UnknownBundle(f"bundle {query.bundle_version!r} is held without a ranker")
        table = bundle.table.view()
        candidates = query.candidates
        _check(candidates, len(bundle.schema.user_dense_names), len(query.user.dense))
        rows = table.own_rows(candidates)
        if len(rows) and int(rows.max()) >= table.row_count:
            raise InvalidArgument(
                "candidates.rows",
                f"row {int(rows.max())} is beyond the {table.row_count - 1} items of bundle {query.bundle_version!r}",
            )
        tasks = bundle.manifest.tasks
        if len(rows) == 0:
            return Ranked(np.zeros((0, len(tasks)), np.float32), tasks, table.position)
        own = Candidates(
            rows, candidates.scores, candidates.source_bits, candidates.features, candidates.source_names
        )  # fmt: skip
        inputs = ranker_inputs(
            query.user, own, table, bundle.schema, bundle.manifest.history_length, query.as_of_us
        )  # fmt: skip
        scores = bundle.ranker(inputs)
        self._scored += scores.size
        self._not_finite += scores.size - int(np.isfinite(scores).sum())
        features = feature_rows(inputs).astype(np.float32) if query.return_features else None
        return Ranked(scores, tasks, table.position, features)

    def numbers(self) -> dict[str, float]:
        """For GetStatus."""
        return {"scores": float(self._scored), "scores_not_finite": float(self._not_finite)}


def _check(candidates: Candidates, user_width: int, found_user_width: int) -> None:
    count, width = candidates.features.shape
    if count > MAX_CANDIDATES:
        raise InvalidArgument("candidates", f"{count} candidates, at most {MAX_CANDIDATES}")
    if count and width != len(RETRIEVAL_FEATURES):
        raise InvalidArgument(
            "candidates.features", f"{width} features a candidate, retrieval makes {len(RETRIEVAL_FEATURES)}"
        )
    if found_user_width not in (0, user_width):
        raise BundleMismatch(
            f"the user has {found_user_width} features, the bundle's schema {user_width}: the feature store reads the "
            "schema of another bundle; let it follow the same CURRENT"
        )
