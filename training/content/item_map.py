"""The item tower: from what is written of an item to where training would have put it.

Fitted to the vectors that training gave to items people met, once training is over. Beside it, content projected inside
the towers learns next to ids that explain the same events, and places items without an id worse (docs/content.md).
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
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
MISSING = 0.2
"""How often each block of content is taken to be missing where there are encoders, so that each learns to stand alone.
Without encoders it was not measured, which is why it is 0 there."""
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
    blocks: Sequence[int] | None = None,
) -> ItemMap:
    """Weighted ridge regression of the vectors of met items on their content; row 0 is left out.

    content_of gives content [n, C] of rows; it is asked for _CHUNK at a time, once. counts_N: events by row; an item's
    weight is count / (count + _TRUST). The penalty is the one that predicts items left out best. blocks: widths of the
    parts of C, the reader's by default.
    """
    dim = embeddings_ND.shape[1]
    rows, weights = met(counts_N)
    if len(rows) < 2:
        return ItemMap(reader, np.zeros((reader.width, dim), np.float32), np.zeros(dim, np.float32))
    fold = np.arange(len(rows)) % min(_FOLDS, len(rows))
    sums: dict[int, _Sums] = {}
    for start in range(0, len(rows), _CHUNK):
        some = slice(start, start + _CHUNK)
        content, embeddings = content_of(rows[some]), embeddings_ND[rows[some]]
        for i in np.unique(fold[some]).tolist():
            mine = fold[some] == i
            found = _Sums.of(content[mine], embeddings[mine], weights[some][mine])
            sums[i] = sums[i] + found if i in sums else found
    total = reduce(add, sums.values())
    used = np.flatnonzero(np.diagonal(total.xx))
    block = np.repeat(np.arange(len(blocks or reader.blocks)), blocks or reader.blocks)[used]
    total, parts = total.of_columns(used), [part.of_columns(used) for part in sums.values()]
    kept = 1.0 - MISSING if reader.encoders else 1.0
    errors = [sum(part.error(*_ridge(total - part, p, block, kept)) for part in parts) for p in PENALTIES]
    some_weight, bias = _ridge(total, PENALTIES[int(np.argmin(errors))], block, kept)
    weight = np.zeros((total.width, dim), np.float32)
    weight[used] = some_weight
    return ItemMap(reader, weight, bias.astype(np.float32))


def met(counts_N: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Rows with events, ascending, at most _MOST, and how far each one's vector is to be trusted."""
    rows = np.flatnonzero(counts_N > 0)
    rows = rows[rows > 0]
    rows = np.sort(rows[np.argsort(-counts_N[rows], kind="stable")][:_MOST])
    return rows, counts_N[rows] / (counts_N[rows] + _TRUST)


@dataclass(frozen=True, slots=True)
class _Sums:
    """Of weighted items with content x and vector y: all that a linear regression of them needs, and it adds up."""

    width: int
    """C, columns that were left out counted."""
    w: float
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    xx: NDArray[np.float64]
    xy: NDArray[np.float64]
    yy: float

    @classmethod
    def of(cls, X: Matrix, Y: Matrix, weights: NDArray[np.float64]) -> "_Sums":
        """Of items [n]."""
        X, Y = X.astype(np.float64), Y.astype(np.float64)
        weighed = weights[:, None] * X
        yy = float((weights[:, None] * Y**2).sum())
        return cls(X.shape[1], float(weights.sum()), weights @ X, weights @ Y, weighed.T @ X, weighed.T @ Y, yy)

    def __add__(self, other: "_Sums") -> "_Sums":
        return self._with(other, 1.0)

    def __sub__(self, other: "_Sums") -> "_Sums":
        return self._with(other, -1.0)

    def _with(self, other: "_Sums", sign: float) -> "_Sums":
        return _Sums(
            self.width, self.w + sign * other.w, self.x + sign * other.x, self.y + sign * other.y,
            self.xx + sign * other.xx, self.xy + sign * other.xy, self.yy + sign * other.yy,
        )  # fmt: skip

    def of_columns(self, columns: NDArray[np.int64]) -> "_Sums":
        """Of some of content's numbers alone."""
        return replace(self, x=self.x[columns], xx=self.xx[np.ix_(columns, columns)], xy=self.xy[columns])

    def error(self, weight: NDArray[np.float64], bias: NDArray[np.float64]) -> float:
        """Weighted sum of squared errors of x @ weight + bias."""
        crossed = (weight * (self.xx @ weight - 2.0 * self.xy)).sum() + 2.0 * bias @ (self.x @ weight - self.y)
        return float(crossed + self.w * bias @ bias + self.yy)


def _ridge(
    sums: _Sums, penalty: float, block: NDArray[np.int64], kept: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weight [C, D] and bias [D], the bias not penalised, over items that have each block with the chance `kept`.

    block [C]: which one a number of content is of. Exact, as if each item came in every way of lacking some (van der
    Maaten et al., ICML 2013). A lone block is never missing.
    """
    kept = kept if len(np.unique(block)) > 1 else 1.0
    x, y = kept * sums.x / sums.w, sums.y / sums.w
    centred = np.where(block[:, None] == block, kept, kept**2) * sums.xx - sums.w * np.outer(x, x)
    centred[np.diag_indices_from(centred)] += penalty
    weight = np.asarray(np.linalg.solve(centred, kept * sums.xy - sums.w * np.outer(x, y)), np.float64)
    return weight, y - x @ weight
