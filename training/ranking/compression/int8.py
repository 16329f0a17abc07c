"""An exported ranker whose large products are of whole numbers: 8 bits of what goes in, 7 of the weights.

A weight column has its own scale; what goes in has one, found on real requests. 7 bits, so that two products of a
processor without VNNI never overflow 16 bits: the whole numbers are the same everywhere. A value beside a boundary may
still fall to either side where another processor's last bits differ, so a graph like this has a tolerance of its own.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from training.export import Feed

TOLERANCE = 0.05
"""Of scores, absolute: between processors, and between the golden rows and what runs."""
_WEIGHT_STEPS, _INPUT_STEPS, _ZERO = 63, 127, 128
_PRODUCTS = ("cross.first", "cross.down_0", "cross.up_0")
"""Where whole numbers are quicker here: wide products with a bias of one row. networks/folded.py names them."""


def to_int8(source: Path, feeds: Sequence[Feed], target: Path) -> int:
    """Write the float graph at `source` with whole numbers to `target`; how many products are. 0 writes nothing."""
    model = onnx.load(source)
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer if tensor.name.endswith(_PRODUCTS)}
    products = {n.output[0]: n for n in graph.node if n.op_type == "Gemm" and n.input[1] in weights}
    if not products:
        return 0
    inputs = _largest(model, sorted({node.input[0] for node in products.values()}), feeds)
    numbers = {"int8.flat": np.array([-1], np.int64), "int8.zero": np.uint8(_ZERO)}
    for name, largest in inputs.items():
        numbers[f"{name}.scale"] = np.float32(max(largest, 1e-6) / _INPUT_STEPS)
    for name in {node.input[1] for node in products.values()}:
        numbers[f"{name}.int8"], numbers[f"{name}.scale"] = _whole(numpy_helper.to_array(weights[name]))
        graph.initializer.remove(weights[name])
    graph.initializer.extend(numpy_helper.from_array(np.asarray(value), name) for name, value in numbers.items())
    nodes, given = list[onnx.NodeProto](), set[str]()
    for node in graph.node:
        if node.output[0] not in products:
            nodes.append(node)
            continue
        if node.input[0] not in given:
            given.add(node.input[0])
            nodes.append(_input_node(node.input[0]))
        nodes += _product_nodes(node)
    del graph.node[:]
    graph.node.extend(nodes)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    target.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, target)
    return len(products)


def _input_node(name: str) -> onnx.NodeProto:
    return helper.make_node("QuantizeLinear", [name, f"{name}.scale", "int8.zero"], [f"{name}.int8"], f"{name}.to_int8")


def _product_nodes(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """Of a Gemm with a bias of one row."""
    x, weight, bias = node.input
    flat = f"{node.name}.bias"
    inputs = [f"{x}.int8", f"{weight}.int8", f"{x}.scale", f"{weight}.scale", "int8.zero", "", flat]
    return [
        helper.make_node("Reshape", [bias, "int8.flat"], [flat], flat),
        helper.make_node("MatMulIntegerToFloat", inputs, node.output, f"{node.name}.int8", domain="com.microsoft"),
    ]


def _whole(weight_KN: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Columns in steps of their own scale [N]."""
    scale = np.maximum(np.abs(weight_KN).max(axis=0), 1e-12) / _WEIGHT_STEPS
    return np.round(weight_KN / scale).astype(np.int8), scale.astype(np.float32)


def _largest(model: onnx.ModelProto, names: Sequence[str], feeds: Sequence[Feed]) -> dict[str, float]:
    """The largest magnitude of some values of a graph over the feeds."""
    import onnxruntime

    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(watched.SerializeToString(), options, providers=["CPUExecutionProvider"])
    taken = {tensor.name for tensor in session.get_inputs()}
    found = dict.fromkeys(names, 0.0)
    for feed in feeds:
        values = session.run(list(names), {name: array for name, array in feed.items() if name in taken})
        for name, value in zip(names, values, strict=True):
            found[name] = max(found[name], float(np.abs(value).max(initial=0.0)))
    return found
