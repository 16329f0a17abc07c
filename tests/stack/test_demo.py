"""A demo that fails or is interrupted says why, with the right exit status, and leaves nothing behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from stack.layout import ROOT
from stack.supervised import tail


def start(data: Path, run: Path, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "stack.demo", "--data", str(data), "--run", str(run), *arguments]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def still_there(run: Path) -> list[int]:
    return [p.pid for p in psutil.process_iter(["cmdline"]) if any(str(run) in t for t in p.info["cmdline"] or ())]


def test_a_step_that_fails_ends_the_demo_with_its_last_words(tiny_data: Path, tmp_path: Path) -> None:
    said, shown = start(tiny_data, tmp_path / "run", "--recipe", "nothing").communicate(timeout=120)
    assert "demo: step fit ended with status" in shown
    assert "unknown recipe 'nothing'" in shown.split("The end of")[1]
    assert said == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_stops_everything(tiny_data: Path, tmp_path: Path, number: signal.Signals) -> None:
    run = tmp_path / "run"
    demo = start(tiny_data, run, "--recipe", "tiny")
    deadline = time.monotonic() + 60
    while not (run / "steps" / "fit.log").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(demo.pid, number)
    _, shown = demo.communicate(timeout=30)
    assert demo.returncode == 130
    assert "interrupted; everything is stopped" in shown
    assert still_there(run) == []


def test_two_demos_do_not_share_a_folder(tiny_data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    first = start(tiny_data, run, "--recipe", "tiny")
    deadline = time.monotonic() + 60
    while not tail(run / "supervisor.lock"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    second = start(tiny_data, run)
    _, shown = second.communicate(timeout=60)
    assert second.returncode == 1
    assert f"has a supervisor already (pid {first.pid})" in shown
    first.send_signal(signal.SIGTERM)
    first.communicate(timeout=30)
