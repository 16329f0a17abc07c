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
