# SPDX-License-Identifier: Apache-2.0
"""An argument of a wrong kind is refused by name, by all classes in the same words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import itk
import numpy as np
import pytest

import cnnmetric
from support.metric_images import subject


@pytest.fixture(scope="module")
def image() -> Any:
    return subject("T1", size=(24, 24, 24), spacing=(1.0,) * 3, angle=0.0)


COMMON: list[tuple[dict[str, Any], str]] = [
    ({"model": 3}, r"model is 3 \(int\) but must be the name of an installed model"),
    ({"model": None}, r"model is None \(NoneType\)"),
    ({"model": "a\udcff.onnx"}, "model is .* in characters of UTF-8"),
    ({"device": "cpu\0"}, "device is .* without the character of number 0"),
    ({"device": 0}, r'device is 0 \(int\) but must be "auto", "cpu" or "cuda:N"'),
    ({"device": None}, "device is None"),
    ({"number_of_threads": "2"}, r"number_of_threads is '2' \(str\) but must be a whole number"),
    ({"number_of_threads": None}, "number_of_threads is None"),
    ({"number_of_threads": 1.5}, "number_of_threads is 1.5"),
    ({"number_of_threads": True}, "number_of_threads is True"),
    ({"number_of_threads": -1}, "number_of_threads is -1 .* of 0 to 1024"),
    ({"number_of_threads": 10**9}, "number_of_threads is 1000000000"),
    ({"number_of_threads": np.ones(2)}, "number_of_threads is array"),
]
METRICS: list[tuple[dict[str, Any], str]] = [
    ({"fixed_modality": None}, "fixed_modality is None .* the name of a modality"),
    ({"sampling": 1}, "sampling is 1 .* must be 'Full'"),
    ({"sampling": "full"}, "sampling is 'full'"),
    ({"number_of_blocks": 0}, "number_of_blocks is 0 .* a whole number of 1 to"),
    ({"number_of_blocks": "8"}, "number_of_blocks is '8'"),
    ({"block_size": 21.0}, "block_size is 21.0"),
    ({"block_size": 2**40}, "block_size is 1099511627776"),
    ({"grid_spacing": "1"}, r"grid_spacing is '1' \(str\) but must be a finite number of at least"),
    ({"grid_spacing": None}, "grid_spacing is None"),
    ({"grid_spacing": -1.0}, "grid_spacing is -1.0"),
    ({"grid_spacing": np.inf}, "grid_spacing is inf"),
    ({"required_ratio": np.nan}, "required_ratio is nan .* a finite number of 0 to 1"),
    ({"required_ratio": [0.1]}, r"required_ratio is \[0.1\]"),
    ({"seed": -1}, "seed is -1 .* 0 to 4294967295"),
    ({"seed": 0.5}, "seed is 0.5"),
]
ON_IMAGES: list[tuple[dict[str, Any], str]] = [
    ({"transform": None}, "transform is None"),
    ({"transform_fixed_parameters": 1.0}, "transform_fixed_parameters is 1.0 .* a sequence of"),
    ({"transform_fixed_parameters": ["a"]}, r"transform_fixed_parameters is \['a'\]"),
    ({"interpolation_order": "linear"}, "interpolation_order is 'linear' .* of 0 to 5"),
    ({"interpolation_order": 9}, "interpolation_order is 9"),
]


def check(class_: Any, arguments: dict[str, Any], message: str, **right: Any) -> None:
    with pytest.raises(cnnmetric.SettingsError, match=message):
        class_(**right | arguments)


@pytest.mark.parametrize(("arguments", "message"), COMMON)
def test_network(arguments: dict[str, Any], message: str, small_model: Path) -> None:
    check(cnnmetric.DissimilarityNetwork, arguments, message, model=small_model)


@pytest.mark.parametrize(("arguments", "message"), [*COMMON, *METRICS, *ON_IMAGES])
def test_metric_on_images(
    arguments: dict[str, Any], message: str, small_model: Path, image: Any
) -> None:
    right = {"fixed": image, "moving": image, "model": small_model}
    check(cnnmetric.MetricOnImages, arguments, message, **right)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [*COMMON, *METRICS, ({"dimension": "3"}, "dimension is '3' .* of 2 to 3")],
)
def test_metric_for_itkv4(arguments: dict[str, Any], message: str, small_model: Path) -> None:
    check(cnnmetric.CNNImageToImageMetricv4, arguments, message, model=small_model)


def test_parameters_of_the_transform(small_model: Path, image: Any) -> None:
    metric = cnnmetric.MetricOnImages(image, image, model=small_model)
    for wrong in (None, "000", [None] * 3, [[0.0]] * 3, [0.0, np.nan, 0.0], 0.0):
        for evaluate in (metric.value, metric.value_and_derivative, metric.maps):
            with pytest.raises(cnnmetric.SettingsError, match=r"parameters is .* finite numbers"):
                evaluate(wrong)  # type: ignore[arg-type]


def test_shapes_and_flags(small_model: Path) -> None:
    network = cnnmetric.DissimilarityNetwork(small_model, device="cpu")
    for shape in (20, "abc", np.array(20), [20.0] * 3, [None] * 3):
        with pytest.raises(cnnmetric.SettingsError, match=r"shape is .* whole number"):
            network.map_shape(shape)  # type: ignore[arg-type]
    arrays = np.random.default_rng(0).random((2, 20, 20, 20))
    for flags in (True, (True,), (1, 1), None, "ab"):
        with pytest.raises(cnnmetric.SettingsError, match=r"gradients_wanted is .* True or False"):
            network.map_and_gradient(*arrays, gradients_wanted=flags)  # type: ignore[arg-type]


def test_modality_that_is_no_text(small_model: Path) -> None:
    network = cnnmetric.DissimilarityNetwork(small_model, device="cpu")
    with pytest.raises(cnnmetric.SettingsError, match="fixed_modality is 1"):
        network.fixed_channel(1)  # type: ignore[arg-type]


def test_numbers_of_numpy_and_itk_are_taken(small_model: Path, image: Any) -> None:
    plain = cnnmetric.MetricOnImages(
        image, image, model=str(small_model), number_of_threads=1, grid_spacing=1.0, seed=3
    )
    other = cnnmetric.MetricOnImages(
        image,
        image,
        model=small_model,
        number_of_threads=np.int64(1),  # type: ignore[arg-type]
        grid_spacing=np.float32(1.0),  # type: ignore[arg-type]
        seed=np.uint8(3),  # type: ignore[arg-type]
    )
    shift = itk.OptimizerParameters[itk.D](3)
    shift.Fill(0.5)
    expected = plain.value([0.5] * 3)
    assert other.value(np.full(3, 0.5)) == expected  # type: ignore[arg-type]
    assert other.value(shift) == expected
