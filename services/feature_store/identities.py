"""Who somebody turned out to be: identities that were merged, as the online store holds them.

A merged identity's hash holds the key it was merged into (user_identity:merged_into), so it is read together with the
features; only who was merged costs another read. Merges of merged users make chains, which are followed; there are no
circles, because one that would close a circle is refused and changes nothing in a replay.
"""

from typing import Any

import numpy as np

from penchant.errors import InvalidArgument, StoreUnavailable
from penchant.types import Keys
from services.feature_store.store import OnlineStore
from services.feature_store.writes import IdentityMerge

MERGED_INTO = "user_identity:merged_into"
_LONGEST_CHAIN = 64


async def read_users(
    store: OnlineStore, features: tuple[str, ...], keys: Keys, as_of_us: int, timeout_s: float | None = None
) -> tuple[Keys, list[tuple[Any, ...]]]:
    """Whom the keys are now, and a row of `features`, which hold MERGED_INTO, of each. Raises StoreUnavailable.

    One read; one more for those that were merged.
    """
    rows = await store.read_rows(features, keys, as_of_us, timeout_s)
    merged_into = features.index(MERGED_INTO)
    moved = [place for place, row in enumerate(rows) if row[merged_into]]
    if not moved:
        return keys, rows
    roots = np.array(keys, np.int64)
    for _ in range(_LONGEST_CHAIN):
        roots[moved] = [rows[place][merged_into] for place in moved]
        for place, row in zip(moved, await store.read_rows(features, roots[moved], as_of_us, timeout_s), strict=True):
            rows[place] = row
        moved = [place for place in moved if rows[place][merged_into]]
        if not moved:
            return roots, rows
    raise _endless()


async def roots_of(store: OnlineStore, keys: Keys, timeout_s: float | None = None) -> Keys:
    """Whom each identity is now; itself where it was never merged. Raises StoreUnavailable."""
    roots = np.array(keys, np.int64)
    looking = np.arange(len(roots))
    for _ in range(_LONGEST_CHAIN):
        if len(looking) == 0:
            return roots
        (found,) = await store.read([MERGED_INTO], roots[looking], 0, timeout_s)
        moved = found.values != 0
        looking = looking[moved]
        roots[looking] = found.values[moved]
    raise _endless()


def _endless() -> StoreUnavailable:
    return StoreUnavailable(
        f"an identity was merged more than {_LONGEST_CHAIN} times over: look at its merges in the event log"
    )


def check_roots(merge: IdentityMerge, from_root: int, into_root: int) -> bool:
    """Whether the two were one before. Raises InvalidArgument for a merge that may not be."""
    field = merge.from_field
    if into_root == merge.from_key:
        raise InvalidArgument(
            "into_user_id",
            f"{merge.into_user_id!r} was merged into this {field} before: they are one already, a circle is refused",
        )
    if from_root == into_root:
        return True
    if from_root != merge.from_key:
        raise InvalidArgument(
            field,
            f"{getattr(merge, field)!r} was merged into another user before: if both users are one person, merge the "
            "users; if two people share it, leave it as it is",
        )
    return False
