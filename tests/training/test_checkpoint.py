"""Files that a killed fit goes on from."""

import contextlib
from pathlib import Path

import pytest
import torch

from penchant.errors import ConfigError
from training.checkpoint import Checkpoint, checkpoints


def test_what_was_saved_last_is_loaded_and_nothing_lies_beside_it(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "towers.pt")
    assert checkpoint.load() is None
    for step in (1, 2):
        checkpoint.save({"step": step, "weights": torch.full((3,), float(step))})
    found = Checkpoint(tmp_path / "towers.pt").load()
    assert found is not None
    assert found["step"] == 2
    assert found["weights"].tolist() == [2.0, 2.0, 2.0]
    assert [path.name for path in tmp_path.iterdir()] == ["towers.pt"]


def test_it_is_due_when_the_last_save_is_long_enough_ago(tmp_path: Path) -> None:
    now = [0.0]
    checkpoint = Checkpoint(tmp_path / "towers.pt", 30.0, lambda: now[0])
    now[0] = 29.0
    assert not checkpoint.due()
    now[0] = 31.0
    assert checkpoint.due()
    checkpoint.save({})
    assert not checkpoint.due()
    assert not Checkpoint().due()


def test_a_damaged_one_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "towers.pt").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(ConfigError, match=r"towers\.pt cannot be read .* --fresh"):
        Checkpoint(tmp_path / "towers.pt").load()


def test_only_the_same_fit_finds_them_and_a_fresh_one_forgets_them(tmp_path: Path) -> None:
    def ended(fingerprint: str, fresh: bool = False) -> tuple[str, ...]:
        found: list[str] = []
        with contextlib.suppress(KeyboardInterrupt), checkpoints(tmp_path, fingerprint, fresh=fresh) as kept:
            found += kept.found
            kept.part("towers").save({"step": 1})
            raise KeyboardInterrupt
        return tuple(found)

    assert ended("a") == ()
    assert ended("a") == ("towers",)
    assert ended("b") == ()
    assert ended("a", fresh=True) == ()


def test_the_folder_goes_with_success_and_where_nothing_was_kept(tmp_path: Path) -> None:
    bundles = tmp_path / "bundles"
    with pytest.raises(ConfigError), checkpoints(bundles, "a"):
        raise ConfigError("too small")
    assert not bundles.exists()
    with checkpoints(bundles, "a") as kept:
        kept.part("towers").save({"step": 1})
    assert list(bundles.iterdir()) == []
