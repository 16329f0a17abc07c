"""What lists are judged by, against loops over the events."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from training.data.dataset import Dataset
from training.data.split import history_mask, split
from training.evaluation.background import background
from training.evaluation.offline import open_bundle
from training.evaluation.protocol import history_before, running_sums, target_set, timelines


@pytest.mark.parametrize("protocol", ["time-split", "leave-one-out"])
def test_history_before_a_target_is_what_its_user_did_before_it(walks: Dataset, protocol: str) -> None:
    targets = target_set(walks, split(walks, protocol))
    before = history_before(walks, targets)
    counts = running_sums(np.bincount(before.targets, minlength=len(targets)), targets.users)
    items = np.zeros((len(targets), len(walks.item_ids)))
    np.add.at(items, (before.targets, walks.events.items[before.events]), 1)
    items = running_sums(items, targets.users)
    history = history_mask(walks)
    for line in timelines(walks, targets):
        for i, at in enumerate(line.target_at.tolist()):
            earlier = line.events[:at][history[line.events[:at]]]
            assert counts[line.first_target + i] == len(earlier)
            expected = Counter(walks.events.items[earlier].tolist())
            found = {j: int(n) for j, n in enumerate(items[line.first_target + i]) if n}
            assert found == dict(expected)


def test_popularity_counts_nothing_that_is_held_out_and_tastes_are_shares(
    walks: Dataset, published_bundle: Callable[[str], Path]
) -> None:
    cut = split(walks, "time-split")
    targets = target_set(walks, cut)
    table = open_bundle(published_bundle("time-split") / "walks-1", "exact").table
    known = background(table, walks, cut, targets)
    assert known.genre == "genre"
    assert known.left_out == {}
    history = history_mask(walks)
    assert known.interactions.sum() == history[np.concatenate([cut.train, cut.valid])].sum()
    assert known.interactions[0] == 0
    assert known.tastes is not None
    sums = known.tastes.sum(axis=1)
    np.testing.assert_allclose(sums, known.history > 0)


def test_what_cannot_be_judged_says_why(walks: Dataset, published_bundle: Callable[[str], Path]) -> None:
    cut = split(walks, "time-split")
    targets = target_set(walks, cut)
    table = open_bundle(published_bundle("time-split") / "walks-1", "exact").table
    assert (
        "no categorical or multi-valued attribute 'colour'"
        in background(table, walks, cut, targets, "colour").left_out["genre_kl@10"]
    )
    table.content = type(table.content)(np.zeros_like(table.content.base))
    assert "no content" in background(table, walks, cut, targets).left_out["diversity@10"]
