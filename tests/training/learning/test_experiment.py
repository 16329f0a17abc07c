"""The experiment's short form: every step that the long one takes, on a world of seconds."""

import json
from pathlib import Path

import pytest

from training.learning.experiment import main
from training.learning.kept import Kept

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

    # The same again learns anew and trains nothing a second time.
    fits = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.json")}
    assert len(fits) == 4
    assert main(["--out", str(tmp_path / "out"), *SMALL, "--targets", "60"]) == 0
    again = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert again["ndcg@10"] == result["ndcg@10"]
    assert again["cpu_s"]["retrain"] == result["cpu_s"]["retrain"]
    assert result["of_other_code"] == again["of_other_code"] == []
    kept = {path: path.stat().st_mtime_ns for path in fits if path.stem != "experiment"}
    assert kept.items() <= fits.items()


def test_what_other_code_made_is_named(tmp_path: Path) -> None:
    def make(folder: Path) -> None:
        folder.mkdir()

    kept = Kept.open({"users": 5}, tmp_path / "out")
    kept.once("first", make)
    kept.once("second", make)
    assert kept.other_code == []
    note = tmp_path / "out" / "first.json"
    note.write_text(json.dumps({**json.loads(note.read_text()), "code": "another"}))
    again = Kept.open({"users": 5}, tmp_path / "out")
    again.once("first", make)
    again.once("second", make)
    assert again.other_code == ["first"]


def test_a_folder_with_another_experiment_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "experiment.json").write_text(json.dumps({"users": 5}))
    assert main(["--out", str(tmp_path), *SMALL]) == 2
    said = capsys.readouterr().err
    assert "holds an experiment with" in said
    assert "users 5" in said


def test_a_folder_that_is_not_empty_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "there").write_text("something")
    assert main(["--out", str(tmp_path), *SMALL]) == 2
    assert "is not empty" in capsys.readouterr().err
