# SPDX-License-Identifier: Apache-2.0
"""MIND, the modality independent neighbourhood descriptor, in elastix's pipeline.

Heinrich et al., Medical Image Analysis 16 (2012) 1423-1435, the rival of the paper's Appendix A:
how alike the patch around x is to those around its six neighbours depends little on the contrast
that an image shows its tissues in. The two images' descriptors are compared by mean squares,
one elastix metric for each of the six.
"""

from __future__ import annotations

from typing import Any

import itk
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from cnnmetric.evaluation.methods.base import Task
from cnnmetric.evaluation.methods.elastix import ElastixMethod
from cnnmetric.types import Image
from cnnmetric.types import ParameterObject

# z, y, x; the paper's "six-neighborhood search region".
NEIGHBOURS = ((0, 0, 1), (0, 0, -1), (0, 1, 0), (0, -1, 0), (1, 0, 0), (-1, 0, 0))
SIGMA = 0.5  # voxels, the paper's choice


def mind(image: NDArray[np.floating[Any]], *, sigma: float = SIGMA) -> NDArray[np.float32]:
    """Return the descriptor of every voxel.

    With ``D(x, r)`` the Gaussian-weighted squared difference between the patches around x and
    x + r and ``V(x)`` its mean over the six r, ``MIND(x, r) = exp(-D / V) / max over r`` (Heinrich
    et al. 2012, Eq. 4 to 6). Voxels beyond the border repeat the outermost ones.

    Parameters
    ----------
    image
        Intensities ``(nz, ny, nx)``.
    sigma
        Of the patches' weights, in voxels.

    Returns
    -------
    numpy.ndarray
        ``(6, nz, ny, nx)``, from 0 to 1.
    """
    values = np.asarray(image, dtype=np.float32)
    padded = np.pad(values, 1, mode="edge")
    distances = np.stack(
        [
            gaussian_filter((values - _shifted(padded, offset)) ** 2, sigma, mode="nearest")
            for offset in NEIGHBOURS
        ]
    )
    variance = distances.mean(axis=0)
    # Where nothing varies, as in an empty background, or hardly.
    variance = np.clip(variance, 1e-3 * variance.mean(), 1e3 * variance.mean())
    distances -= distances.min(axis=0)  # which makes the largest value 1
    found: NDArray[np.float32] = np.exp(
        -distances / np.maximum(variance, np.finfo(np.float32).tiny)
    )
    return found


class MIND(ElastixMethod):
    """MIND with mean squares."""

    name = "mind"

    def images(self, task: Task) -> list[tuple[Image, Image]]:
        """Return the six descriptor images of both."""
        return list(zip(_descriptors(task.fixed), _descriptors(task.moving), strict=True))

    def parameters(self, task: Task, stage: str) -> ParameterObject:
        """Exchange the metric for six, one for each pair of descriptor images."""
        found = super().parameters(task, stage)
        number = len(NEIGHBOURS)
        found.SetParameter("Registration", "MultiMetricMultiResolutionRegistration")
        found.SetParameter(0, "Metric", ["AdvancedMeanSquares"] * number)
        # By more than one thread, elastix 5.3.1 ends in a segmentation fault with several of these.
        found.SetParameter("UseMultiThreadingForMetrics", "false")
        for name in ("FixedImagePyramid", "MovingImagePyramid", "Interpolator", "ImageSampler"):
            found.SetParameter(0, name, list(found.GetParameter(0, name)) * number)
        return found


def _shifted(padded: NDArray[np.float32], offset: tuple[int, int, int]) -> NDArray[np.float32]:
    return padded[
        tuple(slice(1 + step, n - 1 + step) for step, n in zip(offset, padded.shape, strict=True))
    ]


def _descriptors(image: Image) -> list[Image]:
    found = []
    for channel in mind(itk.array_view_from_image(image)):
        descriptor = itk.image_from_array(np.ascontiguousarray(channel))
        descriptor.CopyInformation(image)
        found.append(descriptor)
    return found
