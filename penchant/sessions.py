"""A bundle's ONNX file as a checked, single-threaded session: what serves is what was exported.

onnxruntime is imported on first use, so that the wheel's client needs none.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from penchant.bundle import ModelSpec, TensorSpec
from penchant.errors import BundleMismatch

Session = Callable[[Mapping[str, NDArray[Any]]], NDArray[np.float32]]
"""A feed by input name (more names than the model takes are ignored) to the model's first output."""
_DTYPES = {"tensor(int64)": "int64", "tensor(float)": "float32", "tensor(uint8)": "uint8"}


def open_session(folder: Path, spec: ModelSpec) -> Session:
    """Load a model of a verified bundle folder, compare it with its spec and run its golden rows.

    One thread and no spinning: two threads gain nothing at these sizes and spinning costs up to twice the CPU.
    Raises BundleMismatch naming the tensor that differs.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        loaded = onnxruntime.InferenceSession(str(folder / spec.file), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise BundleMismatch(f"{spec.file} cannot be loaded ({error}): export and publish the bundle again") from None
    _compare(spec.file, "input", spec.inputs, loaded.get_inputs())
    _compare(spec.file, "output", spec.outputs, loaded.get_outputs())
    inputs = [tensor.name for tensor in spec.inputs]
    output = spec.outputs[0].name

    def run(feed: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        result: NDArray[np.float32] = loaded.run([output], {name: feed[name] for name in inputs})[0]
        return result

    if spec.golden:
        _check_golden(folder, spec, run)
    return run


def _compare(file: str, side: str, expected: tuple[TensorSpec, ...], found: list[Any]) -> None:
    described = {
        tensor.name: (
            _DTYPES.get(tensor.type, tensor.type),
            tuple(d if isinstance(d, int) else -1 for d in tensor.shape),
        )
        for tensor in found
    }
    wanted = {tensor.name: (tensor.dtype, tuple(tensor.shape)) for tensor in expected}
    if described != wanted:
        raise BundleMismatch(
            f"{file}: {side}s are {described}, the manifest says {wanted}: export and publish the bundle again"
        )


def _check_golden(folder: Path, spec: ModelSpec, run: Session) -> None:
    try:
        with np.load(folder / spec.golden) as golden:
            feed = {name[3:]: golden[name] for name in golden.files if name.startswith("in:")}
            expected = golden[f"out:{spec.outputs[0].name}"]
    except (OSError, ValueError, EOFError, KeyError, BadZipFile) as error:
        raise BundleMismatch(f"{spec.golden} cannot be read ({error}): export and publish the bundle again") from None
    found = run(feed)
    allowed = spec.tolerance
    if found.shape != expected.shape or not np.allclose(found, expected, rtol=allowed, atol=allowed):
        worst = float(np.abs(found - expected).max()) if found.shape == expected.shape else float("inf")
        raise BundleMismatch(
            f"{spec.file}: golden rows differ by {worst:.2g}, at most {allowed} is allowed: the model "
            "computes something else here than at export; publish the bundle again"
        )
