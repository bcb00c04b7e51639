# SPDX-License-Identifier: Apache-2.0
"""The learned metric with a displacement field, which follows more than a B-spline can."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import itk

from cnnmetric.evaluation.alignment import Alignment
from cnnmetric.evaluation.methods.base import Method
from cnnmetric.evaluation.methods.base import Task
from cnnmetric.images import warping
from cnnmetric.registration.register import register
from cnnmetric.registration.result import RegistrationResult
from cnnmetric.types import Deformation


class CNNField(Method):
    """:func:`cnnmetric.register` as it is: similarity, affine transform, displacement field."""

    name = "cnn+field"
    field_smoothing: ClassVar[float | None] = None

    def register(self, task: Task) -> Iterator[Alignment]:
        """Register; all stages before the displacement field are one step."""
        result = registered(task, "field", field_smoothing=self.field_smoothing)
        *linear, field = result.stages
        yield Alignment(
            step="linear",
            displacement=warping.displacement_of(linear[-1].transform, task.fixed),
            seconds=sum(stage.seconds for stage in linear),
        )
        yield Alignment(
            step="deformable",
            displacement=itk.array_from_image(result.displacement),
            seconds=field.seconds,
        )


class CNNSmoothField(CNNField):
    """The same with the resistance against deformation that two images of one subject need."""

    name = "cnn+smooth"
    field_smoothing = 2.0


def registered(
    task: Task, deformation: Deformation, *, field_smoothing: float | None = None
) -> RegistrationResult:
    """Return what :func:`cnnmetric.register` makes of a task."""
    return register(
        task.fixed,
        task.moving,
        fixed_modality=task.fixed_modality,
        model=task.model,
        deformation=deformation,
        field_smoothing=field_smoothing,
        threads=task.threads,
        seed=task.seed,
    )
