"""The experiment's short form: every step that the long one takes, on a world of seconds."""

import json
from pathlib import Path

import pytest

from training.learning.experiment import main

SMALL = ["--users", "120", "--items", "200", "--events", "3000", "--days", "20", "--recipe", "tiny", "--updates", "1"]


def test_learning_on_is_compared_with_training_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plot = tmp_path / "learning.png"
    assert main(["--out", str(tmp_path / "out"), *SMALL, "--targets", "60", "--plot", str(plot)]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(result["ndcg@10"]) == {"learned", "retrained", "frozen"}
    low, high = result["learned_to_retrained"]
    assert low <= high
    (point,) = result["points"]
    assert point["targets"] == result["targets"] > 0
    assert 0 < result["cpu_s"]["update"] < result["cpu_s"]["retrain"]
    assert plot.stat().st_size > 0


def test_a_folder_that_is_not_empty_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "there").write_text("something")
    assert main(["--out", str(tmp_path), *SMALL]) == 2
    assert "is not empty" in capsys.readouterr().err
