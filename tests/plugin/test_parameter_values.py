# SPDX-License-Identifier: Apache-2.0
"""Texts that are no number, NaN, pixel types and names in another encoding, before elastix."""

from __future__ import annotations

from pathlib import Path

import itk
import pytest

import cnnmetric
from support.command import QUICK_FILE
from support.elastix_cases import images
from support.elastix_runs import final_parameters
from support.elastix_runs import parameters
from support.elastix_runs import register


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("CNNMetricNumberOfBlocks", "1e3", 'is "1e3" but must be a whole number'),
        ("CNNMetricBlockSize", "\t", 'is "\t" but must be a whole number'),
        ("CNNMetricNumberOfThreads", "2147483648", "must be a whole number"),
        ("Metric0CNNMetricNumberOfBlocks", "0x10", 'Metric0CNN.* is "0x10" but must be a whole'),
        ("CNNMetricGridSpacing", "1,5", 'is "1,5" but must be a positive number of mm'),
        ("CNNMetricGridSpacing", "nan", 'is "nan" but must be a positive number of mm'),
        ("SP_A", "inf", 'map 0: SP_A is "inf" but must be finite'),
        ("MaximumStepLength", "NaN", 'MaximumStepLength is "NaN" but must be finite'),
    ],
)
def test_what_is_no_number(name: str, value: str, message: str, difference_model: Path) -> None:
    settings = parameters(difference_model, **{name: value})
    with pytest.raises(cnnmetric.MetricError, match=message) as caught:
        register(*images("float 3D"), settings)
    assert "std::" not in str(caught.value)


def test_the_value_outside_of_the_image_may_be_nan(difference_model: Path) -> None:
    settings = parameters(difference_model, DefaultPixelValue="NaN", CNNMetricNumberOfBlocks="+1")
    assert final_parameters(register(*images("float 3D"), settings))


@pytest.mark.parametrize(
    ("kind", "type_", "choices"),
    [("float 3D", "double", '"float" or "short"'), ("float 2D", "short", '2D images as "float"')],
)
def test_pixel_types_that_elastix_does_not_have(
    kind: str, type_: str, choices: str, difference_model: Path
) -> None:
    settings = parameters(difference_model, MovingInternalImagePixelType=type_)
    with pytest.raises(
        cnnmetric.MetricError, match=f'MovingInternalImagePixelType is "{type_}", but .*{choices}'
    ):
        register(*images(kind), settings)


@pytest.mark.parametrize(
    ("given", "other"),
    [
        ({"FixedInternalImagePixelType": "short", "MovingInternalImagePixelType": []}, "float"),
        ({"FixedInternalImagePixelType": [], "MovingInternalImagePixelType": "short"}, "short"),
        ({"FixedInternalImagePixelType": "short"}, "float"),
    ],
)
def test_pixel_types_that_differ(
    given: dict[str, str | list[str]], other: str, difference_model: Path
) -> None:
    with pytest.raises(
        cnnmetric.MetricError,
        match=rf'FixedInternal\w+ is "\w+" and MovingInternal\w+ is "{other}", but elastix',
    ):
        register(*images("float 3D"), parameters(difference_model, **given))


def latin(folder: Path) -> Path:
    """Write a parameter file with a name that is not UTF-8."""
    file = folder / "latin.txt"
    file.write_bytes(QUICK_FILE.encode() + b'(Comment\xe9 "x")\n')
    return file


def test_names_in_another_encoding_are_elastix_own(tmp_path: Path) -> None:
    settings = itk.ParameterObject.New()
    settings.ReadParameterFile(str(latin(tmp_path)))
    settings.SetParameter("Metric", "AdvancedMeanSquares")
    settings.SetParameter("ImageSampler", "Full")
    assert final_parameters(register(*images("float 3D"), settings))


def test_a_stage_in_another_encoding_is_refused(difference_model: Path, tmp_path: Path) -> None:
    with pytest.raises(cnnmetric.DataError, match=r"udce9' holds a text that is not UTF-8"):
        cnnmetric.register(
            *images("float 3D"), model=difference_model, parameters=latin(tmp_path), device="cpu"
        )
