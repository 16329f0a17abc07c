"""Stable keys: a signed 64-bit xxh3 of (tenant, id). History, Feast and bundles hold keys, never strings."""

from collections.abc import Iterable

import numpy as np
import xxhash

from penchant.types import Keys

MAX_ID_BYTES = 256


def key(tenant: str, id_: str) -> int:
    """Signed 64-bit key of an id within a tenant.

    The separator is a NUL, which ids may not hold, so no (tenant, id) pair runs into another.
    """
    unsigned = xxhash.xxh3_64_intdigest(f"{tenant}\0{id_}".encode())
    return unsigned - (1 << 64) if unsigned >= 1 << 63 else unsigned


def keys(tenant: str, ids: Iterable[str]) -> Keys:
    """Keys of many ids, int64 [N], in the given order."""
    return np.fromiter((key(tenant, id_) for id_ in ids), dtype=np.int64)


def identity_key(tenant: str, user_id: str = "", anonymous_id: str = "", device_id: str = "") -> int:
    """Key of the first given identity; 0 if none is.

    Anonymous and device ids have key spaces of their own: one that equals a user's id is not that user.
    """
    if user_id:
        return key(tenant, user_id)
    if anonymous_id:
        return key(tenant, f"\0anonymous\0{anonymous_id}")
    if device_id:
        return key(tenant, f"\0device\0{device_id}")
    return 0
