"""The rules over the ranker's scores, by penchant.boosts."""

from dataclasses import replace

from penchant import boosts
from services.recommender.query import Query, Scored


def boosted(query: Query, scored: Scored) -> Scored:
    """What the user asked for in words rises, what they skipped sinks."""
    pool, user, scores = scored.pool, query.user, scored.scores
    if scored.task_scores is not None:
        scores = boosts.asked_for(scores, pool.rows, user, query.table, query.as_of_us)
    scores = boosts.lowered(scores, pool.keys, user, query.event_weights, query.as_of_us)
    return scored if scores is scored.scores else replace(scored, scores=scores)
