"""A folder of bundles of one's own, and a log that goes on where the tiny data set ends."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from learning_world import act, append, item

from penchant.bundle import current, publish
from training.learning.budget import UpdateBudget
from training.learning.loop import Learner

BUDGET = UpdateBudget(requests=150, slates=20, book_requests=80, contest_targets=60, least_new=20, tower_share=0.3)


@pytest.fixture
def own_bundles(tiny_bundles: tuple[Path, Path], tmp_path: Path) -> Path:
    """A folder with a copy of the tiny bundle, published."""
    published = current(tiny_bundles[1])
    assert published is not None
    shutil.copytree(published, tmp_path / "bundles" / published.name)
    publish(tmp_path / "bundles", published.name)
    return tmp_path / "bundles"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """400 clicks that go on like the tiny data's, a new item and a new user among them."""
    walk(tmp_path / "log", 400, 0)
    append(tmp_path / "log", [item("new", title="A new drama", genres=["drama"], maker="m1", price=7.0)], "items")
    return tmp_path / "log"


def learned_on(log: Path, bundles: Path, data: Path) -> Path:
    """Let a learner take in the log once; the bundle it published, which is not the one it went on from."""
    first = current(bundles)
    learner = Learner(str(log), None, bundles, data, budget=replace(BUDGET, tolerance=10.0), keep_bundles=3)
    learner.start()
    done = learner.update()
    learner.close()
    published = current(bundles)
    assert done.published
    assert published is not None
    assert published != first
    return published


def walk(folder: Path, events: int, seed: int, start_s: float = 0.0) -> None:
    """Users click along the catalogue in steps of one to three; every tenth click is on the new item."""
    rng = np.random.default_rng(seed)
    place = rng.integers(0, 80, 41)
    records = []
    for n in range(events):
        user = int(rng.integers(41))
        place[user] = (place[user] + rng.integers(1, 4)) % 80
        records.append(act(f"u{user}", "new" if n % 10 == 9 else f"i{place[user]}", at_s=start_s + 60 * n))
    append(folder, records)
