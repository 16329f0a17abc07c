"""What the front door holds of one bundle: the item table, popular items for bad days, and the users' ids."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from penchant.bundle import Manifest
from penchant.item_table import ItemTable
from penchant.mapped import mapped
from penchant.retrieval.model import user_ids
from penchant.types import Keys, Rows, Vector


@dataclass(frozen=True)
class Catalogue:
    """One bundle, as the front door sees it."""

    folder: Path
    manifest: Manifest
    table: ItemTable
    trending_rows: Rows
    """The bundle's rows, those first that retrieval shows to a user without history."""
    trend_scores: Vector
    """[N+1] log share of the trend, by row."""
    popular_scores: Vector
    """[N+1] log share of all-time events, by row."""

    @classmethod
    def open(cls, folder: Path, manifest: Manifest, table: ItemTable) -> "Catalogue":
        """What a verified bundle holds beside its item table."""
        trend: Vector = np.load(folder / "retrieval" / "trend.scores.npy")
        popular: Vector = np.load(folder / "retrieval" / "popular.scores.npy")
        trending = (np.lexsort((-popular[1:], -trend[1:])) + 1).astype(np.uint32)
        return cls(folder, manifest, table, trending, trend, popular)

    @property
    def version(self) -> str:
        """The bundle's."""
        return self.manifest.version

    @cached_property
    def user_keys(self) -> Keys:
        """Keys of the bundle's users, ascending."""
        return mapped(self.folder / "users" / "keys.npy")

    @cached_property
    def _user_ids(self) -> list[str]:
        return user_ids(self.folder)

    def ids_of_users(self, keys: Keys) -> list[str]:
        """Ids of the bundle's users by key, in order; "" for a key the bundle does not hold."""
        known = self.user_keys
        if len(known) == 0:
            return [""] * len(keys)
        place = np.minimum(np.searchsorted(known, keys), len(known) - 1)
        found = known[place] == keys
        ids = self._user_ids
        return [ids[p] if f else "" for p, f in zip(place.tolist(), found.tolist(), strict=True)]
