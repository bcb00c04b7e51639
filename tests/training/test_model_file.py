# SPDX-License-Identifier: Apache-2.0
"""The model file: operators, metadata, parity, and refusal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from cnnmetric.errors import ModelError
from cnnmetric.training.export.model_file import ModelDescription
from cnnmetric.training.export.model_file import build_model
from cnnmetric.training.export.model_file import export_model
from cnnmetric.training.export.parity import check_parity
from cnnmetric.training.networks.architecture import TwoChannelNetwork
from cnnmetric.training.networks.architecture import layers
from cnnmetric.training.networks.architecture import paper_layers
from support.training_images import SMALL_NETWORK

DESCRIPTION = ModelDescription(spacing=0.8, modalities=("T1", "T2"), training={"steps": 3})


def network(dimension: int = 3) -> TwoChannelNetwork:
    torch.manual_seed(0)
    return TwoChannelNetwork(layers(**SMALL_NETWORK), dimension=dimension)


@pytest.mark.parametrize("dimension", [2, 3])
def test_file_computes_scores_and_both_gradients(tmp_path: Path, dimension: int) -> None:
    original = network(dimension)
    path = tmp_path / "model.onnx"
    export_model(original, path, DESCRIPTION)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    p, s = original.receptive_field, original.stride
    blocks, patches = 3, (2, 4, 3)[:dimension]
    shape = (blocks, 2, *(p + (m - 1) * s for m in patches))
    images = torch.rand(shape, generator=torch.Generator().manual_seed(1), requires_grad=True)
    cotangent = torch.rand((blocks, 1, *patches), generator=torch.Generator().manual_seed(2))
    scores = original(images)
    (gradient,) = torch.autograd.grad(scores, images, cotangent)
    found = session.run(
        ["dissimilarity", "gradient_first", "gradient_second"],
        {
            "patches": images.detach().numpy(),
            "weights": cotangent.numpy(),
            "gradients_wanted": np.ones(2, dtype=np.bool_),
        },
    )
    wanted = (scores.detach(), gradient[:, :1], gradient[:, 1:])
    for result, expected in zip(found, wanted, strict=True):
        assert result.shape == tuple(expected.shape)
        difference = np.linalg.norm(result - expected.numpy()) / np.linalg.norm(expected.numpy())
        assert difference < 1e-5


def test_paper_network_is_small_and_exact(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = tmp_path / "model.onnx"
    export_model(TwoChannelNetwork(paper_layers()), path, DESCRIPTION)
    assert 7.9e6 < path.stat().st_size < 8e6


def test_metadata_is_what_the_format_says() -> None:
    model = build_model(network(), DESCRIPTION)
    metadata = {item.key.removeprefix("cnnmetric."): item.value for item in model.metadata_props}
    written_by = metadata.pop("written_by")
    assert written_by.startswith("cnnmetric ")
    assert metadata == {
        "format_version": "1",
        "dimension": "3",
        "receptive_field": "7",
        "stride": "2",
        "spacing": "0.8",
        "modalities": "T1,T2",
        "lower_quantile": "0.01",
        "upper_quantile": "0.999",
        "sign": "dissimilarity",
        "training": '{"steps": 3}',
    }


def test_graph_is_standard_holds_each_weight_once_and_old_runtimes_read_it() -> None:
    original = network()
    model = build_model(original, DESCRIPTION)
    assert {node.domain for node in model.graph.node} == {""}
    assert [item.version for item in model.opset_import] == [13]
    assert model.ir_version <= 10  # what ONNX Runtime 1.20 reads
    parameters = sum(weight.numel() for weight in original.parameters())
    stored = sum(
        int(np.prod(item.dims))
        for item in model.graph.initializer
        if item.data_type == onnx.TensorProto.FLOAT
    )
    assert stored == parameters
    names = [value.name for value in model.graph.input]
    assert names == ["patches", "weights", "gradients_wanted"]


def test_weights_that_are_not_finite_are_refused_and_the_old_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"the model of yesterday")
    broken = network()
    with torch.no_grad():
        dict(broken.named_parameters())["convolutions.1.weight"][0] = float("nan")
    with pytest.raises(ModelError, match=r"not written: the weights convolutions\.1\.weight"):
        export_model(broken, path, DESCRIPTION)
    assert path.read_bytes() == b"the model of yesterday"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("operator", "output"), [("Conv", "dissimilarity"), ("ConvTranspose", "gradient_second")]
)
def test_file_that_computes_something_else_is_refused(operator: str, output: str) -> None:
    original = network()
    model = build_model(original, DESCRIPTION)
    branches = [attribute.g for attribute in model.graph.node[-1].attribute]
    nodes = [*model.graph.node, *(node for branch in branches for node in branch.node)]
    node = next(node for node in nodes if node.op_type == operator)
    copied = onnx.TensorProto()
    copied.CopyFrom(next(item for item in model.graph.initializer if item.name == node.input[1]))
    copied.name = "changed"
    array = onnx.numpy_helper.to_array(copied) * np.float32(1 + 1e-3)
    copied.CopyFrom(onnx.numpy_helper.from_array(array, "changed"))
    model.graph.initializer.append(copied)
    node.input[1] = "changed"
    with pytest.raises(ModelError, match=rf"m\.onnx: {output} differs from PyTorch's by \d"):
        check_parity(original, model.SerializeToString(), name="m.onnx")
