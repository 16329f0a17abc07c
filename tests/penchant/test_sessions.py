"""ONNX sessions: names, types, shapes and golden rows are compared before anything is served."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from tiny_bundle import linear_tower

from penchant.bundle import ModelSpec, TensorSpec
from penchant.errors import BundleMismatch
from penchant.sessions import open_session

WEIGHTS = np.arange(6, dtype=np.float32).reshape(3, 2)
SPEC = ModelSpec(
    "tower.onnx", (TensorSpec("content", "float32", (-1, 3)),), (TensorSpec("item_embedding", "float32", (-1, 2)),),
    "golden.npz",
)  # fmt: skip
ROWS = np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 1.0]], np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    onnx.save(linear_tower(WEIGHTS), tmp_path / SPEC.file)
    np.savez(tmp_path / SPEC.golden, **{"in:content": ROWS, "out:item_embedding": ROWS @ WEIGHTS})
    return tmp_path


def test_it_computes_what_was_exported_and_ignores_what_it_does_not_read(folder: Path) -> None:
    run = open_session(folder, SPEC)
    assert np.allclose(run({"content": ROWS, "weather": ROWS}), ROWS @ WEIGHTS)


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        (replace(SPEC, inputs=(TensorSpec("content", "float32", (-1, 4)),)), "inputs are"),
        (replace(SPEC, inputs=(TensorSpec("text", "float32", (-1, 3)),)), "inputs are"),
        (replace(SPEC, inputs=(TensorSpec("content", "int64", (-1, 3)),)), "inputs are"),
        (replace(SPEC, outputs=(TensorSpec("item_embedding", "float32", (-1, 9)),)), "outputs are"),
    ],
)
def test_a_model_of_another_shape_is_refused(folder: Path, spec: ModelSpec, sentence: str) -> None:
    with pytest.raises(BundleMismatch, match=sentence):
        open_session(folder, spec)


def test_a_model_that_computes_something_else_is_refused(folder: Path) -> None:
    onnx.save(linear_tower(WEIGHTS + 0.001), folder / SPEC.file)
    with pytest.raises(BundleMismatch, match=r"golden rows differ by 0\.00"):
        open_session(folder, SPEC)


def test_golden_rows_that_are_no_number_do_not_pass(folder: Path) -> None:
    onnx.save(linear_tower(WEIGHTS * np.nan), folder / SPEC.file)
    with pytest.raises(BundleMismatch, match="golden rows differ"):
        open_session(folder, SPEC)


def test_a_file_that_is_no_model_is_refused(folder: Path) -> None:
    (folder / SPEC.file).write_bytes(b"\x08\x07not a model")
    with pytest.raises(BundleMismatch, match=r"tower\.onnx cannot be loaded"):
        open_session(folder, SPEC)


@pytest.mark.parametrize("damage", [b"", b"PK not a zip"])
def test_golden_rows_that_cannot_be_read_are_refused(folder: Path, damage: bytes) -> None:
    (folder / SPEC.golden).write_bytes(damage)
    with pytest.raises(BundleMismatch, match=r"golden\.npz cannot be read"):
        open_session(folder, SPEC)
