"""Recipes side by side."""

import json
from pathlib import Path

import numpy as np
import pytest

from training.data.dataset import Dataset
from training.data.split import split
from training.evaluation.protocol import target_set
from training.retrieval.compare import main
from training.retrieval.measure import MASKS, METRICS, baseline_places, metrics, places
from training.retrieval.trained import TrainedRetrieval


@pytest.fixture(scope="module")
def walks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sequence file in which each item is followed by the next one, of 30, most of the time."""
    rng = np.random.default_rng(0)
    lines = []
    for user in range(60):
        place = int(rng.integers(30))
        for _ in range(12):
            lines.append(f"{user + 1} {place + 1}")
            place = (place + (1 if rng.random() < 0.9 else 7)) % 30
    path = tmp_path_factory.mktemp("compare") / "walks.txt"
    path.write_text("\n".join(lines))
    return path


def test_a_comparison_ends_with_one_json_line_and_is_not_run_twice(
    walks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [
        "--data", str(walks), "--recipes", "tiny", "--out", str(tmp_path), "--shares", "0.5,1", "--seeds", "1,2",
    ]  # fmt: skip
    assert main(asked) == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out.splitlines()[-1])
    assert [(run["seed"], run["share"]) for run in result["runs"]] == [(1, 0.5), (1, 1.0), (2, 0.5), (2, 1.0)]
    for run in result["runs"]:
        assert run["first_cpu_s"] >= 0
        for mask in MASKS:
            systems = run["test"][mask]
            assert {"first_alone", "first_blended", "second_alone", "second_blended", "co_visitation"} == set(systems)
            assert all(set(found) == set(METRICS) for found in systems.values())
    assert {"popularity", "ease", "item_knn", "user_knn", "als"} == set(result["baselines"]["masked"])
    assert result["runs"][1]["test"]["unmasked"]["second_blended"]["hr@10"] > 0.8
    assert result["baselines"]["unmasked"]["popularity"]["hr@10"] < 0.6
    assert (tmp_path / "curve.png").stat().st_size > 1000
    assert json.loads((tmp_path / "compare.json").read_text()) == result

    kept = sorted(path.stat().st_mtime_ns for path in tmp_path.glob("*.npz"))
    assert main(asked) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["runs"] == result["runs"]
    assert sorted(path.stat().st_mtime_ns for path in tmp_path.glob("*.npz")) == kept

    # Other data with the very same targets is measured anew.
    lines = walks.read_text().splitlines()
    other = tmp_path / walks.name
    other.write_text("\n".join([lines[1], lines[0], *lines[2:]]))
    assert lines[0] != lines[1]
    assert main(["--data", str(other), "--recipes", "tiny", "--out", str(tmp_path), "--seeds", "1"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["targets_sha256"] == result["targets_sha256"]
    assert len(list(tmp_path.glob("*.npz"))) == len(kept) + 1


def test_places_are_those_of_what_is_served(toy: Dataset, toy_trained: TrainedRetrieval) -> None:
    cut = split(toy, "leave-one-out")
    targets = target_set(toy, cut)
    before = np.setdiff1d(np.arange(len(toy.events)), targets.events)
    found = places(toy_trained, toy, before, targets, "alone", "blended")
    model = toy_trained.model()
    rows = toy_trained.catalogue.rows(toy.events.items)
    for i in range(0, len(targets), 7):
        mine = np.flatnonzero(toy.events.users == targets.users[i])
        history = rows[mine[mine != targets.events[i]]]
        allowed = np.ones(toy_trained.catalogue.count + 1, bool)
        allowed[0] = False
        allowed[history] = False
        served, _ = model.retrieve(history, allowed, 62)
        place = np.flatnonzero(served.rows == rows[targets.events[i]])
        if len(place):
            assert found["masked"]["blended"][i] == place[0] + 1


def test_popular_items_come_first_and_what_was_had_does_not(toy: Dataset, toy_trained: TrainedRetrieval) -> None:
    cut = split(toy, "leave-one-out")
    targets = target_set(toy, cut)
    before = np.setdiff1d(np.arange(len(toy.events)), targets.events)
    found = baseline_places(toy, toy_trained.catalogue, before, targets)
    rows = toy_trained.catalogue.rows(toy.events.items)
    counts = np.bincount(rows[before], minlength=toy_trained.catalogue.count + 1)
    for i in range(0, len(targets), 9):
        target = rows[targets.events[i]]
        had = set(rows[before[toy.events.users[before] == targets.users[i]]].tolist())
        ahead = [r for r in range(1, len(counts)) if (-counts[r], r) < (-counts[target], target)]
        assert found["unmasked"]["popularity"][i] == 1 + len(ahead)
        if target not in had:
            assert found["masked"]["popularity"][i] == 1 + len([r for r in ahead if r not in had])


def test_metrics_by_hand() -> None:
    found = metrics(np.array([1, 3, 60, 0]))
    expected = [0.5, (1 + 0.5) / 4, 0.5, 0.75, (1 + 1 / 3) / 4]
    np.testing.assert_allclose([found[name] for name in METRICS], expected)


def test_an_unknown_recipe_and_nothing_held_out_are_refused_in_a_sentence(
    walks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--data", str(walks), "--recipes", "nope", "--out", str(tmp_path)]) == 2
    assert "unknown recipe 'nope'" in capsys.readouterr().err
    (tmp_path / "short.txt").write_text("1 1\n1 2\n2 1\n2 2\n")
    assert main(["--data", str(tmp_path / "short.txt"), "--recipes", "tiny", "--out", str(tmp_path)]) == 2
    assert "holds out no event" in capsys.readouterr().err
