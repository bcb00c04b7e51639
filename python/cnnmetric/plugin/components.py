# SPDX-License-Identifier: Apache-2.0
"""The components of elastix by kind, and which of them it crashes at.

Where a name is unknown, elastix writes an error to its log, forgets it where no sampler is named,
and then crashes the process. That happens with any metric; parameter maps that use CNNMetric are
checked before elastix sees them.
"""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence

from cnnmetric.errors import MetricError

METRIC = "CNNMetric"
ParameterMap = Mapping[str, Sequence[str]]

# All of the itk-elastix wheel; a test compares them with elastix's own list.
COMPONENTS: dict[str, tuple[str, ...]] = {
    "Registration": (
        "MultiMetricMultiResolutionRegistration",
        "MultiResolutionRegistration",
        "MultiResolutionRegistrationWithFeatures",
    ),
    "FixedImagePyramid": (
        "FixedGenericImagePyramid",
        "FixedRecursiveImagePyramid",
        "FixedShrinkingImagePyramid",
        "FixedSmoothingImagePyramid",
    ),
    "MovingImagePyramid": (
        "MovingGenericImagePyramid",
        "MovingRecursiveImagePyramid",
        "MovingShrinkingImagePyramid",
        "MovingSmoothingImagePyramid",
    ),
    "ImageSampler": (
        "Full",
        "Grid",
        "MultiInputRandomCoordinate",
        "Random",
        "RandomCoordinate",
        "RandomSparseMask",
    ),
    "Interpolator": (
        "BSplineInterpolator",
        "BSplineInterpolatorFloat",
        "LinearInterpolator",
        "NearestNeighborInterpolator",
        "RayCastInterpolator",
        "ReducedDimensionBSplineInterpolator",
    ),
    "Metric": (
        "AdvancedKappaStatistic",
        "AdvancedMattesMutualInformation",
        "AdvancedMeanSquares",
        "AdvancedNormalizedCorrelation",
        METRIC,
        "CorrespondingPointsEuclideanDistanceMetric",
        "DisplacementMagnitudePenalty",
        "DistancePreservingRigidityPenalty",
        "GradientDifference",
        "MissingStructurePenalty",
        "NormalizedGradientCorrelation",
        "NormalizedMutualInformation",
        "PCAMetric",
        "PCAMetric2",
        "PatternIntensity",
        "PolydataDummyPenalty",
        "StatisticalShapePenalty",
        "SumOfPairwiseCorrelationCoefficientsMetric",
        "SumSquaredTissueVolumeDifference",
        "TransformBendingEnergyPenalty",
        "TransformRigidityPenalty",
        "VarianceOverLastDimensionMetric",
    ),
    "Optimizer": (
        "AdaptiveStochasticGradientDescent",
        "CMAEvolutionStrategy",
        "ConjugateGradient",
        "ConjugateGradientFRPR",
        "FiniteDifferenceGradientDescent",
        "FullSearch",
        "Powell",
        "PreconditionedStochasticGradientDescent",
        "QuasiNewtonLBFGS",
        "RSGDEachParameterApart",
        "RegularStepGradientDescent",
        "Simplex",
        "SimultaneousPerturbation",
        "StandardGradientDescent",
    ),
    "ResampleInterpolator": (
        "FinalBSplineInterpolator",
        "FinalBSplineInterpolatorFloat",
        "FinalLinearInterpolator",
        "FinalNearestNeighborInterpolator",
        "FinalRayCastInterpolator",
        "FinalReducedDimensionBSplineInterpolator",
    ),
    "Resampler": ("DefaultResampler",),
    "Transform": (
        "AffineDTITransform",
        "AffineLogStackTransform",
        "AffineLogTransform",
        "AffineTransform",
        "BSplineStackTransform",
        "BSplineTransform",
        "DeformationFieldTransform",
        "EulerStackTransform",
        "EulerTransform",
        "ExternalTransform",
        "MultiBSplineTransformWithNormal",
        "RecursiveBSplineTransform",
        "SimilarityTransform",
        "SplineKernelTransform",
        "TranslationStackTransform",
        "TranslationTransform",
        "WeightedCombinationTransform",
    ),
}
# elastix loads this one from a library of its own when it is asked for.
LOADED_ON_DEMAND = {"Metric": ("Impact",)}
# What elastix has no default for.
REQUIRED = ("Metric", "Optimizer", "Transform")

# elastix crashes the process at these, with any metric: it never tells them what they need. With
# each, what does the same work.
CRASHING = {"RayCastInterpolator": "LinearInterpolator"}

# Metrics that take their points from a sampler; the others do without, as CNNMetric does.
SAMPLING_METRICS = frozenset(
    {
        "AdvancedKappaStatistic",
        "AdvancedMattesMutualInformation",
        "AdvancedMeanSquares",
        "AdvancedNormalizedCorrelation",
        "DisplacementMagnitudePenalty",
        "Impact",
        "NormalizedMutualInformation",
        "PCAMetric",
        "PCAMetric2",
        "SumOfPairwiseCorrelationCoefficientsMetric",
        "SumSquaredTissueVolumeDifference",
        "TransformBendingEnergyPenalty",
        "VarianceOverLastDimensionMetric",
    }
)

# Metrics of elastix that keep something for each of their threads.
_THREADED_METRICS = frozenset(
    {
        "AdvancedKappaStatistic",
        "AdvancedMattesMutualInformation",
        "AdvancedMeanSquares",
        "AdvancedNormalizedCorrelation",
        "Impact",
        "PCAMetric",
        "SumSquaredTissueVolumeDifference",
        "TransformBendingEnergyPenalty",
    }
)


def uses_the_metric(map_: ParameterMap) -> bool:
    """Whether a parameter map asks for CNNMetric."""
    return METRIC in map_.get("Metric", ())


def with_the_metric(maps: Iterable[ParameterMap]) -> Iterator[tuple[int, ParameterMap]]:
    """Yield the parameter maps that ask for CNNMetric, with their numbers among all."""
    return ((index, map_) for index, map_ in enumerate(maps) if uses_the_metric(map_))


def check_components(maps: Iterable[ParameterMap]) -> None:
    """Refuse components that elastix does not have, not of the kind asked for, or crashes at.

    Parameters
    ----------
    maps
        The parameter maps of the registration; those without CNNMetric are not looked at.

    Raises
    ------
    MetricError
        Naming the parameter, its value, and what is meant or there is.
    """
    for index, map_ in with_the_metric(maps):
        for kind, names in COMPONENTS.items():
            given = map_.get(kind, ())
            if not given and kind in REQUIRED:
                msg = (
                    f"Parameter map {index} names no {kind}, which elastix has no default for. "
                    f"Add, for example, ({kind} {_quoted(names[:1])})."
                )
                raise MetricError(msg)
            known = (*names, *LOADED_ON_DEMAND.get(kind, ()))
            for name in given:
                if name not in known:
                    raise MetricError(_advice(index, kind, name, known))
                if name in CRASHING:
                    msg = (
                        f'Parameter map {index} has ({kind} "{name}"), at which elastix crashes. '
                        f'Take another one, for example "{CRASHING[name]}".'
                    )
                    raise MetricError(msg)


def check_samplers(maps: Iterable[ParameterMap]) -> None:
    """Refuse metrics and optimizers that need a sampler where there is none for them.

    elastix stops at such a metric with an error that only its log has, and crashes the process at
    such an optimizer.

    Parameters
    ----------
    maps
        The parameter maps of the registration; those without CNNMetric are not looked at.

    Raises
    ------
    MetricError
        Naming what needs the sampler.
    """
    for index, map_ in with_the_metric(maps):
        samplers = map_.get("ImageSampler", ())
        if not samplers and "PreconditionedStochasticGradientDescent" in map_.get("Optimizer", ()):
            msg = (
                'The optimizer "PreconditionedStochasticGradientDescent" of elastix needs a '
                'sampler. Add, for example, (ImageSampler "RandomCoordinate").'
            )
            raise MetricError(msg)
        for place, metric in enumerate(map_["Metric"]):
            # elastix lends the first sampler to a metric without a pyramid of its own.
            lent = samplers and len(map_.get("FixedImagePyramid", ())) <= place
            if metric in SAMPLING_METRICS and place >= len(samplers) and not lent:
                number = len(map_["Metric"]) if samplers else 1
                msg = (
                    f'Parameter map {index}: the metric "{metric}" needs a sampler, and '
                    f"{'there are too few' if samplers else 'none is named'}. Add, for example, "
                    f"(ImageSampler {_quoted(['RandomCoordinate'] * number)}); it decides the "
                    "patches of CNNMetric as well, unless CNNMetricSampling does."
                )
                raise MetricError(msg)


def check_threads(maps: Iterable[ParameterMap], threads: int) -> None:
    """Refuse metrics that elastix crashes the process at when it is told a number of threads.

    ``MultiMetricMultiResolutionRegistration`` has metrics run on more threads than they have
    memory for. That is so without CNNMetric, too; such parameter maps are only warned of.

    Parameters
    ----------
    maps
        The parameter maps of the registration.
    threads
        As elastix is told, 0 if it is not; then, as with 1, memory and threads agree.

    Raises
    ------
    MetricError
        Naming the metric and what to add to the parameter map, if that uses CNNMetric.
    """
    advice = []
    for index, map_ in enumerate(maps):
        registration = map_.get("Registration", ())
        if threads < 2 or "MultiMetricMultiResolutionRegistration" not in registration:
            continue
        crashing = {}
        for place, metric in enumerate(map_.get("Metric", ())):
            name = f"Metric{place}UseMultiThreadingForMetrics"
            values = map_.get(name) or map_.get("UseMultiThreadingForMetrics", ("true",))
            if metric in _THREADED_METRICS and set(values) != {"false"}:
                crashing[f'({name} "false")'] = metric
        if not crashing:
            continue
        msg = (
            f"Parameter map {index}: with {threads} threads, elastix crashes at its metrics "
            f'{_quoted(crashing.values(), ", ")} in "MultiMetricMultiResolutionRegistration". '
            f"Add {' '.join(crashing)}, or leave the number of threads out."
        )
        if uses_the_metric(map_):
            raise MetricError(msg)
        advice.append(msg)
    if advice:
        warnings.warn(f"{' '.join(advice)} That is not due to cnnmetric.", stacklevel=2)


def _advice(index: int, kind: str, name: str, known: Sequence[str]) -> str:
    # Without capitals, so that "euler" is near to "EulerTransform".
    lower = {item.lower(): item for item in known}
    near = [
        *(item for item in known if name and item.lower().startswith(name.lower())),
        *(lower[item] for item in difflib.get_close_matches(name.lower(), lower, n=2)),
    ]
    other = [of for of, names in COMPONENTS.items() if name in names]
    is_what = f"which is a component of the kind {other[0]}" if other else "which does not exist"
    text = f'Parameter map {index} has ({kind} "{name}"), {is_what}. '
    if near:
        return f"{text}Did you mean {_quoted(dict.fromkeys(near), ' or ')}?"
    return f"{text}elastix has {_quoted(known, ', ')}."


def _quoted(names: Iterable[str], separator: str = " ") -> str:
    return separator.join(f'"{name}"' for name in names)
