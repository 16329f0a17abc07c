"""The item tower: from what is written of an item to where training would have put it.

Fitted to the vectors that training gave to items people met, once training is over. Beside it, content projected inside
the towers learns next to ids that explain the same events, and places items without an id worse (docs/content.md).
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from penchant.bundle import ModelSpec, TensorSpec
from penchant.item_reader import FILE, ItemReader
from penchant.types import Matrix, Vector
from training.export import check_parity, with_golden

ONNX_FILE = "retrieval/item_tower.onnx"
PENALTIES = (0.3, 1.0, 3.0, 10.0, 30.0)
"""Tried by cross-validation over items; those of unit-length blocks, so alike for every data set."""
_FOLDS = 4
_TRUST = 20.0
"""Events at which an item's vector counts half of what it counts at most."""
_MOST = 50_000
"""Items it is fitted to, the most met."""
_CHUNK = 4096


@dataclass(frozen=True, slots=True)
class ItemMap:
    """embedding = content @ weight + bias; nothing written, no embedding."""

    reader: ItemReader
    weight: Matrix
    """[C, D]"""
    bias: Vector
    """[D]"""

    def placed(self, items: Iterable[Mapping[str, Any]]) -> Matrix:
        """Embeddings [N, D] of N items' attributes."""
        return self.embeddings(self.reader.vectors(items))

    def embeddings(self, content_NC: Matrix) -> Matrix:
        """float32 [N, D], zeros where the content is."""
        said = content_NC.any(axis=1, keepdims=True)
        return np.where(said, content_NC @ self.weight + self.bias, 0.0).astype(np.float32)

    def write(self, folder: Path, content_NC: Matrix) -> ModelSpec:
        """Write reader and tower below a bundle folder, golden rows from some content. Raises BundleMismatch."""
        (folder / "retrieval").mkdir(parents=True, exist_ok=True)
        (folder / FILE).write_text(json.dumps(self.reader.to_json()))
        onnx.save(self._graph(), folder / ONNX_FILE)
        width, dim = self.weight.shape
        spec = ModelSpec(
            ONNX_FILE, (TensorSpec("content", "float32", (-1, width)),),
            (TensorSpec("item_embedding", "float32", (-1, dim)),), "",
        )  # fmt: skip
        rows = np.concatenate([content_NC[:7], np.zeros((1, width), np.float32)])
        check_parity(
            folder, spec, [{"content": rows}, {"content": rows[:1]}], [*map(self.embeddings, (rows, rows[:1]))]
        )
        return with_golden(folder, spec, {"content": rows}, self.embeddings(rows))

    def _graph(self) -> onnx.ModelProto:
        width, dim = self.weight.shape
        graph = helper.make_graph(
            [
                helper.make_node("Gemm", ["content", "weight", "bias"], ["placed"]),
                helper.make_node("Abs", ["content"], ["sizes"]),
                helper.make_node("ReduceMax", ["sizes", "axes"], ["largest"], keepdims=1),
                helper.make_node("Sign", ["largest"], ["said"]),
                helper.make_node("Mul", ["placed", "said"], ["item_embedding"]),
            ],
            "item_tower",
            [helper.make_tensor_value_info("content", TensorProto.FLOAT, ["batch", width])],
            [helper.make_tensor_value_info("item_embedding", TensorProto.FLOAT, ["batch", dim])],
            [
                numpy_helper.from_array(np.ascontiguousarray(self.weight, np.float32), "weight"),
                numpy_helper.from_array(np.ascontiguousarray(self.bias, np.float32), "bias"),
                numpy_helper.from_array(np.array([1]), "axes"),
            ],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def fit_map(
    reader: ItemReader,
    content_of: Callable[[NDArray[np.int64]], Matrix],
    embeddings_ND: Matrix,
    counts_N: NDArray[np.int64],
) -> ItemMap:
    """Weighted ridge regression of the vectors of met items on their content; row 0 is left out.

    content_of gives content [n, C] of rows. counts_N: events by row; an item's weight is count / (count + _TRUST). The
    penalty is the one that predicts items left out best.
    """
    dim = embeddings_ND.shape[1]
    rows, weights = met(counts_N)
    if len(rows) < 2:
        return ItemMap(reader, np.zeros((reader.width, dim), np.float32), np.zeros(dim, np.float32))
    content = np.concatenate([content_of(rows[i : i + _CHUNK]) for i in range(0, len(rows), _CHUNK)])
    used = np.flatnonzero(content.any(axis=0))
    X, Y = content[:, used], embeddings_ND[rows]
    some, bias = _ridge(X, Y, weights, _penalty(X, Y, weights))
    weight = np.zeros((content.shape[1], dim), np.float32)
    weight[used] = some
    return ItemMap(reader, weight, bias)


def met(counts_N: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Rows with events, ascending, at most _MOST, and how far each one's vector is to be trusted."""
    rows = np.flatnonzero(counts_N > 0)
    rows = rows[rows > 0]
    rows = np.sort(rows[np.argsort(-counts_N[rows], kind="stable")][:_MOST])
    return rows, counts_N[rows] / (counts_N[rows] + _TRUST)


def _penalty(X: Matrix, Y: Matrix, weights: NDArray[np.float64]) -> float:
    """Of PENALTIES the best by weighted squared error on folds left out, every _FOLDS-th item a fold."""
    fold = np.arange(len(X)) % min(_FOLDS, len(X))
    errors = np.zeros(len(PENALTIES))
    for left_out in range(int(fold.max()) + 1):
        kept, away = fold != left_out, fold == left_out
        for i, penalty in enumerate(PENALTIES):
            weight, bias = _ridge(X[kept], Y[kept], weights[kept], penalty)
            errors[i] += float((weights[away, None] * (X[away] @ weight + bias - Y[away]) ** 2).sum())
    return PENALTIES[int(errors.argmin())]


def _ridge(X: Matrix, Y: Matrix, weights: NDArray[np.float64], penalty: float) -> tuple[Matrix, Vector]:
    """Weight [C, D] and bias [D], the bias not penalised; in the smaller of the two dimensions."""
    share = weights / weights.sum()
    x, y = share @ X, share @ Y
    root = np.sqrt(weights)[:, None]
    A, B = root * (X - x), root * (Y - y)
    if A.shape[0] < A.shape[1]:
        weight = A.T @ np.linalg.solve(A @ A.T + penalty * np.eye(len(A)), B)
    else:
        weight = np.linalg.solve(A.T @ A + penalty * np.eye(A.shape[1]), A.T @ B)
    return weight.astype(np.float32), (y - x @ weight).astype(np.float32)
