"""From torch to ONNX, with parity checked: what is published computes what was trained."""

import contextlib
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from penchant.bundle import ModelSpec, TensorSpec
from penchant.errors import BundleMismatch
from penchant.sessions import open_session

PARITY = 1e-4
"""Largest difference between torch and ONNX Runtime, relative above 1 and absolute below."""
Feed = Mapping[str, NDArray[Any]]
_OPSET = 20


def export_model(
    module: torch.nn.Module,
    feeds: Sequence[Feed],
    free: Mapping[str, str],
    output: str,
    folder: Path,
    file: str,
) -> ModelSpec:
    """Write folder/file and its golden rows, check parity on every feed, and say what the model looks like.

    feeds: inputs by name, in the order of module.forward; the first traces the graph (its free dimensions must be 2
    or more) and becomes the golden rows. free: the inputs whose first dimension is free, and that dimension's name
    (inputs that share a name share the size). Raises BundleMismatch where the outputs differ by more than PARITY.
    """
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    module = module.eval()
    example = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in feeds[0].items()}
    sizes = {label: torch.export.Dim(label) for label in dict.fromkeys(free.values())}
    shapes = {name: {0: sizes[free[name]]} if name in free else None for name in example}
    with torch.no_grad(), _quiet():
        torch.onnx.export(
            module, kwargs=example, f=str(path), dynamo=True, opset_version=_OPSET, input_names=list(example),
            output_names=[output], dynamic_shapes=shapes, external_data=False, verbose=False,
        )  # fmt: skip
        expected = [module(**{n: torch.from_numpy(np.asarray(a)) for n, a in feed.items()}).numpy() for feed in feeds]
    inputs = tuple(_spec(name, array, name in free) for name, array in feeds[0].items())
    spec = ModelSpec(file, inputs, (_spec(output, expected[0], True),), "")
    check_parity(folder, spec, feeds, expected)
    return with_golden(folder, spec, feeds[0], expected[0])


def check_parity(folder: Path, spec: ModelSpec, feeds: Sequence[Feed], expected: Sequence[NDArray[Any]]) -> None:
    """Run an exported model on the feeds and compare. Raises BundleMismatch above PARITY or at a shape that differs."""
    session = open_session(folder, spec)
    for feed, wanted in zip(feeds, expected, strict=True):
        found = session(feed)
        if found.shape != wanted.shape:
            raise BundleMismatch(
                f"{spec.file}: gives {found.shape}, the trained model {wanted.shape}: nothing published"
            )
        if not np.isfinite(found).all():
            raise BundleMismatch(f"{spec.file}: gives values that are not finite: nothing published")
        worst = float((np.abs(found - wanted) / np.maximum(np.abs(wanted), 1.0)).max(initial=0.0))
        if worst > PARITY:
            raise BundleMismatch(
                f"{spec.file}: differs from the trained model by {worst:.2g}, at most {PARITY} is allowed: "
                "nothing published"
            )


def with_golden(folder: Path, spec: ModelSpec, feed: Feed, expected: NDArray[Any]) -> ModelSpec:
    """The spec with golden rows, which are written beside the model and compared whenever it is loaded."""
    golden = spec.file.removesuffix(".onnx") + ".golden.npz"
    arrays = {f"in:{tensor.name}": np.asarray(feed[tensor.name]) for tensor in spec.inputs}
    np.savez(folder / golden, **arrays, **{f"out:{spec.outputs[0].name}": expected})  # type: ignore[arg-type]
    return replace(spec, golden=golden)


def _spec(name: str, array: NDArray[Any], free: bool) -> TensorSpec:
    return TensorSpec(name, str(array.dtype), (-1 if free else array.shape[0], *array.shape[1:]))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's notes on torchvision and on names of dimensions."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logger.setLevel(level)
