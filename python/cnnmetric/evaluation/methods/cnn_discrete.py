# SPDX-License-Identifier: Apache-2.0
"""The discrete search alone, after the linear stages: what it reaches without descent."""

from __future__ import annotations

import time
from collections.abc import Iterator

import itk

from cnnmetric.evaluation.alignment import Alignment
from cnnmetric.evaluation.methods.base import Method
from cnnmetric.evaluation.methods.base import Task
from cnnmetric.evaluation.methods.cnn_field import registered
from cnnmetric.images import warping
from cnnmetric.registration.discrete.discrete_search import DiscreteSearch
from cnnmetric.registration.field import register_displacement_field


class CNNDiscrete(Method):
    """Similarity and affine transform of :func:`cnnmetric.register`, then a discrete search."""

    name = "cnn+discrete"

    def register(self, task: Task) -> Iterator[Alignment]:
        """Register; all stages before the search are one step."""
        linear = registered(task, "affine")
        yield Alignment(
            step="linear",
            displacement=warping.displacement_of(linear.transform, task.fixed),
            seconds=sum(stage.seconds for stage in linear.stages),
        )
        started = time.perf_counter()
        field = register_displacement_field(
            task.fixed,
            task.moving,
            initial=linear,
            model=task.model,
            fixed_modality=task.fixed_modality,
            levels=(),
            search=DiscreteSearch(),
            number_of_threads=task.threads,
            seed=task.seed,
        )
        yield Alignment(
            step="deformable",
            displacement=itk.array_from_image(field),
            seconds=time.perf_counter() - started,
        )
