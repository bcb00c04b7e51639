# SPDX-License-Identifier: Apache-2.0
"""The learned metric with a displacement field, which follows more than a B-spline can."""

from __future__ import annotations

import time
from collections.abc import Iterator

import itk
import numpy as np

from cnnmetric.evaluation.alignment import Alignment
from cnnmetric.evaluation.methods.base import Method
from cnnmetric.evaluation.methods.base import Task
from cnnmetric.evaluation.methods.elastix import name_model
from cnnmetric.registration import pipeline
from cnnmetric.registration.field import register_displacement_field


class CNNField(Method):
    """Similarity and affine transform in elastix, then a displacement field, all by one model."""

    name = "cnn+field"

    def register(self, task: Task) -> Iterator[Alignment]:
        """Run the three stages; the first two are one step."""
        transform, seconds = None, 0.0
        for name in ("similarity", "affine"):
            parameters = pipeline.read_parameters("cnn", name)
            parameters.SetParameter("RandomSeed", str(task.seed))
            name_model(parameters, task)
            stage = pipeline.register_stage(
                task.fixed,
                task.moving,
                parameters,
                name=name,
                initial=transform,
                threads=task.threads,
            )
            transform = stage.transform
            seconds += stage.seconds
        yield Alignment(
            step="linear",
            displacement=pipeline.displacement_field(task.moving, transform),
            seconds=seconds,
        )
        started = time.perf_counter()
        field = register_displacement_field(
            task.fixed,
            task.moving,
            initial=transform,
            model=task.model,
            fixed_modality=task.fixed_modality,
            number_of_threads=task.threads,
            seed=task.seed,
        )
        yield Alignment(
            step="deformable",
            displacement=np.array(itk.array_view_from_image(field)),
            seconds=time.perf_counter() - started,
        )
