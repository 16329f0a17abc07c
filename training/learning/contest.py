"""Champion and challenger on the newest events, before anything is trained on them: test, then learn."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penchant.ids import keys
from penchant.ranking import slate_score
from penchant.types import Matrix, Rows
from training.data.dataset import Dataset
from training.evaluation.bootstrap import paired_interval
from training.evaluation.metrics import ndcg
from training.evaluation.offline import MAX_CANDIDATES, OpenBundle, chunks, inputs_of, queries, top_k, user_vectors
from training.evaluation.protocol import TENANT, TargetSet
from training.learning.budget import UpdateBudget

K = 10


@dataclass(frozen=True, slots=True)
class Observed:
    """What a bundle gave for T targets, seen items masked, in their order."""

    ndcg: NDArray[np.float64]
    """[T] NDCG@10 of the served order."""
    retrieval: NDArray[np.float64]
    """[T] NDCG@10 of the order that retrieval proposed."""
    scores: Matrix
    """[T, K] of the K best candidates, best first; NaN where there are fewer."""
    user_dense: Matrix
    """[T, Fu] of the users, as of each target."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the challenger takes over, and why."""

    publish: bool
    reason: str
    champion: float
    challenger: float
    interval: tuple[float, float]
    """Of mean(challenger - champion), whole users drawn."""
    targets: int

    def to_json(self) -> dict[str, Any]:
        """For the manifest and the update's line."""
        return {
            "champion": self.champion, "challenger": self.challenger, "interval": list(self.interval),
            "targets": self.targets, "published": self.publish, "verdict": self.reason,
        }  # fmt: skip


def target_set_of(dataset: Dataset, index: NDArray[np.int64]) -> TargetSet:
    """Targets in (user, time, order) order."""
    events = dataset.events
    index = index[np.lexsort((events.order[index], events.times[index], events.users[index]))]
    items = keys(TENANT, [dataset.item_ids[i] for i in events.items[index].tolist()])
    return TargetSet(index, events.users[index].astype(np.int64), items, "")


def observe(
    bundle: OpenBundle, dataset: Dataset, targets: TargetSet, progress: Callable[[int], None] = lambda done: None
) -> Observed:
    """Ask a bundle, as it is served, for a slate before each target."""
    count = len(targets)
    target_rows = bundle.table.rows_of(targets.item_keys).astype(np.int64)
    found, proposed = np.zeros(count), np.zeros(count)
    scores = np.full((count, K), np.nan, np.float32)
    dense = np.zeros((count, len(bundle.schema.user_dense_names)), np.float32)
    for chunk in chunks(queries(bundle, dataset, targets)):
        for query, vector in zip(chunk, user_vectors(bundle, chunk), strict=True):
            candidates, _ = bundle.retrieval.retrieve(
                query.history_rows, query.allowed["masked"], MAX_CANDIDATES, user_vector=vector
            )
            inputs = inputs_of(bundle, query, candidates)
            given = candidates.scores
            if bundle.ranker is not None:
                given = slate_score(bundle.ranker(inputs), bundle.manifest.tasks, bundle.manifest.task_weights)
            best = top_k(given, K)
            wanted = target_rows[query.place]
            found[query.place] = _gain(candidates.rows[best], wanted)
            proposed[query.place] = _gain(candidates.rows[:K], wanted)
            scores[query.place, : len(best)] = given[best]
            dense[query.place] = inputs["user_dense"][0]
        progress(len(chunk))
    return Observed(found, proposed, scores, dense)


def _gain(rows: Rows, wanted: int) -> float:
    """NDCG@K of one list in which one row is wanted; 0 where that is not in the catalogue."""
    place = np.flatnonzero((rows[:K] == wanted) & (rows[:K] > 0))
    return float(ndcg(np.array([place[0] + 1 if len(place) else 0]), K)[0])


def judge(
    champion: NDArray[np.float64],
    challenger: NDArray[np.float64],
    users: NDArray[np.integer],
    budget: UpdateBudget,
    held: bool,
    seed: int,
) -> Verdict:
    """The rule: publish if the lower bound of the paired difference is above -tolerance of the champion's mean.

    The interval is a percentile bootstrap over whole users at budget.level. held: after a roll-back the lower bound
    must be above 0.
    """
    was, now = (float(values.mean()) if len(values) else 0.0 for values in (champion, challenger))
    low, high = paired_interval(challenger, champion, users, seed, level=budget.level)
    bound = 0.0 if held else -budget.tolerance * was
    if len(champion) == 0:
        publish, reason = False, "not published: no new event to judge by"
    elif low > bound or (not held and low == high == 0.0):
        publish, reason = True, "published: not worse" if low <= 0 else "published: surely better"
    else:
        publish = False
        reason = f"not published: it may be worse by {max(-low, 0.0):.4f}, allowed is {max(-bound, 0.0):.4f}"
        if held:
            reason = f"not published: a person rolled back, and it is not surely better ({low:+.4f} to {high:+.4f})"
    return Verdict(publish, reason, was, now, (low, high), len(champion))
