# SPDX-License-Identifier: Apache-2.0
"""The bodies of our operators (`cnnmetric.training.export.operators`), of standard ones."""

from __future__ import annotations

import onnx
from onnx import helper

from cnnmetric.training.export import operators
from cnnmetric.training.export.onnx_builder import OPSET
from cnnmetric.training.export.reverse_sweep import ReverseSweep
from cnnmetric.training.networks.similarities import Similarities


def functions(module: Similarities) -> list[onnx.FunctionProto]:
    """Return the functions that a model file holds, for the self-similarities of its network.

    Parameters
    ----------
    module
        The fixed layers of the network.
    """
    return [_forward(module), _gradient(module)]


def _forward(module: Similarities) -> onnx.FunctionProto:
    content = _sweep(module)
    return _function(operators.FORWARD, ["image"], content.trace(), content)


def _gradient(module: Similarities) -> onnx.FunctionProto:
    content = _sweep(module)
    gradient = content.sweep(content.trace(), "cotangent", image=0)
    return _function(operators.GRADIENT, ["image", "cotangent"], gradient, content)


def _sweep(module: Similarities) -> ReverseSweep:
    content = ReverseSweep(module, source="image", channels=1, dimension=module.dimension)
    content.declare("cotangent", sum(module.channels))
    return content


def _function(
    name: str, inputs: list[str], output: str, content: ReverseSweep
) -> onnx.FunctionProto:
    assert isinstance(content.module, Similarities)
    constants = [
        helper.make_node("Constant", [], [tensor.name], value=tensor)
        for tensor in content.constants
    ]
    return helper.make_function(
        operators.DOMAIN,
        name,
        inputs,
        [output],
        [*constants, *content.nodes],
        [helper.make_opsetid("", OPSET)],
        attributes=list(operators.attributes(content.module)),
    )
