# SPDX-License-Identifier: Apache-2.0
"""A trained network as one ONNX file: scores and input gradient (docs/model-format.md)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import TensorProto
from onnx import helper
from onnx import numpy_helper

from cnnmetric import __version__
from cnnmetric.errors import ModelError
from cnnmetric.training.architecture import TwoChannelNetwork
from cnnmetric.training.checkpoint import atomic_path
from cnnmetric.training.parity import check_parity

FORMAT_VERSION = 1
# The oldest that has every operator in its present form, so that older runtimes read the file.
OPSET = 13
IR_VERSION = 8


@dataclass(frozen=True, kw_only=True)
class ModelDescription:
    """What the metric must know beside the weights.

    Attributes
    ----------
    spacing
        Voxel size in mm that the network was trained at.
    modalities
        Names of channel 0 and channel 1.
    lower_quantile, upper_quantile
        Intensity quantiles mapped to 0 and 1.
    training
        Summary for people; any JSON values.
    """

    spacing: float
    modalities: tuple[str, ...]
    lower_quantile: float = 0.01
    upper_quantile: float = 0.999
    training: Mapping[str, Any] = field(default_factory=dict)


def export_model(network: TwoChannelNetwork, path: Path, description: ModelDescription) -> None:
    """Write the model file, if and only if it computes what PyTorch computes.

    Parameters
    ----------
    network
        The trained network.
    path
        The ``.onnx`` file; an existing one is replaced only on success.
    description
        Everything else that the file says.

    Raises
    ------
    ModelError
        If weights are not finite, or scores or gradients of the file differ from PyTorch's.
    """
    broken = [
        name for name, weight in network.named_parameters() if not torch.isfinite(weight).all()
    ]
    if broken:
        msg = (
            f"{path} is not written: the weights {', '.join(broken)} are not finite; "
            "train again with a lower --learning-rate"
        )
        raise ModelError(msg)
    model = build_model(network, description)
    onnx.checker.check_model(model, full_check=True)
    content = model.SerializeToString()
    check_parity(network, content, name=str(path))
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def build_model(network: TwoChannelNetwork, description: ModelDescription) -> onnx.ModelProto:
    """Return the ONNX model with its metadata.

    The backward half is written out as plain operators, since inference runtimes have no
    automatic differentiation: a convolution's input gradient is the transposed convolution with
    the same weights (which the file holds once), a rectifier's is a mask.
    """
    graph = helper.make_graph(
        nodes=_forward_nodes(network) + _backward_nodes(network),
        name="two_channel_network",
        inputs=[
            _tensor("patches", 2, "n", network.dimension),
            _tensor("weights", 1, "m", network.dimension),
        ],
        outputs=[
            _tensor("dissimilarity", 1, "m", network.dimension),
            _tensor("gradient", 2, "n", network.dimension),
        ],
        initializer=[
            numpy_helper.from_array(parameter.detach().cpu().contiguous().numpy(), name)
            for name, parameter in network.named_parameters()
        ],
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="cnnmetric",
    )
    helper.set_model_props(model, _metadata(network, description))
    return model


def _forward_nodes(network: TwoChannelNetwork) -> list[onnx.NodeProto]:
    nodes = []
    last = len(network.layers) - 1
    for index, layer in enumerate(network.layers):
        nodes.append(
            helper.make_node(
                "Conv",
                ["patches" if index == 0 else f"features.{index}", *_weights(index)],
                ["dissimilarity" if index == last else f"response.{index}"],
                strides=[layer.stride] * network.dimension,
            )
        )
        if index < last:
            nodes.append(helper.make_node("Relu", [f"response.{index}"], [f"features.{index + 1}"]))
    return nodes


def _backward_nodes(network: TwoChannelNetwork) -> list[onnx.NodeProto]:
    nodes = []
    cotangent = "weights"
    for index in reversed(range(len(network.layers))):
        result = "gradient" if index == 0 else f"gradient.{index}"
        nodes.append(
            helper.make_node(
                "ConvTranspose",
                [cotangent, _weights(index)[0]],
                [result],
                strides=[network.layers[index].stride] * network.dimension,
            )
        )
        if index > 0:
            cotangent = f"gradient.{index}.masked"
            nodes += [
                helper.make_node("Sign", [f"features.{index}"], [f"mask.{index}"]),
                helper.make_node("Mul", [result, f"mask.{index}"], [cotangent]),
            ]
    return nodes


def _weights(index: int) -> list[str]:
    return [f"convolutions.{index}.weight", f"convolutions.{index}.bias"]


def _tensor(name: str, channels: int, size: str, dimension: int) -> onnx.ValueInfoProto:
    axes = ("z", "y", "x")[-dimension:]
    shape: list[str | int | None] = ["B", channels, *(size + axis for axis in axes)]
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _metadata(network: TwoChannelNetwork, description: ModelDescription) -> dict[str, str]:
    values = {
        "format_version": str(FORMAT_VERSION),
        "dimension": str(network.dimension),
        "receptive_field": str(network.receptive_field),
        "stride": str(network.stride),
        "spacing": str(float(description.spacing)),
        "modalities": ",".join(description.modalities),
        "lower_quantile": str(description.lower_quantile),
        "upper_quantile": str(description.upper_quantile),
        "sign": "dissimilarity",
        "written_by": f"cnnmetric {__version__}",
        "training": json.dumps(description.training),
    }
    return {f"cnnmetric.{key}": value for key, value in values.items()}
