# SPDX-License-Identifier: Apache-2.0
"""A result whose transform is a formula, without a registration."""

from __future__ import annotations

from typing import Any

import itk
import numpy as np
from numpy.typing import NDArray

from cnnmetric.images import warping
from cnnmetric.registration.log import registration_log
from cnnmetric.registration.result import RegistrationResult
from support.metric_images import moved_subject
from support.metric_images import points_of
from support.metric_images import subject

# In the fixed image, mm: well away from all planes of symmetry.
POINT = np.array([[6.0, -4.0, 5.0], [-3.5, 8.0, -2.0]])
_MATRIX = np.array([[1.02, 0.05, 0.0], [-0.04, 0.97, 0.03], [0.0, 0.02, 1.01]])
_OFFSET = np.array([2.0, -1.5, 3.0])
_STRAIN = np.array([[0.01, 0.02, 0.0], [0.0, -0.03, 0.01], [0.015, 0.0, 0.02]])


def truth(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where points of the fixed image lie in the moving image."""
    bent = points + points @ _STRAIN.T
    found: NDArray[np.float64] = bent @ _MATRIX.T + _OFFSET
    return found


def known_result() -> RegistrationResult:
    """Return an affine transform after a displacement field that is exact between voxels."""
    fixed = subject("T1", size=(44, 48, 40), spacing=(1.1, 1.0, 1.2), angle=0.2)
    moving = moved_subject(angle=0.08, shift=_OFFSET)
    affine = itk.AffineTransform[itk.D, 3].New()
    affine.SetMatrix(itk.matrix_from_array(_MATRIX))
    affine.SetOffset(_OFFSET.tolist())
    field = warping.displacement_transform(points_of(fixed) @ _STRAIN.T, fixed)
    composite = warping.composite_transform([affine, field], 3)
    images: dict[str, Any] = {"fixed": fixed, "moving": moving}
    warped = warping.resample_image(moving, fixed, composite)
    return RegistrationResult(
        transforms=(affine, field),
        target=fixed,
        source=moving,
        warped=warped,
        warped_image=warped,
        stages=(),
        elastix=(None, None),
        log=registration_log(settings={}, images=images, notes=(), stages=(), device="none"),
    )
