"""fit after kill -9: real processes, killed at random moments, end in the same bundle."""

import json
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from tiny import write_tiny_data

from penchant.bundle import current, read_manifest
from training import fit

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["training.fit"])
LONG_S = 120.0


def started(data: Path, bundles: Path, *more: str) -> BaseProcess:
    """A fit of the tiny recipe, in a process of its own, that keeps a checkpoint after every step."""
    arguments = ["--data", str(data), "--recipe", "tiny", "--bundles", str(bundles), "--checkpoint-every", "0", *more]
    process = PROCESSES.Process(target=fit.main, args=(arguments,))
    process.start()
    return process


def killed_when(process: BaseProcess, ready: Callable[[], bool]) -> None:
    """Kill -9 at the first moment that is seen to be ready."""
    until = time.monotonic() + LONG_S
    while not ready():
        assert process.is_alive(), "the fit ended before it was to be killed"
        assert time.monotonic() < until
        time.sleep(0.001)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()


def killed_after(process: BaseProcess, bundles: Path, saves: int) -> None:
    """Kill -9 once so many checkpoints were seen to be written."""
    before, seen = kept(bundles), set[tuple[str, int]]()

    def ready() -> bool:
        seen.update(kept(bundles) - before)
        return len(seen) >= saves

    killed_when(process, ready)


def kept(bundles: Path) -> set[tuple[str, int]]:
    """Each checkpoint's path and when it was written."""
    found = set()
    for path in bundles.glob(".fit-*/*.pt"):
        found.add((str(path), path.stat().st_mtime_ns))
    return found


def losses(bundles: Path) -> list[dict[str, object]]:
    """Of the published bundle, by training and step."""
    folder = current(bundles)
    assert folder is not None
    return [json.loads(line) for line in (folder / fit.LOSSES).read_text().splitlines()]


def test_killed_again_and_again_it_ends_in_the_same_weights_and_losses(
    tiny_bundles: tuple[Path, Path], tmp_path: Path
) -> None:
    data, uninterrupted = tiny_bundles
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")  # shown if the test fails
    rng = random.Random(seed)
    for _ in range(4):  # what is finished is read back and not written again, so each comes further
        killed_after(started(data, tmp_path), tmp_path, rng.randint(1, 5))
    killed_when(started(data, tmp_path), lambda: any(tmp_path.glob(".fit-*/room/*")))
    process = started(data, tmp_path)
    process.join(LONG_S)
    whole, resumed = current(uninterrupted), current(tmp_path)
    assert whole is not None
    assert resumed is not None
    assert read_manifest(resumed).files == read_manifest(whole).files
    assert losses(tmp_path) == losses(uninterrupted)
    assert {path.name for path in tmp_path.iterdir()} == {resumed.name, "CURRENT"}


def test_other_data_or_another_seed_begins_at_its_own_beginning_and_leaves_the_checkpoint_to_its_owner(
    tiny_data: Path, tmp_path: Path
) -> None:
    killed_after(started(tiny_data, tmp_path), tmp_path, 3)
    owned = kept(tmp_path)
    killed_after(started(tiny_data, tmp_path, "--seed", "1"), tmp_path, 1)
    killed_after(started(write_tiny_data(tmp_path / "data", users=41), tmp_path), tmp_path, 1)
    assert owned < kept(tmp_path)
    assert len(list(tmp_path.glob(".fit-*"))) == 3


def test_the_same_fit_twice_at_once_is_refused(
    tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    process = started(tiny_data, tmp_path)
    try:
        until = time.monotonic() + LONG_S
        while not kept(tmp_path) and time.monotonic() < until:
            time.sleep(0.005)
        assert fit.main(["--data", str(tiny_data), "--recipe", "tiny", "--bundles", str(tmp_path)]) == 2
        assert "another process is at this very fit" in capsys.readouterr().err
    finally:
        process.kill()
        process.join()
