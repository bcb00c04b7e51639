# SPDX-License-Identifier: Apache-2.0
"""Stages of a registration by elastix, one after the other, with the shipped parameter files.

Everything here goes through elastix's public Python interface, as a user writes it.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import itk

from cnnmetric.errors import MetricError
from cnnmetric.errors import RegistrationError
from cnnmetric.images import warping
from cnnmetric.registration import elastix_transforms
from cnnmetric.registration import parameter_files
from cnnmetric.types import Image
from cnnmetric.types import Mask
from cnnmetric.types import ParameterObject
from cnnmetric.types import Transform

_LOG = "elastix.log"

# A similarity transform, a B-spline (paper, Section 3.1), a finer one.
STAGES = ("similarity", "bspline", "bspline_fine")


@dataclass(frozen=True, kw_only=True)
class ElastixStage:
    """One finished stage.

    Attributes
    ----------
    name
        As it was asked for.
    parameters
        ``itk.ParameterObject`` with this stage's transform and those before it.
    transforms
        The same as ITK transforms; the last one is applied first.
    seconds
        Wall-clock time of the stage.
    """

    name: str
    parameters: ParameterObject
    transforms: tuple[Transform, ...]
    seconds: float

    @property
    def transform(self) -> Transform:
        """From points of the fixed image to points of the moving image, as one ITK transform."""
        dimension = self.transforms[0].GetInputSpaceDimension()
        return warping.composite_transform(self.transforms, dimension)


def run_stages(
    fixed: Image,
    moving: Image,
    *,
    method: str,
    stages: Sequence[str] = STAGES,
    overrides: Mapping[str, str] | None = None,
    fixed_mask: Mask | None = None,
    threads: int = 0,
    verbose: bool = False,
) -> Iterator[ElastixStage]:
    """Register two images with the shipped parameter files, yielding each stage when it is done.

    Parameters
    ----------
    fixed, moving
        ITK images of floats.
    method
        ``"cnn"`` or ``"mi"``: which of the shipped parameter files.
    stages
        Their names, in order.
    overrides
        See :func:`cnnmetric.registration.parameter_files.read`.
    fixed_mask
        Optional ITK image of unsigned char on the fixed image's grid; 0 = voxel is not used.
    threads
        Number of threads; 0 lets elastix decide.
    verbose
        Print elastix's log.

    Yields
    ------
    ElastixStage
        Each of ``stages``, when it is done.
    """
    before = None
    for name in stages:
        before = run_stage(
            fixed,
            moving,
            parameter_files.read(method, name, overrides),
            name=name,
            initial=before.parameters if before else None,
            fixed_mask=fixed_mask,
            threads=threads,
            verbose=verbose,
        )
        yield before


def run_stage(
    fixed: Image,
    moving: Image,
    parameters: ParameterObject,
    *,
    name: str,
    further: Sequence[tuple[Image, Image]] = (),
    initial: ParameterObject | Transform | None = None,
    fixed_mask: Mask | None = None,
    moving_mask: Mask | None = None,
    threads: int = 0,
    verbose: bool = False,
) -> ElastixStage:
    """Run one stage of a registration.

    Parameters
    ----------
    fixed, moving, fixed_mask, threads, verbose
        As for :func:`run_stages`; the mask of the moving image likewise.
    parameters
        ``itk.ParameterObject`` of the stage.
    name
        Of the stage that is returned.
    further
        Fixed and moving images of the second metric, the third and so on, where the parameters
        name several; none if all compare the same images.
    initial
        Transform of the stage before, elastix's or ITK's; None for the first stage.

    Raises
    ------
    RegistrationError
        If elastix fails, with the reason from its log.
    MetricError
        If the learned metric does.
    """
    registration = itk.ElastixRegistrationMethod.New(fixed, moving)
    for next_fixed, next_moving in further:
        registration.AddFixedImage(next_fixed)
        registration.AddMovingImage(next_moving)
    registration.SetParameterObject(parameters)
    registration.SetLogToConsole(verbose)
    registration.SetNumberOfThreads(threads)
    if fixed_mask is not None:
        registration.SetFixedMask(fixed_mask)
    if moving_mask is not None:
        registration.SetMovingMask(moving_mask)
    if isinstance(initial, itk.ParameterObject):
        registration.SetInitialTransformParameterObject(initial)
    elif initial is not None:
        registration.SetExternalInitialTransform(initial)
    with tempfile.TemporaryDirectory() as folder:
        registration.SetOutputDirectory(folder)
        registration.SetLogToFile(True)
        registration.SetLogFileName(_LOG)
        started = time.perf_counter()
        try:
            registration.UpdateLargestPossibleRegion()
        except MetricError:
            raise
        except RuntimeError as error:
            msg = f"elastix, stage {name}: {_reason(Path(folder) / _LOG)}"
            raise RegistrationError(msg) from error
        seconds = time.perf_counter() - started
    found = registration.GetTransformParameterObject()
    transforms = elastix_transforms.itk_transforms(registration)
    if None in transforms:  # ITK lacks one of them
        transforms = elastix_transforms.to_itk(found, fixed)
    return ElastixStage(name=name, parameters=found, transforms=tuple(transforms), seconds=seconds)


def _reason(log: Path) -> str:
    """Return what elastix's log says of the exception that it ended with."""
    text = log.read_text(encoding="utf-8", errors="replace")
    found = re.findall(r"^Description: (?:ITK ERROR: \S+: )?(.*)", text, re.MULTILINE)
    return found[-1] if found else "it failed without a reason in its log"
