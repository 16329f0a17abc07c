"""One-shot programs: their words, their result, their failure, and their end with ours."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from penchant.errors import ProcessFailed
from stack.steps import Steps


def test_the_last_line_of_stdout_is_the_result_and_stderr_is_shown(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    steps = Steps(tmp_path)
    program = "import sys; print('working', file=sys.stderr); print('chatter'); print('{\"rows\": 3}')"
    assert steps.run("load", "-c", program) == {"rows": 3}
    assert "working" in capfd.readouterr().err
    assert set((tmp_path / "load.log").read_text().split()) >= {"working", "chatter"}
    assert 0 < steps.seconds_of["load"] < 10


@pytest.mark.parametrize("said", ["", "done", "[1, 2]", "3"])
def test_a_step_that_says_no_object_has_no_result(tmp_path: Path, said: str) -> None:
    assert Steps(tmp_path).run("load", "-c", f"print({said!r})") == {}


def test_a_failure_carries_the_end_of_the_log(tmp_path: Path) -> None:
    with pytest.raises(ProcessFailed, match=r"(?s)step fit ended with status 3\. The end of .*fit.log:.*no events"):
        Steps(tmp_path).run("fit", "-c", "import sys; print('no events', file=sys.stderr); sys.exit(3)")


def test_what_is_told_by_environment_is_on_no_command_line(tmp_path: Path) -> None:
    program = "import json, os; print(json.dumps({'said': os.environ['SECRET']}))"
    assert Steps(tmp_path).run("apply", "-c", program, environment={"SECRET": "word"}) == {"said": "word"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_step_ends_with_the_program_that_runs_it(tmp_path: Path, number: signal.Signals) -> None:
    owner = textwrap.dedent("""
        import sys
        from pathlib import Path
        from stack.steps import Steps
        program = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
        Steps(Path(sys.argv[1])).run("fit", "-c", program)
    """)
    process = subprocess.Popen([sys.executable, "-c", owner, str(tmp_path)], stderr=subprocess.DEVNULL)
    log = tmp_path / "fit.log"
    deadline = time.monotonic() + 20
    while not (log.exists() and log.read_text().strip()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    step = int(log.read_text())
    os.kill(process.pid, number)
    process.wait(10)
    while psutil.pid_exists(step):
        assert time.monotonic() < deadline, "the step outlived its owner"
        time.sleep(0.02)
