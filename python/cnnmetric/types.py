# SPDX-License-Identifier: Apache-2.0
"""Names for the classes of ITK that functions take and return.

ITK's Python packages have no type information, so that to a type checker all of these are ``Any``;
to a reader they say what is meant. Points and vectors are in mm along ITK's axes x, y, z; arrays of
voxels have NumPy's order z, y, x.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from typing import Any
from typing import Literal
from typing import TypeAlias

if TYPE_CHECKING:  # not needed to run, and a help text comes sooner without
    import numpy as np
    from numpy.typing import NDArray

Image: TypeAlias = Any
"""``itk.Image`` of one number a voxel, 2D or 3D; of ``itk.F`` where nothing else is said."""

LabelMap: TypeAlias = Any
"""``itk.Image`` of whole numbers, 0 for the background."""

Mask: TypeAlias = Any
"""``itk.Image`` of ``itk.UC``; voxels that are not 0 count."""

VectorImage: TypeAlias = Any
"""``itk.Image`` of ``itk.Vector``: a displacement in mm (x, y, z) at every voxel."""

Transform: TypeAlias = Any
"""``itk.Transform`` of doubles, from points of the fixed to points of the moving image."""

ParameterObject: TypeAlias = Any
"""``itk.ParameterObject``: elastix's parameters of a registration, or of the transform found."""

Volume: TypeAlias = "NDArray[np.float32]"
"""Intensities of an image, axes z, y, x (2D: y, x)."""

Field: TypeAlias = "NDArray[np.float32]"
"""Displacement in voxels along z, y, x; shape (z, y, x, 3) (2D: (y, x, 2))."""

Displacement: TypeAlias = "NDArray[np.floating[Any]]"
"""``T(x) - x`` in mm at every voxel, shape (z, y, x, 3); components x, y, z (2D: likewise)."""

Deformation: TypeAlias = Literal["field", "bspline", "affine", "similarity", "rigid"]
"""What a registration may do to the moving image, from a vector for every voxel to a motion."""

Points: TypeAlias = "NDArray[np.floating[Any]]"
"""Positions in mm, shape (n, dimension); components x, y, z."""
