"""How far new items may be lifted in the blend, from validation targets and items that are taken to be new."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from penchant.retrieval import RetrievalSettings
from training.evaluation.metrics import ndcg
from training.retrieval.scoring import CatalogueScores
from training.retrieval.trained import TrainedRetrieval

LIFTS = tuple(np.round(np.arange(0.0, 3.01, 0.1), 1).tolist())
MOST_LOST = 0.005
"""Of NDCG@10 that known items may lose to copies. Truly new ones take two to three times as much (docs/content.md):
what a user would like best among known items has been seen, and nothing that has been seen competes as a copy."""
_SHARE = 0.1
"""New items there are taken to be, as a share of the known ones."""
_MOST = 5000


def some_rows(trained: TrainedRetrieval, seed: int) -> NDArray[np.int64]:
    """Rows of the known items that are taken to be new: those of which something is written."""
    catalogue = trained.catalogue
    count = min(round(_SHARE * catalogue.count), _MOST)
    rows = 1 + np.random.default_rng(seed).choice(catalogue.count, count, replace=False)
    return np.asarray(rows[trained.item_map.placed(catalogue.written(rows)).any(axis=1)], np.int64)


def chosen_lift(trained: TrainedRetrieval, scores: CatalogueScores, settings: RetrievalSettings, seed: int) -> float:
    """The largest of LIFTS at which a tenth more items, placed by content alone, take MOST_LOST at most.

    The items are copies of known ones; nobody's answer and nothing that the user has seen competes as its own copy.
    """
    rows = some_rows(trained, seed)
    copies = trained.item_map.placed(trained.catalogue.written(rows))
    if len(rows) == 0 or len(scores.targets.rows) == 0:
        return 0.0
    dots = scores.vectors @ copies.T + scores.masked[:, rows]
    dots[scores.targets.rows[:, None] == rows[None, :]] = -np.inf
    settings = replace(settings, new_lift=0.0)
    known = scores.score(slice(None), settings)
    own = np.take_along_axis(known, scores.targets.rows[:, None], axis=1)
    places = 1 + (known > own).sum(axis=1)
    new = scores.as_new(dots, known, settings)
    allowed = (1.0 - MOST_LOST) * ndcg(places, 10).sum()
    kept = [lift for lift in LIFTS if ndcg(places + (new + lift > own).sum(axis=1), 10).sum() >= allowed]
    return max(kept, default=0.0)
