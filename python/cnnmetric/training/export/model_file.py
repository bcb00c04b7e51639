# SPDX-License-Identifier: Apache-2.0
"""A trained network as one ONNX file, scores and input gradients.

The format is that of docs/reference/model-format.md.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import TensorProto
from onnx import helper

from cnnmetric.errors import ModelError
from cnnmetric.files.output import atomic_path
from cnnmetric.plugin import loading
from cnnmetric.training.export import operators
from cnnmetric.training.export.functions import functions
from cnnmetric.training.export.onnx_builder import OPSET
from cnnmetric.training.export.onnx_graph import GRADIENTS
from cnnmetric.training.export.onnx_graph import GradientGraph
from cnnmetric.training.export.parity import check_parity
from cnnmetric.training.networks.architecture import PatchNetwork

FORMAT_VERSION = 1
IR_VERSION = 8
CHECKSUM = "cnnmetric.checksum"


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


def export_model(network: PatchNetwork, path: Path, description: ModelDescription) -> None:
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
    content = sealed(model.SerializeToString())
    check_parity(network, content, name=str(path))
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def sealed(content: bytes) -> bytes:
    """Return a serialised model with a checksum of it at its end."""
    # Messages that follow each other are one: the entry is added to the metadata.
    entry = onnx.ModelProto()
    helper.set_model_props(entry, {CHECKSUM: f"{zlib.crc32(content):08x}"})
    end: bytes = entry.SerializeToString()
    return content + end


def build_model(network: PatchNetwork, description: ModelDescription) -> onnx.ModelProto:
    """Return the ONNX model with its metadata."""
    content = GradientGraph(network)
    graph = helper.make_graph(
        nodes=content.nodes,
        name=type(network).__name__,
        inputs=[
            _tensor("patches", 2, "n", network.dimension),
            _tensor("weights", 1, "m", network.dimension),
            helper.make_tensor_value_info("gradients_wanted", TensorProto.BOOL, [2]),
        ],
        outputs=[
            _tensor("dissimilarity", 1, "m", network.dimension),
            # Empty where they are not wanted, so that their sizes are not the input's.
            *(_tensor(name, 1, f"{name}_", network.dimension, f"{name}_B") for name in GRADIENTS),
            *(
                _tensor(name, channels, "m", network.dimension)
                for name, channels in content.descriptor_channels.items()
            ),
        ],
        initializer=content.constants,
    )
    imports = [helper.make_opsetid("", OPSET)]
    bodies = []
    if content.similarities is not None:
        imports.append(helper.make_opsetid(operators.DOMAIN, operators.DOMAIN_VERSION))
        bodies = functions(content.similarities)
    model = helper.make_model(
        graph,
        functions=bodies,
        opset_imports=imports,
        ir_version=IR_VERSION,
        producer_name="cnnmetric",
    )
    helper.set_model_props(model, _metadata(network, description))
    return model


def _tensor(
    name: str, channels: int, size: str, dimension: int, batch: str = "B"
) -> onnx.ValueInfoProto:
    axes = ("z", "y", "x")[-dimension:]
    shape: list[str | int | None] = [batch, channels, *(size + axis for axis in axes)]
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _metadata(network: PatchNetwork, description: ModelDescription) -> dict[str, str]:
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
        "written_by": f"cnnmetric {loading.version()}",
        "training": json.dumps(description.training),
    }
    return {f"cnnmetric.{key}": value for key, value in values.items()}
