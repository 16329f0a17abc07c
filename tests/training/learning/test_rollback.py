"""Back to an earlier bundle in one command."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from penchant.bundle import current, publish, read_manifest, write_manifest
from training.learning.files import read_hold
from training.learning.rollback import main


@pytest.fixture
def bundles(tiny_bundles: tuple[Path, Path], tmp_path: Path) -> Path:
    """Three bundles, each learned from the one before: a, b, c; c is published."""
    published = current(tiny_bundles[1])
    assert published is not None
    earlier = ""
    for n, name in enumerate("abc"):
        shutil.copytree(published, tmp_path / name)
        lineage = {"from": earlier, "update": n, "position": n} if earlier else {}
        manifest = replace(read_manifest(published), version=name, lineage=lineage)
        write_manifest(tmp_path / name, manifest)
        earlier = name
    publish(tmp_path, "c")
    return tmp_path


def pointed(bundles: Path) -> str:
    folder = current(bundles)
    assert folder is not None
    return folder.name


def test_without_a_name_it_goes_back_one_and_again_one_more(bundles: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--bundles", str(bundles)]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"from": "c", "to": "b"}
    assert main(["--bundles", str(bundles)]) == 0
    assert pointed(bundles) == "a"
    hold = read_hold(bundles)
    assert hold is not None
    assert hold.rolled_back == ("b", "c")
    assert main(["--bundles", str(bundles)]) == 2
    assert "no bundle before a" in capsys.readouterr().err


def test_with_a_name_it_goes_there(bundles: Path) -> None:
    assert main(["--bundles", str(bundles), "--to", "a"]) == 0
    assert pointed(bundles) == "a"


def test_an_unknown_one_and_the_current_one_are_refused(bundles: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--bundles", str(bundles), "--to", "z"]) == 2
    assert "it has a, b, c" in capsys.readouterr().err
    assert main(["--bundles", str(bundles), "--to", "c"]) == 2
    assert pointed(bundles) == "c"
    assert read_hold(bundles) is None


def test_a_damaged_one_is_never_pointed_at(bundles: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (bundles / "b" / "items" / "keys.npy").write_bytes(b"gone")
    assert main(["--bundles", str(bundles)]) == 2
    assert "copy the bundle again" in capsys.readouterr().err
    assert pointed(bundles) == "c"


def test_the_list_says_which_is_current_and_what_was_rolled_back(
    bundles: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--bundles", str(bundles)])
    capsys.readouterr()
    assert main(["--bundles", str(bundles), "--list"]) == 0
    rows = json.loads(capsys.readouterr().out.splitlines()[-1])["bundles"]
    assert [(row["version"], row["current"], row["verdict"]) for row in rows] == [
        ("a", False, ""), ("b", True, ""), ("c", False, "rolled back"),
    ]  # fmt: skip


def test_a_release_lifts_the_hold(bundles: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--bundles", str(bundles)])
    assert main(["--bundles", str(bundles), "--release"]) == 0
    assert read_hold(bundles) is None
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"released": True}
