"""New weights into an exported graph: what the exporter takes seconds for, in a tenth of a second.

An exported graph holds its parameters by name, or folded: transposed, flipped, sliced. Where a fold is recognised in
the old weights, it is done to the new ones. Whether the result computes what the new module computes is checked on
real requests, as after any export; where it does not, the module is exported anew.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper

from penchant.bundle import ModelSpec
from penchant.errors import BundleMismatch
from training.export import Feed, check_parity, export_model, with_golden

_FOLDS = ("as it is", "transposed", "flipped", "newest", "exponent")


def grafted_model(
    old: torch.nn.Module,
    new: torch.nn.Module,
    source: Path,
    spec: ModelSpec,
    feeds: Sequence[Feed],
    free: Mapping[str, str],
    folder: Path,
) -> ModelSpec:
    """Write the new module as folder/spec.file, from the old one's export at `source` where that can be done.

    feeds, free: as training.export.export_model takes them. Raises BundleMismatch where even a new export differs.
    """
    path = folder / spec.file
    path.parent.mkdir(parents=True, exist_ok=True)
    graph = onnx.load(source)
    if _graft(graph, state_of(old), state_of(new)):
        onnx.save(graph, path)
        with torch.no_grad():
            module = new.eval()
            expected = [module(**{n: torch.from_numpy(np.asarray(a)) for n, a in f.items()}).numpy() for f in feeds]
        try:
            check_parity(folder, replace(spec, golden=""), feeds, expected)
            return with_golden(folder, spec, feeds[0], expected[0])
        except BundleMismatch:
            pass  # Some fold was not what it looked like.
    return export_model(new, feeds, free, spec.outputs[0].name, folder, spec.file)


def state_of(module: torch.nn.Module) -> dict[str, NDArray[Any]]:
    """Parameters and buffers by name, those that are not saved included."""
    named = [*module.named_parameters(), *module.named_buffers()]
    return {name: value.detach().numpy() for name, value in named}


def _graft(model: onnx.ModelProto, old: Mapping[str, NDArray[Any]], new: Mapping[str, NDArray[Any]]) -> bool:
    """Replace every initializer that is made of parameters; False where one of some size cannot be told."""
    by_shape: dict[tuple[int, ...], list[tuple[str, str, NDArray[Any]]]] = {}
    used: set[str] = set()
    for tensor in model.graph.initializer:
        if tensor.name in new:
            tensor.CopyFrom(numpy_helper.from_array(np.array(new[tensor.name], order="C"), tensor.name))
            continue
        value = numpy_helper.to_array(tensor)
        if value.dtype != np.float32:
            continue
        found = _origin(value, old, by_shape, used)
        if found is not None:
            name, fold = found
            used.add(name)
            folded = np.array(_fold(fold, new[name], value.shape), value.dtype, order="C")
            if folded.shape != value.shape:
                return False
            tensor.CopyFrom(numpy_helper.from_array(folded, tensor.name))
        elif value.ndim >= 2:
            return False
    return True


def _origin(
    value: NDArray[Any],
    old: Mapping[str, NDArray[Any]],
    by_shape: dict[tuple[int, ...], list[tuple[str, str, NDArray[Any]]]],
    used: Collection[str],
) -> tuple[str, str] | None:
    """Which parameter, folded how, has exactly this value; of several alike (untrained ones), the first not used."""
    if value.shape not in by_shape:
        by_shape[value.shape] = [
            (name, fold, folded)
            for fold in _FOLDS
            for name, array in old.items()
            if array.dtype == np.float32 and array.ndim == value.ndim
            if (folded := _fold(fold, array, value.shape)).shape == value.shape
        ]
    if value.size == 1 and not value.any():
        return None  # A constant of the graph, not a parameter.
    alike = [
        (name, fold) for name, fold, folded in by_shape[value.shape] if np.allclose(folded, value, rtol=1e-6, atol=0.0)
    ]
    return next((origin for origin in alike if origin[0] not in used), alike[0] if alike else None)


def _fold(fold: str, array: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    match fold:
        case "transposed":
            return array.T
        case "flipped":
            return array[::-1] if array.ndim else array
        case "newest":
            return array[-shape[0] :] if shape else array
        case "exponent":
            return np.asarray(np.exp(array))
    return array
