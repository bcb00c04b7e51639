# SPDX-License-Identifier: Apache-2.0
"""Nodes and constants of an ONNX graph, and what is known of every value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper
from onnx import numpy_helper

# Version of the standard operators: the oldest that has every operator in its present form, so that
# older runtimes read the file.
OPSET = 13


class GraphBuilder:
    """Appends nodes one by one; values are known by their names.

    Parameters
    ----------
    inputs
        Number of channels of the graph's inputs.

    Attributes
    ----------
    nodes, constants
        For ``onnx.helper.make_graph``.
    """

    def __init__(self, inputs: Mapping[str, int]) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._channels = dict(inputs)
        # The images, of the two, that a value depends on.
        self._images: dict[str, frozenset[int]] = {}

    def declare(self, name: str, channels: int) -> None:
        """Make an input of the graph known by its name."""
        self._channels[name] = channels

    def _emit(
        self,
        kind: str,
        inputs: list[str],
        *,
        channels: int,
        name: str | None = None,
        **attributes: Any,
    ) -> str:
        """Append a node and return the name of its output, which has that many channels."""
        result = name or f"{kind.lower()}.{len(self._channels)}"
        self.nodes.append(helper.make_node(kind, inputs, [result], **attributes))
        self._channels[result] = channels
        images = [self._images.get(item, frozenset()) for item in inputs]
        self._images[result] = frozenset[int]().union(*images)
        return result

    def _constant(self, array: NDArray[Any], name: str | None = None) -> str:
        """Store an array and return its name; one that is named is stored once."""
        result = name or f"constant.{len(self.constants)}"
        if all(item.name != result for item in self.constants):
            self.constants.append(numpy_helper.from_array(array, result))
        self._channels[result] = 1
        return result

    def _number(self, value: float) -> str:
        return self._constant(np.array(value, dtype=np.float32), f"number.{value:g}")

    def _whole_numbers(self, *values: int) -> list[str]:
        return [self._constant(np.array([value]), f"whole.{value}") for value in values]

    def _binary(self, kind: str, a: str, b: str) -> str:
        return self._emit(kind, [a, b], channels=max(self._channels[a], self._channels[b]))


def subgraph(nodes: list[onnx.NodeProto], output: str = "") -> onnx.GraphProto:
    """Return a conditional branch; its output is that of the last node unless another is named."""
    name = output or nodes[-1].output[0]
    value = helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
    return helper.make_graph(nodes, f"branch of {name}", [], [value])
