"""A toy whose items are described: each is said to be of its kind, and people stay with a kind."""

from pathlib import Path

import numpy as np
import pytest

from training.data.dataset import Attributes, Dataset, EventTable

KINDS = ("harbour", "mountain", "desert", "forest")


def kinds(users: int = 60, per_kind: int = 20, steps: int = 12, seed: int = 0) -> Dataset:
    """Each user acts on items of one kind; the text names the kind, the tag `half` tells two halves apart."""
    rng = np.random.default_rng(seed)
    items = per_kind * len(KINDS)
    what = np.concatenate([u % len(KINDS) * per_kind + rng.permutation(per_kind)[:steps] for u in range(users)])
    who = np.repeat(np.arange(users), steps)
    order = np.lexsort((who, np.tile(np.arange(steps), users)))
    events = EventTable(
        who[order].astype(np.int32), what[order].astype(np.int32),
        np.arange(1, len(who) + 1, dtype=np.int64) * 1_000_000, np.zeros(len(who), np.int8),
        np.full(len(who), np.nan, np.float32), np.arange(len(who), dtype=np.int64),
    )  # fmt: skip
    described = Attributes(
        text={"title": [f"the {KINDS[i // per_kind]} by the road" for i in range(items)]},
        multi={"half": [("low" if i % per_kind < per_kind // 2 else "high",) for i in range(items)]},
    )
    return Dataset(
        "kinds", [f"u{i}" for i in range(users)], [f"i{i}" for i in range(items)], ["click"], events, described,
        Attributes(), True, {}, {}, Path("."),
    )  # fmt: skip


@pytest.fixture(scope="session")
def described() -> Dataset:
    return kinds()
