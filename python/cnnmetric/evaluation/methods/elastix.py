# SPDX-License-Identifier: Apache-2.0
"""Methods that share elastix's pipeline of similarity transform and B-splines: only metrics differ.

The paper's comparison (Section 3.1) is between `CNN`, `MI` and `MIMask`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cnnmetric.evaluation import presets
from cnnmetric.evaluation.alignment import Alignment
from cnnmetric.evaluation.methods.base import Method
from cnnmetric.evaluation.methods.base import Task
from cnnmetric.images import warping
from cnnmetric.images.masks import foreground_mask
from cnnmetric.plugin.components import uses_the_metric
from cnnmetric.registration import own_parameters
from cnnmetric.registration import parameter_files
from cnnmetric.registration.stages import run_stages
from cnnmetric.types import Image
from cnnmetric.types import Mask
from cnnmetric.types import ParameterObject


class ElastixMethod(Method):
    """Base of the methods below; a subclass chooses parameters, images and masks."""

    def stages(self, task: Task) -> list[tuple[str, ParameterObject]]:
        """Return name and parameters (``itk.ParameterObject``) of every stage."""
        return [(stage, self.parameters(task, stage)) for stage in presets.STAGES[task.preset]]

    def parameters(self, task: Task, stage: str) -> ParameterObject:
        """Return the parameters of one stage; by default those of mutual information."""
        return presets.parameters(task.preset, "mi", stage, task.fixed)

    def fixed_mask(self, task: Task) -> Mask | None:
        """Return the voxels of the fixed image to compare, None for all."""
        return None

    def images(self, task: Task) -> list[tuple[Image, Image]]:
        """Return a fixed and a moving image for every metric."""
        return [(task.fixed, task.moving)]

    def register(self, task: Task) -> Iterator[Alignment]:
        """Run the stages one after the other; those of a kind in a row are one step."""
        (fixed, moving), *further = self.images(task)
        stages = self.stages(task)
        for _, parameters in stages:
            parameters.SetParameter("RandomSeed", str(task.seed))
        linear = [is_linear(parameters) for _, parameters in stages]
        done = run_stages(
            fixed,
            moving,
            stages,
            further=further,
            fixed_mask=self.fixed_mask(task),
            threads=task.threads,
        )
        seconds = 0.0
        for place, stage in enumerate(done):
            seconds += stage.seconds
            if linear[place + 1 : place + 2] == [linear[place]]:
                continue
            yield Alignment(
                step="linear" if linear[place] else "deformable",
                displacement=warping.displacement_of(stage.transform, task.fixed),
                seconds=seconds,
            )
            seconds = 0.0


class MI(ElastixMethod):
    """Mutual information (Mattes)."""

    name = "mi"


class MIMask(MI):
    """Mutual information where the fixed image is above 0.01 of its maximum."""

    name = "mi+mask"

    def fixed_mask(self, task: Task) -> Mask | None:
        """Return the paper's mask."""
        return foreground_mask(task.fixed)


class NMI(MI):
    """Normalised mutual information."""

    name = "nmi"

    def parameters(self, task: Task, stage: str) -> ParameterObject:
        """Exchange the metric."""
        found = super().parameters(task, stage)
        found.SetParameter("Metric", "NormalizedMutualInformation")
        return found


class CNN(ElastixMethod):
    """The learned metric."""

    name = "cnn"

    def parameters(self, task: Task, stage: str) -> ParameterObject:
        """Name the model, if one was asked for, and say which image is which."""
        found = presets.parameters(task.preset, "cnn", stage, task.fixed)
        if task.model:
            parameter_files.choose_model(found, task.model)
        found.SetParameter("CNNMetricFixedModality", task.fixed_modality)
        return found


class CNNMask(CNN):
    """The learned metric, with the mask of `MIMask`."""

    name = "cnn+mask"

    def fixed_mask(self, task: Task) -> Mask | None:
        """Return the paper's mask."""
        return foreground_mask(task.fixed)


class ParameterFiles(ElastixMethod):
    """Parameter files of the user's own, run one after the other."""

    def __init__(self, files: list[Path]) -> None:
        self._files = files

    def stages(self, task: Task) -> list[tuple[str, ParameterObject]]:
        """Read the files; where one has the learned metric, say which image is which.

        A model that a file names stays; `Task.model` is for those that name none.
        """
        defaults = {"CNNMetricModel": task.model} if task.model else {}
        maps = own_parameters.read_all(self._files, need_the_metric=False)
        found = []
        for name, values in own_parameters.completed(maps, defaults, initial=False):
            parameters = own_parameters.as_object(values)
            if uses_the_metric(values):
                parameters.SetParameter("CNNMetricFixedModality", task.fixed_modality)
            found.append((name, parameters))
        return found


def is_linear(parameters: ParameterObject) -> bool:
    """Whether the transform of a stage is global: no B-spline or other local deformation."""
    (transform,) = parameters.GetParameter(0, "Transform")
    linear = ("Translation", "Euler", "Similarity", "Affine")
    return str(transform).startswith(linear)
