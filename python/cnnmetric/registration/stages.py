# SPDX-License-Identifier: Apache-2.0
"""Stages of a registration by elastix, one after the other.

Everything here goes through elastix's public Python interface, as a user writes it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass

import itk

from cnnmetric.errors import MetricError
from cnnmetric.errors import RegistrationError
from cnnmetric.images import warping
from cnnmetric.plugin import elastix_log
from cnnmetric.registration import elastix_transforms
from cnnmetric.types import Image
from cnnmetric.types import Mask
from cnnmetric.types import ParameterObject
from cnnmetric.types import Transform

# Of the shipped files: a similarity transform, a B-spline (paper, Section 3.1), a finer one.
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
    sampled
        Whether ``transforms`` is one displacement field for all of elastix's, because ITK lacks one
        of them or the way in which they are combined.
    seconds
        Wall-clock time of the stage.
    """

    name: str
    parameters: ParameterObject
    transforms: tuple[Transform, ...]
    sampled: bool
    seconds: float

    @property
    def transform(self) -> Transform:
        """From points of the fixed image to points of the moving image, as one ITK transform."""
        dimension = self.transforms[0].GetInputSpaceDimension()
        return warping.composite_transform(self.transforms, dimension)


def run_stages(
    fixed: Image,
    moving: Image,
    stages: Iterable[tuple[str, ParameterObject]],
    *,
    further: Sequence[tuple[Image, Image]] = (),
    initial: Transform | None = None,
    fixed_mask: Mask | None = None,
    moving_mask: Mask | None = None,
    threads: int = 0,
    verbose: bool = False,
) -> Iterator[ElastixStage]:
    """Register two images in stages, each from where the one before ended.

    Parameters
    ----------
    fixed, moving
        ITK images of floats.
    stages
        Name and parameters (``itk.ParameterObject``) of each.
    further
        Fixed and moving images of the second metric, the third and so on, where the parameters
        name several; none if all compare the same images.
    initial
        ITK transform that the first stage starts from; None for none.
    fixed_mask, moving_mask
        ITK images of unsigned char on the grid of their image; 0 = voxel is not used.
    threads
        Number of threads; 0 lets elastix decide.
    verbose
        Print elastix's log.

    Yields
    ------
    ElastixStage
        Each of ``stages``, when it is done.

    Raises
    ------
    RegistrationError
        If elastix fails, with the reason from its log.
    MetricError
        If the learned metric does.
    """
    before: ParameterObject | Transform | None = initial
    for name, parameters in stages:
        stage = run_stage(
            fixed,
            moving,
            parameters,
            name=name,
            further=further,
            initial=before,
            fixed_mask=fixed_mask,
            moving_mask=moving_mask,
            threads=threads,
            verbose=verbose,
        )
        before = stage.parameters
        yield stage


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
    """Run one stage; arguments as for :func:`run_stages`.

    Parameters
    ----------
    fixed, moving, further, fixed_mask, moving_mask, threads, verbose
        See there.
    parameters, name
        Of the stage.
    initial
        Transform that it starts from, elastix's or ITK's; None for none.

    Raises
    ------
    RegistrationError, MetricError
        See there.
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
    with elastix_log.log_in(registration) as log:
        started = time.perf_counter()
        try:
            registration.UpdateLargestPossibleRegion()
        except MetricError:
            raise
        except RuntimeError as error:
            reason = elastix_log.reason_in(log) or "it failed without a reason in its log"
            msg = f"elastix, stage {name}: {reason}"
            raise RegistrationError(msg) from error
        seconds = time.perf_counter() - started
    found = registration.GetTransformParameterObject()
    transforms = elastix_transforms.itk_transforms(registration)
    sampled = None in transforms or elastix_transforms.adds(found)
    if sampled:
        displacement = elastix_transforms.sampled(found, fixed)
        transforms = [warping.displacement_transform(displacement, fixed)]
    return ElastixStage(
        name=name,
        parameters=found,
        transforms=tuple(transforms),
        sampled=sampled,
        seconds=seconds,
    )
