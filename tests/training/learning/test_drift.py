"""How far numbers and categories have moved."""

import json
from pathlib import Path

import numpy as np
import pytest
from learning_world import act, append

from training.learning.drift import binned, compared, psi
from training.learning.drift_cli import main


def test_the_same_distribution_has_not_drifted_and_another_has() -> None:
    rng = np.random.default_rng(0)
    reference = binned(rng.standard_normal(5000))
    same = compared("x", reference, rng.standard_normal(5000))
    moved = compared("x", reference, rng.standard_normal(5000) + 1.0)
    assert same.psi < 0.02
    assert same.verdict == "none"
    assert moved.psi > 0.5
    assert moved.ks > 0.3
    assert moved.verdict == "strong"


def test_psi_by_hand() -> None:
    assert psi([50, 50], [50, 50]) == 0.0
    assert psi([50, 50], [75, 25]) == pytest.approx(0.25 * np.log(1.5) - 0.25 * np.log(0.5))


def test_few_values_that_chance_explains_are_no_drift() -> None:
    rng = np.random.default_rng(0)
    reference = binned(rng.standard_normal(5000))
    assert all(compared("x", reference, rng.standard_normal(20)).verdict == "none" for _ in range(10))


def test_constants_gaps_and_nothing_at_all_are_told_apart() -> None:
    constant = binned(np.zeros(100))
    assert compared("x", constant, np.zeros(50)).psi == 0.0
    assert compared("x", constant, np.ones(50)).verdict == "strong"
    assert compared("x", constant, np.full(50, np.nan)).verdict == "strong"
    assert compared("x", constant, np.empty(0)).psi == 0.0
    assert binned(np.empty(0))["counts"] == [0]


def test_the_command_names_what_moved(
    tiny_bundles: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, bundles = tiny_bundles
    log = tmp_path / "log"
    append(log, [act(f"u{n % 40}", "i7", at_s=60 * n) for n in range(200)])
    asked = ["--log", str(log), "--bundles", str(bundles), "--data", str(data), "--events", "150", "--targets", "60"]
    assert main([*asked, "--plot", str(tmp_path / "drift.png")]) == 0
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    found = {row["name"]: row["verdict"] for row in line["drift"]}
    assert found["item_popularity"] == "strong"
    assert found["event_types"] == "strong"
    assert (tmp_path / "drift.png").stat().st_size > 0
    assert main([*asked, "--check"]) == 1
    capsys.readouterr()


def test_a_bundle_without_reference_is_told_to_be_trained_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--log", str(tmp_path), "--bundles", str(tmp_path)]) == 2
    assert "publishes no bundle" in capsys.readouterr().err
