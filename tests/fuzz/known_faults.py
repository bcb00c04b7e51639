# SPDX-License-Identifier: Apache-2.0
"""Faults of the software that the package stands on, with the input that shows each."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import itk

from fuzz.oracles import check_finite
from fuzz.pictures import pair
from fuzz.processes import EndedError
from fuzz.processes import in_child
from support.elastix_runs import final_parameters
from support.elastix_runs import parameters
from support.elastix_runs import register


@dataclass(frozen=True, kw_only=True)
class KnownFault:
    """A fault that is not the package's to mend.

    Attributes
    ----------
    name
        For the count.
    reason
        Why it is none of the package's.
    kind
        Of the cases that have it.
    what, text
        Patterns of the input and of what is wrong.
    example
        Shows the fault without cnnmetric.
    """

    name: str
    reason: str
    kind: str
    what: str
    text: str
    example: Callable[[], object]


def _parameters_of_no_transform() -> None:
    image_type = itk.Image[itk.F, 3]
    metric = itk.MeanSquaresImageToImageMetricv4[image_type, image_type].New()
    metric.SetMovingTransform(None)
    metric.GetNumberOfParameters()


def _steps_without_bound() -> None:
    endless = {"SP_A": "-1", "MaximumNumberOfIterations": "1"}
    settings = parameters("none", Metric="AdvancedMeanSquares", ImageSampler="Full", **endless)
    check_finite(final_parameters(register(*pair(), settings)))


KNOWN_FAULTS: tuple[KnownFault, ...] = (
    KnownFault(
        name="ITK: parameters of no transform",
        reason="a metric of ITKv4 asks its moving transform, and looks not whether there is one",
        kind="calls",
        what=r"^v4: .*no transform(?!.*(translation|affine|field|composite).*number).*number",
        text="crashes: SIGSEGV",
        example=_parameters_of_no_transform,
    ),
    KnownFault(
        name="elastix: steps without bound",
        reason="elastix divides by the sum of SP_A, the number of iterations and 1, maybe 0",
        kind="params",
        what=r"'SP_A': \['-1'",
        text="the result holds (nan|-?inf)",
        example=_steps_without_bound,
    ),
)


def shows(fault: KnownFault, folder: Path) -> bool:
    """Run the example of a fault in a process of its own, and tell whether it is there still."""
    try:
        list(in_child(lambda _: fault.example(), folder))
    except EndedError as ended:
        return re.search(fault.text, str(ended)) is not None
    return False


def name_of(kind: str, what: str, text: str) -> str:
    """Return the name of the known fault that a case shows; empty if it is another one."""
    for fault in KNOWN_FAULTS:
        if fault.kind == kind and re.search(fault.what, what) and re.search(fault.text, text):
            return fault.name
    return ""
