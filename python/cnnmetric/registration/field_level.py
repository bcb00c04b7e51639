# SPDX-License-Identifier: Apache-2.0
"""The levels of resolution of a displacement field."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import replace

from cnnmetric.errors import SettingsError
from cnnmetric.metric import arguments

_LENGTHS = ("grid_spacing", "step", "image_smoothing", "update_smoothing", "field_smoothing")
_LARGEST = 1000.0  # mm or voxels: more is no length within an image


@dataclass(frozen=True, kw_only=True)
class FieldLevel:
    """One level of resolution.

    Attributes
    ----------
    grid_spacing
        Voxel size of images and field, in mm.
    iterations
        How many steps.
    image_smoothing
        Standard deviation of the Gaussian that images are filtered with, in mm.
    step
        Length, in voxels of the level, that no displacement of one iteration exceeds. A force of
        average length moves by half of it, a stronger one by more, a weaker one by less.
    update_smoothing
        Standard deviation of the Gaussian that each step is filtered with, in voxels of the level:
        resistance against change, as of a fluid.
    field_smoothing
        Same of the whole field, after every step: resistance against deformation, as of a solid.
        None: 1, or 2 where a model that describes each image by itself has shown at the level
        before that it does not need the detail, as between two images of one subject. That was
        tried out on levels as :data:`LEVELS` has them, of which the last one chooses.
    """

    grid_spacing: float
    iterations: int
    image_smoothing: float = 0.0
    step: float = 0.5
    update_smoothing: float = 3.0
    field_smoothing: float | None = 1.0

    def __post_init__(self) -> None:
        """Check the numbers."""
        given = [
            name
            for name in _LENGTHS
            if name != "field_smoothing" or self.field_smoothing is not None
        ]
        for name in given:
            arguments.real(f"{name} of a level", getattr(self, name))
        arguments.whole("iterations of a level", self.iterations)
        for name in ("grid_spacing", "step"):
            if not getattr(self, name) > 0:
                msg = f"{name} of a level is {getattr(self, name)} but must be above 0"
                raise SettingsError(msg)
        for name in ("iterations", *given):
            if not getattr(self, name) >= 0:
                msg = f"{name} of a level is {getattr(self, name)} but must not be below 0"
                raise SettingsError(msg)
        for name in given:
            if getattr(self, name) > _LARGEST:
                msg = f"{name} of a level is {getattr(self, name)} but must be at most {_LARGEST:g}"
                raise SettingsError(msg)

    @property
    def chooses_smoothing(self) -> bool:
        """Whether the level before decides how its field is smoothed."""
        return self.field_smoothing is None and self.iterations > 0


# In voxels of the model's size. The finer the grid, the more of the detail is to be trusted.
LEVELS = (
    FieldLevel(grid_spacing=2.0, iterations=8, image_smoothing=0.8, update_smoothing=5.0),
    FieldLevel(grid_spacing=1.0, iterations=14, update_smoothing=4.0),
    FieldLevel(grid_spacing=0.7, iterations=10, update_smoothing=2.5, field_smoothing=None),
)


def levels_for(spacing: float, *, field_smoothing: float | None = None) -> tuple[FieldLevel, ...]:
    """Return :data:`LEVELS` in mm, for a model of a voxel size.

    Parameters
    ----------
    spacing
        The model's voxel size, in mm.
    field_smoothing
        Of all levels, in voxels; None for their own.
    """
    return tuple(
        replace(
            level,
            grid_spacing=level.grid_spacing * spacing,
            image_smoothing=level.image_smoothing * spacing,
            field_smoothing=level.field_smoothing if field_smoothing is None else field_smoothing,
        )
        for level in LEVELS
    )
