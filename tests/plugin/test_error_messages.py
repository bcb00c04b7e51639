# SPDX-License-Identifier: Apache-2.0
"""Bad input ends in one clear exception in Python: what, why, and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import itk
import numpy as np
import onnx
import onnxruntime
import pytest

import cnnmetric
from cnnmetric.plugin import elastix_log
from cnnmetric.plugin import failures
from support.elastix_runs import parameters
from support.elastix_runs import register
from support.metric_images import ball_mask
from support.metric_images import empty_image
from support.metric_images import image_of
from support.metric_images import subject
from support.metric_images import unsealed
from support.metric_images import write_small_model


@pytest.fixture(scope="module")
def fixed() -> Any:
    return subject("T1", size=(30, 32, 31), spacing=(1.0,) * 3, angle=0.0)


@pytest.fixture(scope="module")
def moving() -> Any:
    return subject("T2", size=(34, 34, 34), spacing=(1.0,) * 3, angle=0.0)


def changed_model(source: Path, target: Path, **metadata: str | None) -> Path:
    """Copy a model with other metadata; None removes a key."""
    model = unsealed(source)
    kept = {entry.key: entry.value for entry in model.metadata_props}
    for name, value in metadata.items():
        kept.pop(f"cnnmetric.{name}")
        if value is not None:
            kept[f"cnnmetric.{name}"] = value
    onnx.helper.set_model_props(model, kept)
    onnx.save(model, target)
    return target


def test_unknown_model_name_lists_the_installed_ones(fixed: Any, moving: Any) -> None:
    with pytest.raises(cnnmetric.MetricError, match=r'"t1t3" is not an installed.*"t1t2"'):
        register(fixed, moving, parameters("t1t3"))


def test_missing_model_file(fixed: Any, moving: Any, tmp_path: Path) -> None:
    with pytest.raises(cnnmetric.MetricError, match=r"nowhere\.onnx' does not exist"):
        register(fixed, moving, parameters(tmp_path / "nowhere.onnx"))


def test_file_that_is_not_onnx(fixed: Any, moving: Any, tmp_path: Path) -> None:
    file = tmp_path / "text.onnx"
    file.write_text("This is not a network.")
    with pytest.raises(cnnmetric.MetricError, match=r"text\.onnx' is not a readable ONNX file"):
        register(fixed, moving, parameters(file))


def test_truncated_model(fixed: Any, moving: Any, small_model: Path, tmp_path: Path) -> None:
    file = tmp_path / "half.onnx"
    content = small_model.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(cnnmetric.MetricError, match=r"not a readable ONNX file \(truncated"):
        register(fixed, moving, parameters(file))


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"format_version": None}, r"not one of cnnmetric.*cnnmetric\.format_version"),
        ({"format_version": "2"}, r"format version 2.*reads up to version 1.*Install a later"),
        ({"stride": "four"}, r"damaged metadata: 'cnnmetric\.stride' is 'four'"),
        ({"stride": "0"}, r"'cnnmetric\.stride' is '0' but must be a whole number"),
        ({"modalities": "T1"}, r"'cnnmetric\.modalities' is 'T1' but must be two names"),
        ({"spacing": "-1"}, r"'cnnmetric\.spacing' is '-1' but must be a positive"),
        ({"upper_quantile": "0"}, "0 <= lower < upper <= 1"),
        ({"sign": "similarity"}, r"'cnnmetric\.sign' is 'similarity'"),
        ({"dimension": "4"}, r"'cnnmetric\.dimension' is '4' but must be 2 or 3"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_model_with_wrong_metadata(
    metadata: dict[str, str | None],
    message: str,
    fixed: Any,
    moving: Any,
    small_model: Path,
    tmp_path: Path,
) -> None:
    file = changed_model(small_model, tmp_path / "changed.onnx", **metadata)
    with pytest.raises(cnnmetric.MetricError, match=message):
        register(fixed, moving, parameters(file))


def test_onnx_file_of_somebody_else(fixed: Any, moving: Any, tmp_path: Path) -> None:
    vector = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Relu", ["x"], ["y"])],
        "other",
        [vector("x", onnx.TensorProto.FLOAT, [1])],
        [vector("y", onnx.TensorProto.FLOAT, [1])],
    )
    file = tmp_path / "other.onnx"
    opset = [onnx.helper.make_opsetid("", 13)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), file)
    with pytest.raises(cnnmetric.MetricError, match="is an ONNX file but not one of cnnmetric"):
        register(fixed, moving, parameters(file))


def test_image_smaller_than_the_receptive_field(moving: Any, small_model: Path) -> None:
    small = subject("T1", size=(16, 32, 31), spacing=(1.0,) * 3, angle=0.0)
    with pytest.raises(cnnmetric.MetricError, match=r"are 15 x 31 x 30 mm between .*needs 16 mm"):
        register(small, moving, parameters(small_model))


def test_2d_images_with_a_3d_model(small_model: Path) -> None:
    flat = subject("T1", size=(40, 40), spacing=(1.0, 1.0), angle=0.0)
    with pytest.raises(cnnmetric.MetricError, match="is 3D but the images are 2D"):
        register(flat, flat, parameters(small_model))


def test_4d_images(small_model: Path) -> None:
    series = itk.image_from_array(np.zeros((3, 20, 20, 20), dtype=np.float32))
    with pytest.raises(cnnmetric.MetricError, match="2D or 3D images; these are 4D"):
        register(series, series, parameters(small_model))


def test_3d_images_with_a_2d_model(fixed: Any, moving: Any, tmp_path: Path) -> None:
    model = write_small_model(tmp_path / "flat.onnx", dimension=2)
    with pytest.raises(cnnmetric.MetricError, match="is 2D but the images are 3D"):
        register(fixed, moving, parameters(model))


def test_constant_image(fixed: Any, moving: Any, small_model: Path) -> None:
    constant = empty_image((34, 34, 34), spacing=(1.0,) * 3, angle=0.0)
    with pytest.raises(cnnmetric.MetricError, match="fixed image is constant"):
        register(constant, moving, parameters(small_model))
    with pytest.raises(cnnmetric.MetricError, match="moving image is constant"):
        register(fixed, constant, parameters(small_model))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_image_with_voxels_that_are_no_numbers(
    value: float, fixed: Any, moving: Any, small_model: Path
) -> None:
    broken = itk.image_duplicator(moving)
    itk.array_view_from_image(broken)[3, 4, 5] = value
    with pytest.raises(cnnmetric.MetricError, match="moving image has NaN or infinite voxels"):
        register(fixed, broken, parameters(small_model))


def test_fixed_mask_that_leaves_no_patch(fixed: Any, moving: Any, small_model: Path) -> None:
    empty = ball_mask(fixed, radius=-1.0)
    with pytest.raises(cnnmetric.MetricError, match="fixed mask leaves no patch"):
        register(fixed, moving, parameters(small_model), fixed_mask=empty)


def test_moving_mask_that_leaves_no_patch(fixed: Any, moving: Any, small_model: Path) -> None:
    empty = ball_mask(moving, radius=-1.0)
    message = r"of \d+ evaluated patches.*buffer and 0 of these into the moving mask"
    with pytest.raises(cnnmetric.MetricError, match=message):
        register(fixed, moving, parameters(small_model), moving_mask=empty)


def test_images_that_do_not_overlap(fixed: Any, moving: Any, small_model: Path) -> None:
    far = image_of(
        itk.array_from_image(moving),
        spacing=(1.0,) * 3,
        origin=(500.0,) * 3,
        direction=np.eye(3),
    )
    with pytest.raises(cnnmetric.MetricError, match="0 map into the moving image's buffer"):
        register(fixed, far, parameters(small_model))


@pytest.mark.parametrize("name", ["CNNMetricModle", "Metric0CNNMetricBlocksize"])
def test_unknown_parameter(name: str, fixed: Any, moving: Any, small_model: Path) -> None:
    settings = parameters(small_model, **{name: "x"})
    with pytest.raises(cnnmetric.MetricError, match=rf"'{name}', which does not exist.*BlockSize"):
        register(fixed, moving, settings)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("CNNMetricSampling", "Random", '"Random" but must be "Blocks" or "Full"'),
        ("CNNMetricNumberOfBlocks", "0", "is 0 but must be at least 1"),
        ("CNNMetricNumberOfBlocks", "many", "CNNMetricNumberOfBlocks"),
        ("CNNMetricGridSpacing", "-1", "positive number of mm"),
        ("CNNMetricNumberOfThreads", "-2", "at least 0"),
        ("CNNMetricFixedModality", "CT", r'"CT" is not a modality.*"T1" and "T2"'),
        ("CNNMetricDevice", "gpu", '"auto", "cpu" or "cuda:N"'),
    ],
)
def test_parameter_with_a_wrong_value(
    name: str, value: str, message: str, fixed: Any, moving: Any, small_model: Path
) -> None:
    with pytest.raises(cnnmetric.MetricError, match=message):
        register(fixed, moving, parameters(small_model, **{name: value}))


def test_cuda_asked_for_and_absent(fixed: Any, moving: Any, small_model: Path) -> None:
    with pytest.raises(
        cnnmetric.MetricError, match=r"'cuda:99' was asked for but cannot be used: .*[^.]\. Install"
    ):
        register(fixed, moving, parameters(small_model, CNNMetricDevice="cuda:99"))


def test_failure_that_is_not_ours_stays_elastix_own(fixed: Any, moving: Any) -> None:
    settings = parameters("t1t2", Metric="NoSuchMetric")
    with pytest.raises(RuntimeError, match="Internal elastix error") as caught:
        register(fixed, moving, settings)
    assert not isinstance(caught.value, cnnmetric.CNNMetricError)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"MaximumStepLength": "large"}, 'for the parameter "MaximumStepLength" failed'),
        ({"UseDirectionCosines": "1"}, '"UseDirectionCosines" should be a boolean'),
        # Of several lines.
        ({"Metric": ["CNNMetric"] * 2}, r"only allows for 1 metric\. You probably mean to use:"),
    ],
    ids=lambda value: "" if isinstance(value, str) else next(iter(value)),
)
def test_what_the_log_of_elastix_says_is_raised(
    changes: dict[str, str | list[str]],
    reason: str,
    fixed: Any,
    moving: Any,
    small_model: Path,
    tmp_path: Path,
) -> None:
    registration = itk.ElastixRegistrationMethod.New(fixed, moving)
    registration.SetParameterObject(parameters(small_model, **changes))
    registration.SetLogToConsole(False)
    registration.SetOutputDirectory(str(tmp_path))
    with pytest.raises(RuntimeError, match=f"Internal elastix error, .* log says: .*{reason}"):
        registration.UpdateLargestPossibleRegion()
    # Where the user lets it write is as before, and no log is left there.
    assert registration.GetOutputDirectory() in (str(tmp_path), f"{tmp_path}/")
    assert not registration.GetLogToFile()
    assert not registration.GetLogFileName()
    assert not list(tmp_path.glob("*.log"))


def test_a_log_that_is_there_is_read(
    fixed: Any, moving: Any, small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elastix_log, "log_in", None)  # what another try would need
    registration = itk.ElastixRegistrationMethod.New(fixed, moving)
    registration.SetParameterObject(parameters(small_model, UseDirectionCosines="1"))
    registration.SetLogToConsole(False)
    registration.SetOutputDirectory(str(tmp_path))
    registration.SetLogFileName("mine.log")
    registration.SetLogToFile(True)
    with pytest.raises(RuntimeError, match=r"log says: .*should be a boolean"):
        registration.Update()
    assert registration.GetLogToFile()


def test_what_fails_late_is_not_done_again(
    fixed: Any, moving: Any, small_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures, "_SOON", 0.0)
    with pytest.raises(RuntimeError, match="See elastix log"):
        register(fixed, moving, parameters(small_model, UseDirectionCosines="1"))


def test_reason_is_that_of_the_last_registration(
    fixed: Any, moving: Any, small_model: Path
) -> None:
    with pytest.raises(cnnmetric.MetricError):
        register(fixed, moving, parameters(small_model, CNNMetricDevice="gpu"))
    with pytest.raises(RuntimeError, match="Internal elastix error"):
        register(fixed, moving, parameters("t1t2", Metric="NoSuchMetric"))


def test_object_oriented_interface_gives_the_reason_too(fixed: Any, moving: Any) -> None:
    registration = itk.ElastixRegistrationMethod.New(fixed, moving)
    registration.SetParameterObject(parameters("t1t3"))
    registration.SetLogToConsole(False)
    with pytest.raises(cnnmetric.MetricError, match="t1t3"):
        registration.Update()


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("input", "gradients_wanted"),  # as in models from before there was a choice
        ("output", "gradient_second"),
    ],
)
def test_model_without_a_tensor_that_the_format_names(
    kind: str, name: str, small_model: Path, tmp_path: Path
) -> None:
    model = unsealed(small_model)
    for value in getattr(model.graph, kind):
        if value.name == name:
            value.name = "renamed"
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = ["renamed" if item == name else item for item in names]
    onnx.save(model, tmp_path / "older.onnx")
    message = f"has no {kind} named '{name}'.*cnnmetric.train"
    with pytest.raises(cnnmetric.ModelError, match=message):
        cnnmetric.DissimilarityNetwork(tmp_path / "older.onnx", device="cpu")


def test_number_of_transform_parameters(fixed: Any, moving: Any, small_model: Path) -> None:
    metric = cnnmetric.MetricOnImages(fixed, moving, model=small_model)
    with pytest.raises(cnnmetric.MetricError, match="has 3 parameters but 2 were given"):
        metric.value([0.0, 0.0])


def test_unknown_transform(fixed: Any, moving: Any, small_model: Path) -> None:
    with pytest.raises(cnnmetric.MetricError, match="'warp' is not known"):
        cnnmetric.MetricOnImages(fixed, moving, model=small_model, transform="warp")


def test_onnxruntime_of_the_wheel_is_in_use() -> None:
    from cnnmetric import _core

    assert _core.onnxruntime_version() == onnxruntime.__version__


def test_optimizer_that_would_crash_without_a_sampler(
    fixed: Any, moving: Any, difference_model: Path
) -> None:
    settings = parameters(difference_model, Optimizer="PreconditionedStochasticGradientDescent")
    with pytest.raises(cnnmetric.MetricError, match=r"needs a sampler. Add, for example"):
        register(fixed, moving, settings)


@pytest.mark.parametrize("threads", ["1", "3"])
def test_failure_of_onnx_runtime_keeps_its_words(
    threads: str, fixed: Any, moving: Any, small_model: Path, tmp_path: Path
) -> None:
    # A graph that loads, and cannot be evaluated: no block has 5 x 5 x 5 voxels.
    model = unsealed(small_model)
    for node in model.graph.node:
        node.input[:] = ["narrowed" if name == "patches" else name for name in node.input]
    shape = onnx.helper.make_tensor("five", onnx.TensorProto.INT64, [5], [1, 2, 5, 5, 5])
    model.graph.initializer.append(shape)
    reshape = onnx.helper.make_node("Reshape", ["patches", "five"], ["narrowed"], name="Narrow")
    model.graph.node.insert(0, reshape)
    onnx.save(model, tmp_path / "narrow.onnx")
    settings = parameters(
        tmp_path / "narrow.onnx", CNNMetricNumberOfThreads=threads, CNNMetricBlockSize="17"
    )
    with pytest.raises(
        cnnmetric.MetricError,
        match=r"ONNX Runtime failed to evaluate model .*narrow\.onnx.*cannot be reshaped",
    ):
        register(fixed, moving, settings)
