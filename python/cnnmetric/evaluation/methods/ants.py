# SPDX-License-Identifier: Apache-2.0
"""ANTs: affine, then symmetric normalisation (SyN), both by mutual information."""

from __future__ import annotations

from collections.abc import Iterator

from cnnmetric.evaluation.alignment import Alignment
from cnnmetric.evaluation.methods.base import Method
from cnnmetric.evaluation.methods.base import Task
from cnnmetric.evaluation.methods.program import call
from cnnmetric.evaluation.methods.program import read_displacement
from cnnmetric.evaluation.methods.program import write_images


class ANTs(Method):
    """ANTsPy's ``"Affine"`` and ``"SyNOnly"`` with their default settings."""

    name = "ants"
    packages = ("ants",)

    def register(self, task: Task) -> Iterator[Alignment]:
        """Run ANTs' two steps."""
        images = write_images(task.fixed, task.moving, task.folder)
        initial = ""
        for step, kind in (("linear", "Affine"), ("deformable", "SyNOnly")):
            field = task.folder / f"{step}.nii.gz"
            done = call(
                "ants_registration.py",
                *images,
                kind,
                task.seed,
                task.folder / step,
                field,
                initial,
                threads=task.threads,
            )
            initial = done["transform"]
            yield Alignment(
                step=step, displacement=read_displacement(field), seconds=done["seconds"]
            )
