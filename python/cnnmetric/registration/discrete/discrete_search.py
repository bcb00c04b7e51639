# SPDX-License-Identifier: Apache-2.0
"""Settings of the discrete search."""

from __future__ import annotations

from dataclasses import dataclass

from cnnmetric.errors import SettingsError
from cnnmetric.metric import arguments

_LARGEST = 1000  # mm or voxels: more is no length within an image


@dataclass(frozen=True, kw_only=True)
class DiscreteSearch:
    """A search over whole displacements, before the levels of a displacement field.

    Control points lie a stride of the model apart. Each one weighs all displacements of whole
    voxels, so that none is caught in a local minimum within :attr:`radius`.

    Attributes
    ----------
    grid_spacing
        Voxel size of the images, in mm.
    radius
        Largest displacement along an axis, in voxels. Time grows with its cube.
    image_smoothing
        Standard deviation of the Gaussian that images are filtered with, in mm.
    field_smoothing
        Of the Gaussian that couples neighbouring control points, in their distance.
    """

    grid_spacing: float = 2.0
    radius: int = 5
    image_smoothing: float = 0.8
    field_smoothing: float = 0.7

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name in ("grid_spacing", "image_smoothing", "field_smoothing"):
            arguments.real(f"{name} of a search", getattr(self, name))
        arguments.whole("radius of a search", self.radius)
        for name in ("grid_spacing", "field_smoothing"):
            if not 0 < getattr(self, name) <= _LARGEST:
                msg = (
                    f"{name} of a search is {getattr(self, name)} but must be above 0 and at most "
                    f"{_LARGEST}"
                )
                raise SettingsError(msg)
        if not 0 <= self.image_smoothing <= _LARGEST:
            msg = (
                f"image_smoothing of a search is {self.image_smoothing} but must be from 0 to "
                f"{_LARGEST}"
            )
            raise SettingsError(msg)
        if not 1 <= self.radius <= _LARGEST:
            msg = (
                f"radius of a search is {self.radius!r} but must be a whole number from 1 to "
                f"{_LARGEST}"
            )
            raise SettingsError(msg)
