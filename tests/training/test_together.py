"""fit as torchrun starts it: two processes, one model."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil

from penchant.bundle import current, verify
from training import fit

TOLERANCE = 1e-5
"""Of a loss, relative: sums are added in another order. Measured: 1.4e-7 on this data."""


def losses(bundles: Path) -> list[tuple[str, float]]:
    folder = current(bundles)
    assert folder is not None
    lines = map(json.loads, (folder / fit.LOSSES).read_text().splitlines())
    return [(f"{line['training']} {line['step']}", line["loss"]) for line in lines]


def torchrun(data: Path, bundles: Path, *more: str) -> subprocess.Popen[str]:
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = ["-m", "training", "fit", "--data", str(data), "--recipe", "tiny", "--bundles", str(bundles), *more]
    return subprocess.Popen(
        [*launch, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def test_two_processes_killed_once_have_the_loss_curve_of_one(tiny_bundles: tuple[Path, Path], tmp_path: Path) -> None:
    data, alone = tiny_bundles
    interrupted = torchrun(data, tmp_path, "--checkpoint-every", "0")
    until = time.monotonic() + 120
    while not list(tmp_path.glob(".fit-*/*.pt")):
        assert interrupted.poll() is None
        assert time.monotonic() < until
        time.sleep(0.002)
    for process in psutil.Process(interrupted.pid).children():
        process.kill()
    interrupted.communicate()

    resumed = torchrun(data, tmp_path, "--checkpoint-every", "0")
    out, err = resumed.communicate()
    assert resumed.returncode == 0, err
    assert "going on from the checkpoint" in err
    assert len(out.splitlines()) == 1, "the first process alone tells the result"
    folder = current(tmp_path)
    assert folder is not None
    verify(folder)
    assert {path.name for path in tmp_path.iterdir()} == {folder.name, "CURRENT"}
    one, two = losses(alone), losses(tmp_path)
    assert [step for step, _ in one] == [step for step, _ in two]
    assert max(abs(a - b) / a for (_, a), (_, b) in zip(one, two, strict=True)) < TOLERANCE
