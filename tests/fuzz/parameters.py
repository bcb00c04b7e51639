# SPDX-License-Identifier: Apache-2.0
"""Parameter maps of elastix: ours against their documented rules, and elastix's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from fuzz import parameter_rules
from fuzz.elastix_values import VALUES
from fuzz.pictures import pair
from fuzz.trial import Materials
from fuzz.trial import Random
from fuzz.trial import Trial
from fuzz.trial import one_of
from fuzz.trial import shown
from fuzz.trial import some_of
from support.elastix_runs import final_parameters
from support.elastix_runs import parameters
from support.elastix_runs import register

Settings = dict[str, str | list[str]]

# A registration of some milliseconds.
QUICK: Settings = {
    "CNNMetricNumberOfBlocks": "1",
    "CNNMetricBlockSize": "17",
    "NumberOfSpatialSamples": "20",
    "MaximumNumberOfIterations": "1",
    "NumberOfGradientMeasurements": "1",
    "NumberOfJacobianMeasurements": "50",
    "FinalGridSpacingInPhysicalUnits": "10",
    "SampleGridSpacing": "4",
    "MaximumStepLength": "0.5",
    "MaximumNumberOfLineSearchIterations": "2",
    "SplineKernelType": "VolumeSpline",
}
_TYPOS = ("CNNMetricModle", "CNNMetric", "Metric0CNNMetricBlocksize", "CNNMetricblocksize")


def trial(random: Random, materials: Materials) -> Trial:
    """Return a registration with some parameters changed."""
    dimension = one_of(random, (2, 3, 3, 3))
    model = materials.small if dimension == 3 else materials.small_2d
    levels = int(random.integers(1, 4)) if random.random() < 0.4 else 1
    changes: Settings = {"NumberOfResolutions": str(levels)}
    if levels > 1:
        changes["ImagePyramidSchedule"] = ["1"] * dimension * levels
    found: dict[str, parameter_rules.Verdict] = {"levels": "right"}
    whose = one_of(random, ("ours", "ours", "ours", "ours", "ours", "elastix", "elastix", "both"))
    if whose != "elastix":
        for name in some_of(random, list(parameter_rules.NAMES), int(random.integers(1, 4))):
            values = _values_of(random, name, levels, model)
            written = name if random.random() < 0.8 else f"Metric0{name}"
            changes[written] = values
            found[name] = parameter_rules.verdict(name, values, levels, model)
    if whose == "ours" and random.random() < 0.05:
        changes[one_of(random, _TYPOS)] = "1"
        found["typo"] = "wrong"
    if whose != "ours":
        for name in some_of(random, list(VALUES), int(random.integers(1, 4))):
            # How many values are right depends on it.
            if whose == "elastix" or name != "NumberOfResolutions":
                changes[name] = list(one_of(random, VALUES[name]))
    if found.get("CNNMetricModel") == "unsaid":  # perhaps one that takes every name with a warning
        found.pop("CNNMetricFixedModality", None)
    verdicts = set(found.values())
    expected: Literal["success", "refusal", ""] = ""
    if "wrong" in verdicts:
        expected = "refusal"
    elif verdicts == {"right"} and whose == "ours":
        expected = "success"
    threads = one_of(random, (1, 1, 1, 2))

    def run() -> list[float]:
        chosen = parameters(model, **(QUICK | changes))
        return final_parameters(register(*pair(dimension), chosen, number_of_threads=threads))

    return Trial(
        what=shown({"dimension": dimension, **changes, "threads": threads}, 600),
        run=run,
        expected=expected,
        elastix_may_refuse=whose != "ours",
    )


def _values_of(random: Random, name: str, levels: int, model: Path) -> list[str]:
    """Return values of a parameter of ours, most of them as many as levels."""
    right, hostile = parameter_rules.NAMES[name](model)
    number = one_of(random, (1, 1, levels, levels, int(random.integers(0, 5))))
    pool: Sequence[str] = right if random.random() < 0.4 else hostile
    if name == "CNNMetricModel" and pool is hostile and random.random() < 0.5:
        return [one_of(random, hostile)]
    return [one_of(random, pool) for _ in range(number)]
