"""Scores from the ranker; retrieval order when it fails."""

from dataclasses import dataclass

import numpy as np

from penchant.errors import UnknownBundle
from penchant.leaves import RankingLeaf, RankingQuery
from penchant.ranking import slate_score, with_new_lift
from services.recommender.deadline import limited
from services.recommender.query import Pool, Query, Scored

_SHARE = 0.8


@dataclass(frozen=True, slots=True)
class RankerScorer:
    """One RankCandidates a query; task scores add up to the slate's by the bundle's task weights."""

    leaf: RankingLeaf

    async def score(self, query: Query, pool: Pool) -> Scored:
        """The pool with scores [B], in its order. Raises UnknownBundle while another bundle is left to try."""
        by_retrieval = Scored(pool, pool.candidates.scores)
        if not query.ranked or len(pool) == 0:
            return by_retrieval
        manifest = query.catalogue.manifest
        wanted = RankingQuery(
            manifest.version, query.user, pool.candidates, query.as_of_us, query.return_features
        )  # fmt: skip
        try:
            ranked = await limited(lambda s: self.leaf.rank(wanted, s), query.deadline.left_s(_SHARE))
            scores = slate_score(ranked.scores, ranked.tasks, manifest.task_weights)
            if len(scores) != len(pool):
                raise ValueError(f"the ranker gave {len(scores)} scores for {len(pool)} candidates")
            scores = with_new_lift(scores, pool.rows, manifest)
        except Exception as error:
            if isinstance(error, UnknownBundle) and not query.last_bundle:
                raise
            query.degraded.failed("score", error)
            return by_retrieval
        finite = np.isfinite(scores)
        if not finite.all():
            query.degraded.say("score", f"{int((~finite).sum())} scores not finite")
            if not finite.any():
                return by_retrieval
        return Scored(pool, scores, ranked.tasks, ranked.scores, ranked.features)
