"""How far features, items and scores have moved from what a bundle was trained on.

PSI, the population stability index, over bins that each held an equal share of the reference: below 0.1 nothing, from
0.25 on a change worth a look. KS: the largest difference between the two cumulative shares, at the bins' edges.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penchant.types import Matrix
from training.data.dataset import Dataset
from training.evaluation.offline import OpenBundle
from training.evaluation.protocol import event_columns

BINS = 10
SLIGHT, STRONG = 0.1, 0.25
REFERENCE_TARGETS = 300
"""Newest history events whose users and scores a bundle of `fit` is described by."""
REFERENCE_EVENTS = 50_000
"""Newest trained events whose items and types a bundle is described by."""
_FLOOR = 0.5
"""Events that an empty bin counts for, so that PSI stays finite."""


@dataclass(frozen=True, slots=True)
class Drift:
    """One quantity: what of it was compared, how far it moved, and by how much chance alone would move it."""

    name: str
    psi: float
    ks: float
    count: int
    expected_psi: float
    """Of as many values drawn from the reference itself."""

    @property
    def verdict(self) -> str:
        """In one word; what chance explains is none."""
        if self.psi < max(SLIGHT, 3 * self.expected_psi):
            return "none"
        return "slight" if self.psi < STRONG else "strong"

    def to_json(self) -> dict[str, Any]:
        """For reports."""
        return {
            "name": self.name, "psi": round(self.psi, 5), "ks": round(self.ks, 5), "count": self.count,
            "verdict": self.verdict,
        }  # fmt: skip


def reference_of(
    bundle: OpenBundle, dataset: Dataset, trained: NDArray[np.int64], user_dense: Matrix, scores: Matrix
) -> dict[str, Any]:
    """What a manifest keeps: of events `trained` on, of user features [T, Fu] and best scores [T, K] observed."""
    popularity = _popularity(bundle, dataset, trained)
    types = np.bincount(dataset.events.types[trained], minlength=len(dataset.event_types))
    return {
        "user_features": {
            name: binned(user_dense[:, i]) for i, name in enumerate(bundle.schema.user_dense_names)
        },
        "slate_scores": binned(scores[np.isfinite(scores)]),
        "item_popularity": binned(popularity[~np.isnan(popularity)]),
        "event_types": {name: int(n) for name, n in zip(dataset.event_types, types.tolist(), strict=True)},
    }  # fmt: skip


def drifts(
    reference: Mapping[str, Any],
    bundle: OpenBundle,
    dataset: Dataset,
    newest: NDArray[np.int64],
    user_dense: Matrix,
    scores: Matrix,
) -> list[Drift]:
    """Every quantity of the reference against the newest events and what was observed; the largest PSI first."""
    if not reference:
        return []
    found = [
        compared(f"user_features.{name}", reference["user_features"][name], user_dense[:, i])
        for i, name in enumerate(bundle.schema.user_dense_names)
        if name in reference["user_features"] and len(reference["user_features"][name]["edges"])
    ]
    found.append(compared("slate_scores", reference["slate_scores"], scores[np.isfinite(scores)]))
    popularity = _popularity(bundle, dataset, newest)
    found.append(compared("item_popularity", reference["item_popularity"], popularity))
    types = np.bincount(dataset.events.types[newest], minlength=len(dataset.event_types))
    now = {name: int(n) for name, n in zip(dataset.event_types, types.tolist(), strict=True)}
    names = sorted({*now, *reference["event_types"]})
    found.append(
        _categories("event_types", *([some.get(n, 0) for n in names] for some in (reference["event_types"], now)))
    )
    return sorted(found, key=lambda drift: -drift.psi)


def binned(values: NDArray[np.floating]) -> dict[str, Any]:
    """Edges [B - 1] between bins of about equal share, and the counts [B]; one bin where all is the same."""
    finite = np.asarray(values[np.isfinite(values)], np.float64)
    if len(finite) == 0:
        return {"edges": [], "counts": [0]}
    edges = np.unique(np.quantile(finite, np.arange(1, BINS) / BINS, method="lower"))
    edges = edges[edges < finite.max()] if finite.min() < finite.max() else edges[:1]
    return {"edges": edges.tolist(), "counts": _counts(finite, edges).tolist()}


def compared(name: str, reference: Mapping[str, Any], values: NDArray[np.floating]) -> Drift:
    """Values against a binned reference; values that are no number are a bin of their own."""
    edges = np.array(reference["edges"], np.float64)
    missing = int((~np.isfinite(values)).sum())
    now = np.append(_counts(np.asarray(values[np.isfinite(values)], np.float64), edges), missing)
    return _categories(name, [*reference["counts"], 0], now.tolist())


def psi(was: Sequence[int], now: Sequence[int]) -> float:
    """The index between two counts by bin."""
    p, q = (np.maximum(np.asarray(counts, np.float64), _FLOOR) for counts in (was, now))
    used = (np.asarray(was) > 0) | (np.asarray(now) > 0)
    p, q = p[used] / p[used].sum(), q[used] / q[used].sum()
    return float(((q - p) * np.log(q / p)).sum())


def _categories(name: str, was: Sequence[int], now: Sequence[int]) -> Drift:
    if sum(was) == 0 or sum(now) == 0:
        return Drift(name, 0.0, 0.0, sum(now), 0.0)
    shares = [np.cumsum(counts) / max(sum(counts), 1) for counts in (was, now)]
    bins = int(((np.asarray(was) > 0) | (np.asarray(now) > 0)).sum())
    expected = (bins - 1) * (1 / sum(was) + 1 / sum(now))
    return Drift(name, psi(was, now), float(np.abs(shares[0] - shares[1]).max()), sum(now), expected)


def _counts(values: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)


def _popularity(bundle: OpenBundle, dataset: Dataset, index: NDArray[np.int64]) -> NDArray[np.float64]:
    """All-time popularity in the bundle of the items acted on; NaN for one that is not in it."""
    keys = event_columns(dataset).item_keys[index]
    rows = bundle.table.rows_of(keys[keys != 0]).astype(np.int64)
    scores = np.asarray(bundle.retrieval.popular_scores, np.float64)
    return np.where((rows > 0) & (rows < len(scores)), scores[np.minimum(rows, len(scores) - 1)], np.nan)
