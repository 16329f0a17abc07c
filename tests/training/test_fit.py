"""python -m training fit, from a data folder to a published bundle."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from penchant.bundle import current, publish, read_manifest, verify, write_manifest
from penchant.features import FeatureSchema
from training.evaluation import cli
from training.evaluation.offline import open_bundle
from training.fit import main


def test_the_published_bundle_is_whole_and_its_models_run_their_golden_rows(tiny_bundles: tuple[Path, Path]) -> None:
    _, bundles = tiny_bundles
    folder = current(bundles)
    assert folder is not None
    manifest = verify(folder)
    assert set(manifest.models) == {"user_tower", "item_tower", "ranker", "trees"}
    assert all(spec.golden in manifest.files for spec in manifest.models.values())
    assert manifest.tasks == ("engage", "click", "purchase", "like", "rating")
    assert manifest.task_weights["engage"] == 1.0
    assert manifest.recipe["protocol"] == "time-split"
    opened = open_bundle(folder)
    assert opened.ranker is not None
    assert opened.trees is not None


def test_nothing_but_the_bundle_and_the_pointer_is_left(tiny_bundles: tuple[Path, Path]) -> None:
    _, bundles = tiny_bundles
    folder = current(bundles)
    assert folder is not None
    assert {path.name for path in bundles.iterdir()} == {folder.name, "CURRENT"}


def test_every_system_can_be_evaluated(tiny_bundles: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    data, bundles = tiny_bundles
    assert cli.main(["--data", str(data), "--bundles", str(bundles), "--protocol", "time-split"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])["test"]["masked"]
    assert found["ranked"]["ndcg@10"] > found["popularity"]["ndcg@10"]
    assert all(found[system] is not None for system in ("ranked", "retrieval", "trees", "ease"))


def test_an_unknown_recipe_names_the_known_ones(
    tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--data", str(tiny_data), "--recipe", "defualt", "--bundles", str(tmp_path / "b")]) == 2
    assert "known are default, esasrec, " in capsys.readouterr().err
    assert not (tmp_path / "b").exists()


def test_a_failed_export_leaves_no_bundle_but_what_the_next_try_goes_on_from(
    tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def differs(*arguments: object) -> None:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr("training.fit.write_ranking", differs)
    with pytest.raises(RuntimeError):
        main(["--data", str(tiny_data), "--recipe", "tiny", "--bundles", str(tmp_path)])
    assert [path.name[:5] for path in tmp_path.iterdir()] == [".fit-"]


def test_plain_sequences_of_few_users_are_enough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    lines = [f"u{u} i{(u + step) % 12}" for u in range(20) for step in range(int(rng.integers(3, 9)))]
    (tmp_path / "few.txt").write_text("\n".join(lines))
    assert main(["--data", str(tmp_path / "few.txt"), "--recipe", "tiny", "--bundles", str(tmp_path / "bundles")]) == 0
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert line["protocol"] == "leave-one-out"
    folder = current(tmp_path / "bundles")
    assert folder is not None
    assert line["bundle"] == folder.name
    assert verify(folder).tasks == ("engage",)


def test_values_have_the_bounds_that_training_saw_by_type(tiny_bundles: tuple[Path, Path]) -> None:
    folder = current(tiny_bundles[1])
    assert folder is not None
    bounds = FeatureSchema.from_json(verify(folder).schema).value_bounds
    assert bounds == {"rating": (2.5, 5.0)}


def test_one_item_is_refused_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "one.txt").write_text("".join(f"u{u} a\nu{u} a\nu{u} a\nu{u} a\n" for u in range(9)))
    assert main(["--data", str(tmp_path / "one.txt"), "--recipe", "tiny", "--bundles", str(tmp_path / "b")]) == 2
    assert "recommending takes two or more" in capsys.readouterr().err


def test_a_dozen_of_events_that_teach_nothing_still_end_in_a_bundle(tmp_path: Path) -> None:
    (tmp_path / "dataset.toml").write_text('[events]\nfiles = ["e.csv"]\nuser = "u"\nitem = "i"\ntime = "t"\n')
    lines = [f"u{i},i{i},{1_700_000_000 + 1000 * i}" for i in range(12)]
    (tmp_path / "e.csv").write_text("\n".join(["u,i,t", *lines]))
    assert main(["--data", str(tmp_path), "--recipe", "tiny", "--bundles", str(tmp_path / "b")]) == 0


def evaluated(data: Path, bundles: Path, *more: str) -> int:
    return cli.main(
        ["--data", str(data), "--bundles", str(bundles), "--protocol", "time-split", "--max-targets", "5", *more]
    )


def test_other_targets_than_those_held_out_are_refused(
    tiny_bundles: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, bundles = tiny_bundles
    changed = tmp_path / "data"
    shutil.copytree(data, changed)
    lines = (changed / "events.csv").read_text().splitlines()
    (changed / "events.csv").write_text("\n".join(lines[: len(lines) * 3 // 4]))
    assert evaluated(changed, bundles) == 2
    assert "held out targets of sha256" in capsys.readouterr().err

    folder = current(bundles)
    assert folder is not None
    manifest = read_manifest(folder)
    del manifest.recipe["targets_sha256"]
    older = tmp_path / "bundles"
    shutil.copytree(folder, older / folder.name)
    write_manifest(older / folder.name, manifest)
    publish(older, folder.name)
    assert evaluated(changed, older) == 0


def test_a_result_that_could_not_be_written_is_told_before_the_work(
    tiny_bundles: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, bundles = tiny_bundles
    assert evaluated(data, bundles, "--json-out", str(tmp_path / "nope" / "x.json")) == 2
    assert "make it first" in capsys.readouterr().err
    assert evaluated(data, bundles, "--json-out", str(tmp_path)) == 2
    assert "is a folder" in capsys.readouterr().err
