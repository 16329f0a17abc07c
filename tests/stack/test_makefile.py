"""make on a machine that lacks something says what, before it does anything."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="no make here")


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A folder for PATH with the few programs that make needs, and none of Python's."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("make", "sh", "test", "touch", "sed", "cat", "rm", "dirname"):
        (tools / name).symlink_to(shutil.which(name))
    shutil.copy(ROOT / "Makefile", tmp_path / "Makefile")
    (tmp_path / "pyproject.toml").touch()
    return tmp_path


def make(machine: Path, target: str, *said: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(machine / "tools")}
    return subprocess.run(
        [machine / "tools" / "make", target, *said], cwd=machine, env=environment, capture_output=True, text=True
    )


def test_without_python_it_says_which_one_is_needed(machine: Path) -> None:
    run = make(machine, "test")
    assert run.returncode != 0
    assert "no Python 3.11 found as python3.11, python3 or python" in run.stderr


def test_python_of_another_version_is_passed_over(machine: Path) -> None:
    other = machine / "tools" / "python3.11"
    other.write_text("#!/bin/sh\nexit 1\n")
    other.chmod(0o755)
    assert "no Python 3.11 found" in make(machine, "env").stderr


def test_python3_is_taken_where_it_is_the_right_one(machine: Path) -> None:
    (machine / "tools" / "python3").symlink_to(sys.executable)
    run = make(machine, "env")
    assert "no Python 3.11 found" not in run.stderr
    assert "no C++ compiler found" in run.stderr
    assert not (machine / ".venv").exists()


def test_status_and_down_need_no_environment(machine: Path) -> None:
    for target in ("status", "down"):
        run = make(machine, target)
        assert run.returncode == 0
        assert "nothing runs" in run.stdout


def test_help_names_every_target_for_people(machine: Path) -> None:
    said = make(machine, "help").stdout
    for target in ("demo", "test", "check", "up", "down", "status"):
        assert target in said
