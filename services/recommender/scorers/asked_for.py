"""What the user just searched for rises over the ranker's scores: no model has learnt to read it yet."""

from dataclasses import replace

import numpy as np

from penchant.retrieval.text import lifted, text_vector
from services.recommender.query import Query, Scored


def asked_for(query: Query, scored: Scored) -> Scored:
    """Scores with what the user's newest texts add; retrieval order holds it already."""
    if not query.user.texts or scored.task_scores is None or len(scored.pool) == 0:
        return scored
    vector = text_vector(query.user.texts, query.as_of_us, query.table)
    if vector is None:
        return scored
    content = np.asarray(query.table.content[scored.pool.rows], np.float32)
    return replace(scored, scores=lifted(scored.scores, content, vector))
