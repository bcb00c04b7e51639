# SPDX-License-Identifier: Apache-2.0
"""Changes of the graph of a model that leave a file which can be read."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto
from onnx import helper
from onnx import numpy_helper

from fuzz.trial import Random
from fuzz.trial import one_of

_OPERATORS = (
    *("Relu", "Neg", "Identity", "Sqrt", "Log", "Exp", "Reciprocal", "Floor", "Not", "Shape"),
    *("Add", "Sub", "Mul", "Div", "Mod", "Pow", "MatMul", "Concat", "Gather", "Reshape", "Expand"),
    *(
        "Conv",
        "ConvTranspose",
        "MaxPool",
        "AveragePool",
        "Resize",
        "Tile",
        "NonZero",
        "RandomNormal",
    ),
    *("Softmax", "ReduceMean", "Squeeze", "Unsqueeze", "Slice", "Pad", "Cast", "Where", "Range"),
    *("If", "Loop", "Scan", "NoSuchOperator", "", "\xe9", "QuantizeLinear", "Einsum", "TopK"),
)
_INTEGERS = (0, 1, -1, 2, 3, 7, 255, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63))
_NUMBERS = (0.0, -1.0, 1e30, 1e38, -1e38, 1e-45, float("nan"), float("inf"))


def unsealed(content: bytes) -> onnx.ModelProto:
    """Return a model without its checksum."""
    model: onnx.ModelProto = onnx.ModelProto.FromString(content)
    kept = {e.key: e.value for e in model.metadata_props if "checksum" not in e.key}
    helper.set_model_props(model, kept)
    return model


def change(random: Random, model: onnx.ModelProto) -> str:
    """Change something of a model and return what."""
    return one_of(random, _KINDS)(random, model)


def _all_nodes(graph: Any) -> list[Any]:
    nodes = []
    for node in graph.node:
        nodes.append(node)
        for attribute in node.attribute:
            if attribute.HasField("g"):
                nodes += _all_nodes(attribute.g)
    return nodes


def _operator(random: Random, model: onnx.ModelProto) -> str:
    node = one_of(random, _all_nodes(model.graph))
    before, node.op_type = node.op_type, one_of(random, _OPERATORS)
    return f"operator {before} is {node.op_type!a}"


def _attribute(random: Random, model: onnx.ModelProto) -> str:
    nodes = [node for node in _all_nodes(model.graph) if node.attribute]
    node = one_of(random, nodes)
    attribute = one_of(random, node.attribute)
    if attribute.ints:
        place = int(random.integers(len(attribute.ints)))
        attribute.ints[place] = one_of(random, _INTEGERS)
        return f"{node.op_type}.{attribute.name} = {list(attribute.ints)}"
    if attribute.type == onnx.AttributeProto.INT:
        attribute.i = one_of(random, _INTEGERS)
        return f"{node.op_type}.{attribute.name} = {attribute.i}"
    if attribute.type == onnx.AttributeProto.FLOAT:
        attribute.f = one_of(random, _NUMBERS)
        return f"{node.op_type}.{attribute.name} = {attribute.f}"
    name, attribute.name = attribute.name, "other"
    return f"{node.op_type}.{name} renamed"


def _wire(random: Random, model: onnx.ModelProto) -> str:
    nodes = [node for node in _all_nodes(model.graph) if node.input]
    node = one_of(random, nodes)
    names = [name for other in nodes for name in (*other.input, *other.output)]
    names += ["", "nowhere", "patches"]
    place = int(random.integers(len(node.input)))
    node.input[place] = one_of(random, names)
    return f"{node.op_type} reads {node.input[place]!a}"


def _remove(random: Random, model: onnx.ModelProto) -> str:
    place = int(random.integers(len(model.graph.node)))
    node = model.graph.node.pop(place)
    return f"without {node.op_type} {place}"


def _swap(random: Random, model: onnx.ModelProto) -> str:
    one, other = (int(place) for place in random.integers(len(model.graph.node), size=2))
    first, second = onnx.NodeProto(), onnx.NodeProto()
    first.CopyFrom(model.graph.node[one])
    second.CopyFrom(model.graph.node[other])
    model.graph.node[one].CopyFrom(second)
    model.graph.node[other].CopyFrom(first)
    return f"nodes {one} and {other} swapped"


def _weight(random: Random, model: onnx.ModelProto) -> str:
    item = one_of(random, model.graph.initializer)
    try:
        values = np.array(numpy_helper.to_array(item))
    except (ValueError, TypeError):  # of an earlier change
        return "nothing"
    if not values.size:
        return "nothing"
    pool = _NUMBERS if values.dtype.kind == "f" else _INTEGERS
    chosen = one_of(random, pool)
    with np.errstate(all="ignore"):
        if values.dtype.kind == "f":
            chosen_value = np.float64(chosen).astype(values.dtype)
        else:
            chosen_value = np.array(chosen % 2**31).astype(values.dtype)
            if chosen < 0:
                chosen_value = -chosen_value if values.dtype.kind == "i" else chosen_value
    if random.random() < 0.3:
        values[...] = chosen_value
    else:
        values.flat[int(random.integers(values.size))] = chosen_value
    item.CopyFrom(numpy_helper.from_array(values, item.name))
    return f"{item.name} of {values.shape} has {chosen}"


def _dimensions(random: Random, model: onnx.ModelProto) -> str:
    items = [item for item in model.graph.initializer if item.dims]
    item = one_of(random, items)
    place = int(random.integers(len(item.dims)))
    item.dims[place] = one_of(random, _INTEGERS)
    return f"{item.name} says {list(item.dims)}"


def _type(random: Random, model: onnx.ModelProto) -> str:
    item = one_of(random, model.graph.initializer)
    item.data_type = int(random.integers(0, 25))
    return f"{item.name} is of type {item.data_type}"


def _insert(random: Random, model: onnx.ModelProto) -> str:
    names = [name for node in model.graph.node for name in node.output]
    kind = one_of(random, _OPERATORS[:32])
    inputs = [one_of(random, names) for _ in range(one_of(random, (1, 2, 2, 3)))]
    node = helper.make_node(kind, inputs, ["made"])
    place = int(random.integers(len(model.graph.node) + 1))
    for later in model.graph.node[place:]:
        if later.input and random.random() < 0.3:
            later.input[0] = "made"
    model.graph.node.insert(place, node)
    return f"{kind} inserted at {place}"


def _shape_of_input(random: Random, model: onnx.ModelProto) -> str:
    value = one_of(random, [*model.graph.input, *model.graph.output])
    shape = value.type.tensor_type.shape
    if not shape.dim or random.random() < 0.3:
        value.type.tensor_type.elem_type = int(random.integers(0, 17))
        return f"{value.name} is of type {value.type.tensor_type.elem_type}"
    place = int(random.integers(len(shape.dim)))
    shape.dim[place].dim_value = one_of(random, _INTEGERS)
    return f"{value.name} has the shape {[dim.dim_value for dim in shape.dim]}"


def _versions(random: Random, model: onnx.ModelProto) -> str:
    if random.random() < 0.5:
        model.ir_version = one_of(random, (0, 1, 3, 99, -1))
        return f"IR version {model.ir_version}"
    model.opset_import[0].version = one_of(random, (0, 1, 6, 12, 17, 99, -1, 2**40))
    return f"opset {model.opset_import[0].version}"


_KINDS = [
    *(_operator, _attribute, _attribute, _wire, _remove, _swap, _weight, _weight),
    *(_dimensions, _type, _insert, _insert, _shape_of_input, _versions),
]


def other_model(random: Random) -> onnx.ModelProto:
    """Return a model of somebody else."""
    value = helper.make_tensor_value_info
    shapes: list[list[str | int | None]] = [[1], ["n", 3, 224, 224], []]
    shape = one_of(random, shapes)
    graph = helper.make_graph(
        [helper.make_node(one_of(random, ("Relu", "Identity", "Neg")), ["x"], ["y"])],
        "other",
        [value("x", TensorProto.FLOAT, shape)],
        [value("y", TensorProto.FLOAT, shape)],
    )
    opset = [helper.make_opsetid("", 13)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8)
