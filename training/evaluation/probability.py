"""How good predicted probabilities are: order (AUC, GAUC), value (log loss) and honesty (calibration error).

N rows are impressions or candidates: labels_N holds 0 or 1, a prediction stands beside each. Every function is free of
the rows' order. Where a metric is not defined (no rows, or one class alone) it is NaN, never a number that looks good.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.evaluation.bootstrap import paired_interval

BINS = 15
"""Bins of the calibration error. Guo et al., ICML 2017 take as many."""
_CLOSEST = 1e-7
"""Probabilities are kept this far from 0 and 1, or one float32 that rounds to 0 would cost an infinite log loss."""
PROBABILITY_METRICS = ("auc", "gauc", "log_loss", "ece")

Values = NDArray[np.floating] | NDArray[np.integer] | NDArray[np.bool_]
Groups = NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class GroupedAuc:
    """AUC within each of G groups, in [0, 1], NaN with one class: groups ascending, counts their rows; each [G]."""

    groups: Groups
    auc: NDArray[np.float64]
    counts: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Reliability:
    """B bins of equal mass by prediction, ascending: what was predicted, what happened (means), how many rows."""

    predicted: NDArray[np.float64]
    observed: NDArray[np.float64]
    counts: NDArray[np.int64]


def auc(labels_N: Values, scores_N: Values) -> float:
    """Chance that a positive scores above a negative, ties half, in [0, 1]; .5 is chance. NaN with one class.

    Any increasing function of the scores gives the same. A score that is no finite number counts as the lowest.
    Hanley and McNeil, Radiology 1982.
    """
    found = auc_by_group(labels_N, scores_N, np.zeros(len(labels_N), np.int64)).auc
    return float(found[0]) if len(found) else float("nan")


def auc_by_group(labels_N: Values, scores_N: Values, groups_N: Groups) -> GroupedAuc:
    """auc within every group of rows (a user, a request)."""
    scores = np.asarray(scores_N, np.float64)
    scores = np.where(np.isfinite(scores), scores, -np.inf)
    groups_G, group_N, counts_G = np.unique(groups_N, return_inverse=True, return_counts=True)
    if len(scores) == 0:
        return GroupedAuc(groups_G, np.zeros(0), counts_G)
    order = np.lexsort((scores, group_N))
    group, score = group_N[order], scores[order]
    positive = np.asarray(labels_N, np.float64)[order]
    # Blocks of equal scores within a group: a positive beats the negatives of lower blocks and half of its own.
    starts = np.flatnonzero(np.append(True, (group[1:] != group[:-1]) | (score[1:] != score[:-1])))
    positives = np.add.reduceat(positive, starts)
    negatives = np.add.reduceat(1.0 - positive, starts)
    of_block = group[starts]
    positives_G, negatives_G = (np.bincount(of_block, n, len(groups_G)) for n in (positives, negatives))
    in_earlier_groups = (np.cumsum(negatives_G) - negatives_G)[of_block]
    below = np.cumsum(negatives) - negatives - in_earlier_groups
    wins_G = np.bincount(of_block, positives * (below + 0.5 * negatives), len(groups_G))
    pairs_G = positives_G * negatives_G
    return GroupedAuc(groups_G, np.where(pairs_G > 0, wins_G / np.maximum(pairs_G, 1.0), np.nan), counts_G)


def gauc(labels_N: Values, scores_N: Values, users_N: Groups) -> float:
    """Mean over users of the AUC among the user's own rows, weighted by their number; in [0, 1], .5 is chance.

    Users with one class alone are left out; NaN if that leaves nobody. It is the order within one person's slates,
    which is all that a ranker decides: AUC over all rows also rewards knowing who clicks a lot. Zhu et al., KDD 2017;
    Zhou et al. (DIN), KDD 2018.
    """
    found = auc_by_group(labels_N, scores_N, users_N)
    known = ~np.isnan(found.auc)
    return float(np.average(found.auc[known], weights=found.counts[known])) if known.any() else float("nan")


def gauc_difference(
    labels_N: Values, a_N: Values, b_N: Values, users_N: Groups, seed: int
) -> tuple[float, tuple[float, float]]:
    """gauc of scores a less that of b on the same rows, and its 95 % interval, by bootstrap over users.

    NaN where no user has both classes.
    """
    one, other = (auc_by_group(labels_N, scores, users_N) for scores in (a_N, b_N))
    known = ~np.isnan(one.auc)
    if not known.any():
        return float("nan"), (float("nan"), float("nan"))
    # A user's AUC stands once for each row of theirs, so that the mean over rows is the weighted mean over users.
    counts = one.counts[known]
    a, b = np.repeat(one.auc[known], counts), np.repeat(other.auc[known], counts)
    users = np.repeat(one.groups[known], counts)
    return float((a - b).mean()), paired_interval(a, b, users, seed)


def log_losses(labels_N: Values, probabilities_N: Values) -> NDArray[np.float64]:
    """-log of the probability given to what happened, in nats, float64 [N], in [0, 16.2]; NaN for a NaN prediction."""
    labels = np.asarray(labels_N, np.float64)
    kept = np.clip(np.asarray(probabilities_N, np.float64), _CLOSEST, 1.0 - _CLOSEST)
    return np.asarray(-(labels * np.log(kept) + (1.0 - labels) * np.log1p(-kept)))


def log_loss(labels_N: Values, probabilities_N: Values) -> float:
    """Mean of log_losses; lower is better, and always predicting the base rate gives its entropy. NaN without rows."""
    return float(log_losses(labels_N, probabilities_N).mean()) if len(labels_N) else float("nan")


def reliability(labels_N: Values, probabilities_N: Values, bins: int = BINS) -> Reliability:
    """Predicted and observed means in bins of equal mass (sizes differ by one at most; no empty bins).

    Rows of equal probability share their mean label, so that a bin's edge among them does not depend on their order.
    """
    probabilities = np.asarray(probabilities_N, np.float64)
    if len(probabilities) == 0:
        return Reliability(np.zeros(0), np.zeros(0), np.zeros(0, np.int64))
    values, place, counts = np.unique(probabilities, return_inverse=True, return_counts=True)
    label_of_value = np.bincount(place, np.asarray(labels_N, np.float64)) / counts
    predicted, observed = np.repeat(values, counts), np.repeat(label_of_value, counts)
    kept = min(bins, len(predicted))
    edges = np.arange(kept + 1) * len(predicted) // kept
    sizes = np.diff(edges)
    return Reliability(
        np.add.reduceat(predicted, edges[:-1]) / sizes, np.add.reduceat(observed, edges[:-1]) / sizes, sizes
    )


def expected_calibration_error(labels_N: Values, probabilities_N: Values, bins: int = BINS) -> float:
    """Mean over rows of |predicted - observed| of their bin, in [0, 1]; 0 is honest. NaN without rows.

    Bins of equal mass (Nixon et al., CVPR workshops 2019): with clicks at 3 %, bins of equal width put every row in the
    first. A prediction that knows nothing but the base rate is calibrated: read it beside AUC or log loss.
    """
    found = reliability(labels_N, probabilities_N, bins)
    if len(found.counts) == 0:
        return float("nan")
    return float(np.average(np.abs(found.predicted - found.observed), weights=found.counts))


def probability_summary(labels_N: Values, probabilities_N: Values, users_N: Groups) -> dict[str, float]:
    """PROBABILITY_METRICS by name; NaN where one is not defined."""
    return {
        "auc": auc(labels_N, probabilities_N),
        "gauc": gauc(labels_N, probabilities_N, users_N),
        "log_loss": log_loss(labels_N, probabilities_N),
        "ece": expected_calibration_error(labels_N, probabilities_N),
    }
