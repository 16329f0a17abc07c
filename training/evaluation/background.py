"""What lists and targets are judged by: popularity before the held-out part, content, and what each user likes."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from penchant.ids import keys
from penchant.item_table import ItemTable
from penchant.types import Matrix
from training.data.dataset import Dataset
from training.data.split import Split, history_mask
from training.evaluation.genres import Profiles, choose_attribute, item_shares, normalised
from training.evaluation.protocol import TENANT, TargetSet, history_before, running_sums

OBVIOUS = ("popularity", "co_visitation")
"""Systems whose lists anybody could have made: what they show is no surprise."""


@dataclass(frozen=True, slots=True)
class Background:
    """By item row [N+1] and by target [T]; what is not known says why in left_out, by the metric that needs it."""

    interactions: NDArray[np.int64]
    """History events before the held-out part, by row."""
    history: NDArray[np.int64]
    """History events of the target's user before it, by target."""
    content: Matrix | None
    genre: str | None
    """The attribute that lists are calibrated by."""
    shares: sparse.csr_matrix | None
    tastes: Profiles | None
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def catalogue(self) -> int:
        """N."""
        return len(self.interactions) - 1


def background(
    table: ItemTable, dataset: Dataset, cut: Split, targets: TargetSet, calibrate_by: str | None = None
) -> Background:
    """Look all of it up once for every system. calibrate_by: an attribute's name, see genres.choose_attribute."""
    rows_of_item = np.append(table.rows_of(keys(TENANT, dataset.item_ids)).astype(np.int64), 0)
    items = dataset.events.items
    seen = np.concatenate([cut.train, cut.valid])
    seen = seen[history_mask(dataset)[seen]]
    interactions = np.bincount(rows_of_item[items[seen]], minlength=table.bundle_rows + 1)
    interactions[0] = 0
    before = history_before(dataset, targets)
    history = running_sums(np.bincount(before.targets, minlength=len(targets)), targets.users).astype(np.int64)
    left_out: dict[str, str] = {}
    content: Matrix | None = np.asarray(table.content.base, np.float32)
    if not np.any(content):
        content = None
        left_out["diversity@10"] = "the items have no content: neither words nor tags tell how alike two are"
    genre, reason = choose_attribute(table.tags, calibrate_by)
    if genre is None:
        left_out["genre_kl@10"] = reason
        return Background(interactions, history, content, None, None, None, left_out)
    shares = item_shares(table.tags[genre])
    events = sparse.csr_matrix(
        (np.ones(len(before.events)), (before.targets, rows_of_item[items[before.events]])),
        shape=(len(targets), shares.shape[0]),
    )
    tastes = normalised(running_sums((events @ shares).toarray(), targets.users))
    return Background(interactions, history, content, genre, shares, tastes, left_out)
