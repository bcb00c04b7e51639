# SPDX-License-Identifier: Apache-2.0
"""Parameter maps that elastix crashes at, or takes otherwise than they read, are refused."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import cnnmetric
from cnnmetric.plugin import compatibility
from cnnmetric.plugin.components import COMPONENTS
from cnnmetric.plugin.components import CRASHING
from cnnmetric.plugin.components import LOADED_ON_DEMAND
from cnnmetric.plugin.components import SAMPLING_METRICS
from cnnmetric.plugin.components import check_components
from cnnmetric.plugin.components import check_threads
from support.elastix_cases import images
from support.elastix_runs import parameters
from support.elastix_runs import register

MULTI = {"Registration": "MultiMetricMultiResolutionRegistration"}
BENDING = "TransformBendingEnergyPenalty"


def of_elastix() -> Iterator[str]:
    """Yield the names in elastix's own list of components, a ``std::map`` in its library."""
    library = ctypes.CDLL(str(compatibility.elastix_library()))
    database = library["_ZN7elastix8MainBase20GetComponentDatabaseEv"]
    database.restype = ctypes.c_void_p
    # The list follows on what every itk::Object has, 9 words; its own third word is the root.
    root = _word(database() + 8 * 11)
    assert _word(database() + 8 * 14) < 1000, "the layout of elastix::ComponentDatabase has changed"

    def below(node: int) -> Iterator[str]:
        if node:
            # Colour, parent, left and right; then the key, which begins with text and length.
            yield from below(_word(node + 16))
            yield ctypes.string_at(_word(node + 32), _word(node + 40)).decode()
            yield from below(_word(node + 24))

    yield from below(root)


def _word(address: int) -> int:
    return ctypes.c_uint64.from_address(address).value


def test_the_components_are_those_of_elastix() -> None:
    ours = [name for names in COMPONENTS.values() for name in names]
    assert len(ours) == len(set(ours))
    assert {*ours, "Elastix"} == set(of_elastix())
    assert set(COMPONENTS["Metric"]) | set(LOADED_ON_DEMAND["Metric"]) >= SAMPLING_METRICS


@pytest.mark.parametrize("kind", sorted(COMPONENTS))
def test_every_component_is_accepted_where_it_belongs(kind: str) -> None:
    for name in set(COMPONENTS[kind]).difference(CRASHING):
        values = {"Optimizer": ["Simplex"], "Transform": ["EulerTransform"], kind: [name]}
        check_components([values | {"Metric": ["CNNMetric", *values.get("Metric", ())]}])


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("Registration", "MultiResolution", r'mean "MultiResolutionRegistration"'),
        ("FixedImagePyramid", "FixedSmoothingImagePyramd", r'mean "FixedSmoothingImagePyramid"'),
        ("MovingImagePyramid", "MovingSmothingImagePyramid", r'mean "MovingSmoothingImagePyramid"'),
        ("MovingImagePyramid", "FixedSmoothingImagePyramid", r"of the kind FixedImagePyramid"),
        ("ImageSampler", "randomcoordinate", r'mean "RandomCoordinate"'),
        ("Interpolator", "LinearInterpolater", r'mean "LinearInterpolator"'),
        ("Metric", "TransformBendingEnergyPenalti", r'mean "TransformBendingEnergyPenalty"'),
        ("Optimizer", "AdaGrad", r'which does not exist. elastix has "AdaptiveStochastic'),
        ("ResampleInterpolator", "LinearInterpolator", r"of the kind Interpolator.*FinalLinear"),
        ("Resampler", "OpenCLResampler", r'"DefaultResampler"'),
        ("Transform", "euler", r'mean .*"EulerTransform"'),
        ("Transform", "", r'elastix has "AffineDTITransform"'),
    ],
)
def test_a_component_that_does_not_exist(
    kind: str, name: str, message: str, difference_model: Path
) -> None:
    given = ["CNNMetric", name] if kind == "Metric" else [name]
    settings = parameters(difference_model, **{kind: given})
    with pytest.raises(cnnmetric.MetricError, match=rf'map 0 has \({kind} "{name}"\).*{message}'):
        register(*images("float 3D"), settings)


def test_a_component_that_elastix_crashes_at(difference_model: Path) -> None:
    settings = parameters(difference_model, Interpolator="RayCastInterpolator")
    with pytest.raises(cnnmetric.MetricError, match=r'at which elastix crashes.*"LinearInterpol'):
        register(*images("float 3D"), settings)


@pytest.mark.parametrize("kind", ["Optimizer", "Transform"])
def test_a_component_that_is_missing(kind: str, difference_model: Path) -> None:
    settings = parameters(difference_model)
    map_ = {name: value for name, value in settings.GetParameterMap(0).items() if name != kind}
    settings.SetParameterMap(0, map_)
    with pytest.raises(cnnmetric.MetricError, match=f"map 0 names no {kind}"):
        register(*images("float 3D"), settings)


def test_maps_without_the_metric_are_not_looked_at() -> None:
    check_components([{"Metric": ["NoMetricOfElastix"], "FixedImagePyramid": ["x"]}])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, rf'"{BENDING}" needs a sampler, and none is named'),
        (
            {"ImageSampler": "Random", "FixedImagePyramid": ["FixedSmoothingImagePyramid"] * 2},
            rf'"{BENDING}" needs a sampler, and there are too few.*"RandomCoordinate" "RandomC',
        ),
    ],
)
def test_a_penalty_without_a_sampler(
    changes: dict[str, Any], message: str, difference_model: Path
) -> None:
    settings = parameters(difference_model, **MULTI, Metric=["CNNMetric", BENDING], **changes)
    with pytest.raises(cnnmetric.MetricError, match=message):
        register(*images("float 3D"), settings)


def test_a_penalty_with_the_sampler_of_the_first_metric(difference_model: Path) -> None:
    settings = parameters(
        difference_model,
        **MULTI,
        Metric=["CNNMetric", BENDING],
        ImageSampler="RandomCoordinate",
        UseMultiThreadingForMetrics="false",
        MaximumNumberOfIterations="1",
    )
    register(*images("float 3D"), settings)


def test_a_penalty_that_needs_no_sampler(difference_model: Path) -> None:
    penalty = "DistancePreservingRigidityPenalty"
    settings = parameters(difference_model, **MULTI, Metric=["CNNMetric", penalty])
    # elastix asks for the penalty's image, not for a sampler.
    with pytest.raises(RuntimeError) as caught:
        register(*images("float 3D"), settings)
    assert "sampler" not in str(caught.value)


@pytest.mark.parametrize(
    ("resolutions", "values"),
    [("3", ["2.0", "1.0"]), ("1", ["2.0", "1.0"]), (None, ["2.0", "1.0"])],
)
def test_a_number_of_values_that_is_not_that_of_the_levels(
    resolutions: str | None, values: list[str], difference_model: Path
) -> None:
    settings = parameters(difference_model, Metric0CNNMetricGridSpacing=values)
    map_ = dict(settings.GetParameterMap(0))
    if resolutions is None:
        del map_["NumberOfResolutions"]
    else:
        map_["NumberOfResolutions"] = [resolutions]
    settings.SetParameterMap(0, map_)
    message = (
        rf"map 0 has {len(values)} values of Metric0CNNMetricGridSpacing, but NumberOfResolutions "
        rf"is {resolutions or 3}\. Give one value"
    )
    with pytest.raises(cnnmetric.MetricError, match=message):
        register(*images("float 3D"), settings)


@pytest.mark.parametrize("place", [0, 1])
def test_metrics_that_crash_with_a_number_of_threads(place: int, difference_model: Path) -> None:
    metrics = ["CNNMetric", "CNNMetric"]
    metrics[place] = BENDING
    settings = parameters(difference_model, **MULTI, Metric=metrics, ImageSampler="Random")
    message = rf'with 2 threads.*"{BENDING}".*Add \(Metric{place}UseMulti\w+ "false"\)'
    with pytest.raises(cnnmetric.MetricError, match=message):
        register(*images("float 3D"), settings, number_of_threads=2)


@pytest.mark.parametrize(
    ("name", "threads"),
    [
        ("UseMultiThreadingForMetrics", 2),
        ("Metric1UseMultiThreadingForMetrics", 2),
        ("NoParameterOfElastix", 1),
        ("NoParameterOfElastix", 0),
    ],
)
def test_metrics_that_run_with_a_number_of_threads(
    name: str, threads: int, difference_model: Path
) -> None:
    settings = parameters(
        difference_model,
        **MULTI,
        **{name: "false"},
        Metric=["CNNMetric", BENDING],
        ImageSampler="Random",
        NumberOfSpatialSamples="200",
    )
    register(*images("float 3D"), settings, number_of_threads=threads)


def test_metrics_of_others_that_crash_are_warned_of() -> None:
    maps = [{"Registration": ["MultiMetricMultiResolutionRegistration"], "Metric": [BENDING]}] * 2
    with pytest.warns(UserWarning, match=rf'map 0.*"{BENDING}".*map 1.*not due to') as caught:
        check_threads(maps, 2)
    assert len(caught) == 1


def test_the_warning_comes_before_the_crash() -> None:
    """In a process of its own, which elastix ends as a rule, but need not."""
    script = """
import cnnmetric, itk, numpy
image = itk.image_from_array(numpy.random.default_rng(1).random((32, 32, 32), "float32"))
settings = itk.ParameterObject.New()
settings.AddParameterMap(settings.GetDefaultParameterMap("bspline", 1, 10.0))
settings.SetParameter("MaximumNumberOfIterations", "20")
itk.elastix_registration_method(image, image, parameter_object=settings, number_of_threads=2)
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert done.stderr.count("Parameter map 0: with 2 threads, elastix crashes at its metrics") == 1
