# SPDX-License-Identifier: Apache-2.0
"""Greedy: affine, then diffeomorphic registration, both by normalised mutual information."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from cnnmetric.evaluation.alignment import Alignment
from cnnmetric.evaluation.methods.base import Method
from cnnmetric.evaluation.methods.base import Task
from cnnmetric.evaluation.methods.program import call
from cnnmetric.evaluation.methods.program import read_displacement
from cnnmetric.evaluation.methods.program import write_images


class Greedy(Method):
    """Greedy with settings that are usual for brains."""

    name = "greedy"
    packages: ClassVar[tuple[str, ...]] = ("picsl_greedy",)

    def register(self, task: Task) -> Iterator[Alignment]:
        """Run Greedy's two steps."""
        fixed, moving = write_images(task.fixed, task.moving, task.folder)
        affine, warp = task.folder / "affine.mat", task.folder / "warp.nii.gz"
        everywhere = f"-d 3 -threads {task.threads}"
        common = f"{everywhere} -i {fixed} {moving} -m NMI -n 100x50x20"
        for step, command, transforms in (
            ("linear", f"{common} -a -ia-image-centers -o {affine}", f"{affine}"),
            ("deformable", f"{common} -it {affine} -s 4vox 1.5vox -o {warp}", f"{warp} {affine}"),
        ):
            field = task.folder / f"{step}.nii.gz"
            compose = f"{everywhere} -rf {fixed} -r {transforms} -rc {field}"
            done = call("greedy_commands.py", command, compose, threads=task.threads)
            yield Alignment(
                step=step, displacement=read_displacement(field), seconds=done["seconds"]
            )
