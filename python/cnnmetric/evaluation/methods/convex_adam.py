# SPDX-License-Identifier: Apache-2.0
"""ConvexAdam with MIND-SSC, from Greedy's affine alignment.

Siebert et al., IEEE Transactions on Medical Imaging (2024): discrete optimisation on a coarse grid,
then Adam. It has no linear step of its own.
"""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Iterator
from typing import Any

import itk
import numpy as np
from numpy.typing import NDArray

from cnnmetric.evaluation.alignment import Alignment
from cnnmetric.evaluation.methods.base import Task
from cnnmetric.evaluation.methods.greedy import Greedy
from cnnmetric.images import warping
from cnnmetric.types import Image


class ConvexAdam(Greedy):
    """ConvexAdam's MIND variant with the settings of its authors for brains."""

    name = "convexadam"
    packages = (*Greedy.packages, "convexAdam", "torch")

    def register(self, task: Task) -> Iterator[Alignment]:
        """Take Greedy's affine step, and go on from there on the fixed image's grid."""
        import torch
        from convexAdam.convex_adam_MIND import convex_adam_pt

        linear = next(iter(super().register(task)))
        yield linear
        torch.set_num_threads(task.threads)
        torch.manual_seed(task.seed)
        started = time.perf_counter()
        transform = warping.displacement_transform(linear.displacement, task.fixed)
        aligned = warping.resample_image(task.moving, task.fixed, transform)
        with contextlib.redirect_stdout(io.StringIO()):  # it warns that there is no GPU
            voxels = convex_adam_pt(
                itk.array_from_image(task.fixed),
                itk.array_from_image(aligned),
                mind_r=1,
                mind_d=2,
                lambda_weight=2.0,
                grid_sp=6,
                disp_hw=3,
                selected_niter=80,
                dtype=torch.float32,
                device=torch.device("cpu"),
            )
        seconds = time.perf_counter() - started
        displacement = warping.composed(in_mm(voxels, task.fixed), linear.displacement, task.fixed)
        yield Alignment(step="deformable", displacement=displacement, seconds=seconds)


def in_mm(voxels: NDArray[np.floating[Any]], fixed: Image) -> NDArray[np.float64]:
    """Return a displacement along the grid (voxels; z, y, x) along the patient's axes (mm)."""
    along_grid = voxels[..., ::-1] * np.asarray(fixed.GetSpacing())
    found: NDArray[np.float64] = along_grid @ np.asarray(fixed.GetDirection()).T
    return found
