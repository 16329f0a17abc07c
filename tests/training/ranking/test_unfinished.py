"""A ranker's training that was interrupted after an epoch."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_requests import RECIPE, SCHEMA, TASKS, item_features, known, requests

from training.checkpoint import Checkpoint
from training.ranking.train import TrainedRanker, train_ranker
from training.ranking.unfinished import kept_samples
from training.run import Part

THREE = replace(RECIPE, members=2, epochs=3)


def test_it_ends_in_the_same_bits_wherever_it_was_interrupted(tmp_path: Path) -> None:
    train, valid = requests(200, 0), requests(60, 1)
    told: list[float] = []

    def trained(part: Part, until: int) -> TrainedRanker:
        left = until

        def progress(done: float) -> None:
            nonlocal left
            told.append(done)
            left -= 1
            if left == 0:
                raise KeyboardInterrupt

        return train_ranker(
            train, valid, item_features(), known(), SCHEMA, TASKS, THREE, 0, progress, part=part
        )  # fmt: skip

    def part() -> Part:
        return Part(checkpoint=Checkpoint(tmp_path / "ranker.pt", every_s=0.0))

    whole = trained(Part(), 0)
    for until in (2, 2, 3, 1):  # epochs told since: the one told last is not kept yet
        with pytest.raises(KeyboardInterrupt):
            trained(part(), until)
    told.clear()
    again = trained(part(), 0)
    assert len(told) < 3, "members and epochs that were done are not done again"
    for name, value in whole.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], value), name
    assert (again.epochs, again.losses, again.curves) == (whole.epochs, whole.losses, whole.curves)
    assert len(whole.curves) == 2


def test_samples_are_collected_once(tmp_path: Path) -> None:
    first = requests(20, 0)
    kept_samples(Checkpoint(tmp_path / "samples.pt"), lambda: first)

    def never() -> None:
        raise AssertionError("collected again")

    found = kept_samples(Checkpoint(tmp_path / "samples.pt"), never)  # type: ignore[arg-type]
    assert np.array_equal(found.rows, first.rows)
    assert np.array_equal(found.statistics.log_sums, first.statistics.log_sums)
    assert found.positions.dtype == first.positions.dtype
