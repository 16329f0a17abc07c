"""Manifest, checksums and the pointer."""

import json
from pathlib import Path
from typing import Any

import pytest

from penchant.bundle import (
    FORMAT,
    MANIFEST,
    Manifest,
    ModelSpec,
    TensorSpec,
    current,
    file_checksums,
    publish,
    read_manifest,
    verify,
    write_manifest,
)
from penchant.errors import BundleMismatch

SPEC = ModelSpec("m.onnx", (TensorSpec("x", "float32", (-1, 3)),), (TensorSpec("y", "float32", (-1, 1)),), "m.npz")


def manifest_of(folder: Path, **changes: Any) -> Manifest:
    return Manifest(
        **{
            "version": folder.name, "format": FORMAT, "created": "2026-01-01T00:00:00Z", "dataset": "d",
            "recipe": {"protocol": "time-split"}, "seed": 1, "cut_us": 5, "item_count": 2, "embedding_dim": 3,
            "history_length": 4, "schema_fingerprint": "f", "schema": {}, "retrieval": {}, "tasks": ("like",),
            "task_weights": {"like": 1.0}, "models": {"ranker": SPEC}, "files": file_checksums(folder), **changes,
        }
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "v1"
    (made / "items").mkdir(parents=True)
    (made / "items" / "a.npy").write_bytes(b"some bytes")
    (made / "m.onnx").write_bytes(b"a model")
    write_manifest(made, manifest_of(made))
    return made


def test_a_manifest_comes_back_as_it_was_written(folder: Path) -> None:
    assert verify(folder) == manifest_of(folder)
    assert set(verify(folder).files) == {"items/a.npy", "m.onnx"}


def test_every_changed_byte_and_every_lost_file_is_noticed(folder: Path) -> None:
    for name in ("items/a.npy", "m.onnx"):
        path = folder / name
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + b"X")
        with pytest.raises(BundleMismatch, match=rf"v1: {name} has sha256 .*copy the bundle again"):
            verify(folder)
        path.unlink()
        with pytest.raises(BundleMismatch, match=f"{name} is missing"):
            verify(folder)
        path.write_bytes(whole)
    assert verify(folder).version == "v1"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "is no JSON"),
        ("[]", "has format None"),
        (json.dumps({"format": FORMAT + 1}), f"has format {FORMAT + 1}, this program reads {FORMAT}"),
        (json.dumps({"format": FORMAT}), "does not hold what a manifest must"),
        (json.dumps({"format": FORMAT, "models": {"a": {}}, "tasks": []}), "does not hold what a manifest must"),
        (json.dumps({"format": FORMAT, "models": [], "tasks": []}), "does not hold what a manifest must"),
        (json.dumps({"format": FORMAT, "models": {}, "tasks": [], "new": 1}), "does not hold what a manifest must"),
    ],
)
def test_a_broken_manifest_is_a_sentence(folder: Path, text: str, sentence: str) -> None:
    (folder / MANIFEST).write_text(text)
    with pytest.raises(BundleMismatch, match=sentence):
        read_manifest(folder)


def test_a_missing_manifest_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(BundleMismatch, match="python -m training fit"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("name", ["../outside.npy", "/etc/hostname"])
def test_a_manifest_that_reaches_outside_its_folder_is_refused(folder: Path, name: str) -> None:
    (folder.parent / "outside.npy").write_bytes(b"x")
    write_manifest(folder, manifest_of(folder, files={name: "0"}))
    with pytest.raises(BundleMismatch, match="outside"):
        verify(folder)


def test_the_pointer_moves_at_once_and_leaves_nothing_behind(tmp_path: Path) -> None:
    assert current(tmp_path) is None
    for version in ("v1", "v2", "v1"):
        publish(tmp_path, version)
        assert current(tmp_path) == tmp_path / version
    assert [path.name for path in tmp_path.iterdir()] == ["CURRENT"]


@pytest.mark.parametrize(
    ("pointer", "said"),
    [
        (b"", "CURRENT is empty"),
        (b" \n", "CURRENT is empty"),
        (b"../../../etc\n", "names no bundle folder here"),
        (b"/etc\n", "names no bundle folder here"),
        (b"..\n", "names no bundle folder here"),
        (b".\n", "names no bundle folder here"),
        (b"v1/items\n", "names no bundle folder here"),
        (b"v1\nv2\n", "names no bundle folder here"),
        (b"v1\x00\n", "names no bundle folder here"),
        (b"v" * 5000, "names no bundle folder here"),
        (b"\xff\xfe\n", "is no text"),
    ],
)
def test_a_pointer_that_names_no_bundle_here_is_not_followed(folder: Path, pointer: bytes, said: str) -> None:
    (folder.parent / "CURRENT").write_bytes(pointer)
    with pytest.raises(BundleMismatch, match=said) as caught:
        current(folder.parent)
    assert len(str(caught.value)) < 400
