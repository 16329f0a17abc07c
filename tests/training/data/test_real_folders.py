"""The public data sets, where they lie on this machine: in data/ or the folder that TEST_DATA names."""

import os
from pathlib import Path

import pytest

from training.data.read import read_dataset

ROOT = Path(os.environ.get("TEST_DATA", "data"))
SETS = {
    "ml-100k": ("ml-100k", 100_000, 943, 1_682),
    "ml-latest-small": ("ml-latest-small", 100_836, 610, 9_742),
    "ml-1m": ("ml-1m.sasrec", 999_611, 6_040, 3_416),
    "ml-1m/ml-1m.sasrec.txt": ("ml-1m.sasrec", 999_611, 6_040, 3_416),
    "amazon-beauty": ("Beauty", 198_502, 22_363, 12_101),
}


@pytest.mark.parametrize("place", SETS)
def test_a_public_set_reads_whole(place: str) -> None:
    if not (ROOT / place).exists():
        pytest.skip(f"{ROOT / place} is not on this machine")
    dataset = read_dataset(ROOT / place)
    name, events, users, items = SETS[place]
    assert (dataset.name, len(dataset.events), len(dataset.user_ids), len(dataset.item_ids)) == (
        name,
        events,
        users,
        items,
    )
    assert dataset.counts["rows_read"] == events
