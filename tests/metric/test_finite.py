# SPDX-License-Identifier: Apache-2.0
"""NaN, infinity and loops without an end are no results: of a model, of images, or of weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import itk
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

import cnnmetric
from support.elastix_runs import parameters
from support.elastix_runs import register
from support.metric_images import subject
from support.metric_images import unsealed
from support.scripts import run_script

Change = Callable[[NDArray[Any]], NDArray[Any]]


@pytest.fixture(scope="module")
def images() -> tuple[Any, Any]:
    size, spacing = (30, 32, 31), (1.0,) * 3
    return tuple(subject(name, size=size, spacing=spacing, angle=0.0) for name in ("T1", "T2"))


def arrays(scale: float = 1.0) -> list[NDArray[np.float64]]:
    return list(scale * np.random.default_rng(0).random((2, 21, 21, 21)))


def with_weights(source: Path, target: Path, change: Change, *, layer: int = 0) -> Path:
    """Copy a model with other numbers in the weights of a layer."""
    model = unsealed(source)
    weights = [item for item in model.graph.initializer if len(item.dims) == 5][layer]
    changed = change(numpy_helper.to_array(weights).copy())
    weights.CopyFrom(numpy_helper.from_array(changed, weights.name))
    onnx.save(model, target)
    return target


def first(value: float) -> Change:
    def change(weights: NDArray[Any]) -> NDArray[Any]:
        weights.flat[0] = value
        return weights

    return change


def refused(model: Path, images: tuple[Any, Any], message: str) -> None:
    """Check that every way to a model refuses it."""
    for use in (cnnmetric.DissimilarityNetwork, cnnmetric.CNNImageToImageMetricv4):
        with pytest.raises(cnnmetric.ModelError, match=message):
            use(model=model, device="cpu")
    with pytest.raises(cnnmetric.ModelError, match=message):
        cnnmetric.MetricOnImages(*images, model=model, device="cpu")
    with pytest.raises(cnnmetric.MetricError, match=message):
        register(*images, parameters(model, MaximumNumberOfIterations="1"))


@pytest.mark.parametrize(
    ("value", "name"), [(np.nan, "NaN"), (np.inf, "an infinite number"), (-np.inf, "an infinite")]
)
def test_weight_that_is_no_number(
    value: float, name: str, images: tuple[Any, Any], small_model: Path, tmp_path: Path
) -> None:
    model = with_weights(small_model, tmp_path / "damaged.onnx", first(value))
    refused(model, images, rf"damaged\.onnx' holds {name}.* among the numbers of '.*weight'.*again")


def tensor(how: str, value: float) -> onnx.TensorProto:
    """Return a tensor with a value in it, stored in one of the ways of the format."""
    kinds = {
        "raw": onnx.TensorProto.FLOAT,
        "double": onnx.TensorProto.DOUBLE,
        "half": onnx.TensorProto.FLOAT16,
        "typed": onnx.TensorProto.FLOAT,
    }
    values = np.array([1.0, value])
    if how == "typed":
        return onnx.helper.make_tensor("extra", kinds[how], [2], values)
    type_ = onnx.helper.tensor_dtype_to_np_dtype(kinds[how])
    return numpy_helper.from_array(values.astype(type_), "extra")


@pytest.mark.parametrize("how", ["raw", "double", "half", "typed"])
@pytest.mark.parametrize("place", ["initializer", "constant", "branch"])
def test_every_place_of_numbers_is_read(
    how: str, place: str, small_model: Path, tmp_path: Path
) -> None:
    model = unsealed(small_model)
    graph = model.graph
    if place == "branch":
        choices = [node for node in graph.node if node.op_type == "If"]
        graph = choices[0].attribute[0].g
    if place == "constant":
        graph.node.append(onnx.helper.make_node("Constant", [], ["c"], value=tensor(how, np.nan)))
    else:
        graph.initializer.append(tensor(how, np.nan))
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(cnnmetric.ModelError, match=r"m\.onnx' holds NaN among the numbers of"):
        cnnmetric.DissimilarityNetwork(tmp_path / "m.onnx", device="cpu")


def test_infinite_bound_is_no_damage(small_model: Path, tmp_path: Path) -> None:
    model = unsealed(small_model)
    bound = numpy_helper.from_array(np.array(np.inf, dtype=np.float32), "bound")
    model.graph.initializer.append(bound)
    onnx.save(model, tmp_path / "bound.onnx")
    values = cnnmetric.DissimilarityNetwork(tmp_path / "bound.onnx", device="cpu")(*arrays())
    expected = cnnmetric.DissimilarityNetwork(small_model, device="cpu")(*arrays())
    np.testing.assert_array_equal(values, expected)


def test_finite_weights_with_results_that_are_not(
    images: tuple[Any, Any], small_model: Path, tmp_path: Path
) -> None:
    model = with_weights(
        small_model,
        tmp_path / "huge.onnx",
        lambda weights: np.full_like(weights, 3e38),
        layer=-1,
    )
    message = r"huge\.onnx' returned (dissimilarities|gradients) that are NaN or infinite.*another"
    with pytest.raises(cnnmetric.MetricError, match=message):
        cnnmetric.DissimilarityNetwork(model, device="cpu")(*arrays())
    metric = cnnmetric.MetricOnImages(*images, model=model, device="cpu")
    for evaluate in (metric.value, metric.value_and_derivative, metric.maps):
        with pytest.raises(cnnmetric.MetricError, match=message):
            evaluate([0.0] * 3)
    identity = itk.TranslationTransform[itk.D, 3].New()
    itkv4 = cnnmetric.CNNImageToImageMetricv4(model=model, device="cpu")
    with pytest.raises(cnnmetric.MetricError, match=message):
        itkv4.value_and_derivative(*images, identity)
    with pytest.raises(cnnmetric.MetricError, match=message):
        register(*images, parameters(model, MaximumNumberOfIterations="1"))


@pytest.mark.parametrize("scale", [1.7e308, 1e-45, 1e-320])
def test_range_that_single_precision_does_not_hold(scale: float, small_model: Path) -> None:
    network = cnnmetric.DissimilarityNetwork(small_model, device="cpu")
    pair = arrays()
    wide = (2.0 * pair[0] - 1.0) * scale
    for use in (network, network.map_and_gradient):
        with pytest.raises(
            cnnmetric.DataError, match=r"first array has intensities from .*scale it"
        ):
            use(wide, pair[1])


def test_images_of_a_range_that_single_precision_does_not_hold(
    images: tuple[Any, Any], small_model: Path
) -> None:
    fixed, moving = images
    dim = itk.image_duplicator(moving)
    itk.array_view_from_image(dim)[:] *= np.float32(1e-40)
    with pytest.raises(cnnmetric.MetricError, match=r"moving image has intensities from .*Scale"):
        cnnmetric.MetricOnImages(fixed, dim, model=small_model)
    with pytest.raises(cnnmetric.MetricError, match=r"moving image has intensities from .*Scale"):
        register(fixed, dim, parameters(small_model, MaximumNumberOfIterations="1"))


def test_weights_of_patches_out_of_range(small_model: Path) -> None:
    network = cnnmetric.DissimilarityNetwork(small_model, device="cpu")
    pair = arrays()
    shape = network.map_shape(pair[0].shape)
    with pytest.raises(cnnmetric.DataError, match="weights are beyond what single precision"):
        network.map_and_gradient(*pair, weights=np.full(shape, 1e39))
    with pytest.raises(cnnmetric.MetricError, match=r"gradient of model .* is beyond what single"):
        network.map_and_gradient(pair[0] * 1e-37, pair[1], weights=np.full(shape, 1e10))


DIVISION = """
import sys
import onnx, cnnmetric
from onnx import TensorProto, helper
value = helper.make_tensor_value_info
for type_, lowest in ((TensorProto.INT32, -(2**31)), (TensorProto.INT64, -(2**63))):
    for operator in ("Div", "Mod"):
        tensors = [helper.make_tensor(n, type_, [1], [v]) for n, v in (("a", lowest), ("b", -1))]
        node = helper.make_node(operator, ["a", "b"], ["c"])
        inputs, outputs = [value("patches", TensorProto.FLOAT, [1])], [value("c", type_, [1])]
        graph = helper.make_graph([node], "g", inputs, outputs, tensors)
        opset = [helper.make_opsetid("", 13)]
        onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), sys.argv[1])
        try:
            cnnmetric.DissimilarityNetwork(sys.argv[1], device="cpu")
        except cnnmetric.ModelError as error:
            print("divides whole numbers by -1 ('b')" in str(error))
"""


def test_division_that_ends_the_process(tmp_path: Path) -> None:
    run = run_script(DIVISION, tmp_path / "division.onnx")
    assert (run.returncode, run.stdout) == (0, "True\n" * 4), run.stderr


def test_file_of_texts_that_are_no_texts(
    images: tuple[Any, Any], small_model: Path, tmp_path: Path
) -> None:
    content = unsealed(small_model).SerializeToString()
    damaged = tmp_path / "damaged.onnx"
    assert b"Conv" in content
    damaged.write_bytes(content.replace(b"Conv", b"Co\xffv"))
    refused(damaged, images, r"damaged\.onnx' is not a readable ONNX file")
    other = tmp_path / "other.onnx"
    assert b"T1,T2" in content
    other.write_bytes(content.replace(b"T1,T2", b"T\xff,T2"))
    network = cnnmetric.DissimilarityNetwork(other, device="cpu")
    assert network.modalities == ("T\ufffd", "T2")
    with pytest.raises(cnnmetric.SettingsError, match="is not a modality of model"):
        network.fixed_channel("T1")


@pytest.mark.parametrize("place", ["graph", "branch", "function"])
def test_loop_may_never_end(
    place: str, images: tuple[Any, Any], small_model: Path, tmp_path: Path
) -> None:
    number, truth = onnx.TensorProto.INT64, onnx.TensorProto.BOOL
    of = onnx.helper.make_tensor_value_info
    goes_on = onnx.helper.make_node("Identity", ["before"], ["after"])
    counter, before, after = of("i", number, []), of("before", truth, []), of("after", truth, [])
    body = onnx.helper.make_graph([goes_on], "body", [counter, before], [after])
    loop = onnx.helper.make_node("Loop", ["", ""], [], body=body)
    model = unsealed(small_model)
    if place == "function":
        opsets = [onnx.helper.make_opsetid("", 13)]
        function = onnx.helper.make_function("own", "forever", [], [], [loop], opsets)
        model.functions.append(function)
    elif place == "branch":
        next(n for n in model.graph.node if n.op_type == "If").attribute[0].g.node.append(loop)
    else:
        model.graph.node.append(loop)
    onnx.save(model, tmp_path / "loop.onnx")
    refused(tmp_path / "loop.onnx", images, r"loop\.onnx' has a loop .*'Loop'.*without loops")
