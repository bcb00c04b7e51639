# SPDX-License-Identifier: Apache-2.0
"""Deformable registration by the learned metric with a displacement field instead of a B-spline.

The metric's derivative with respect to where every voxel is taken from (Eq. 5 with a transform
that has three parameters for each voxel) is computed on the complete grid, smoothed, and followed
by a small step; steps are composed. That is the greedy form of diffeomorphic registration
(Joshi et al., NeuroImage 2004; as in the Greedy software), with the learned metric as its force.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from pathlib import Path
from typing import Any

import itk
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.ndimage import map_coordinates

from cnnmetric.errors import DataError
from cnnmetric.metric.network import DissimilarityNetwork
from cnnmetric.plugin.iteration import Iteration
from cnnmetric.registration import pipeline
from cnnmetric.registration.parameter_files import DEFAULT_MODEL

Volume = NDArray[np.float32]  # axes z, y, x
Field = NDArray[np.float32]  # 3, z, y, x: displacement along z, y, x in voxels
_TRUNCATE = 3.0  # standard deviations
_CONTENT = 0.01  # of the range of intensities
ANY = "any"


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
        Length of the largest displacement of one iteration, in voxels of the level.
    update_smoothing
        Standard deviation of the Gaussian that each step is filtered with, in voxels of the level:
        resistance against change, as of a fluid.
    field_smoothing
        Same of the whole field, after every step: resistance against deformation, as of a solid.
    """

    grid_spacing: float
    iterations: int
    image_smoothing: float = 0.0
    step: float = 0.5
    update_smoothing: float = 3.0
    field_smoothing: float = 0.8

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name in ("grid_spacing", "step"):
            if not getattr(self, name) > 0:
                msg = f"{name} of a level is {getattr(self, name)} but must be above 0"
                raise DataError(msg)
        for name in ("iterations", "image_smoothing", "update_smoothing", "field_smoothing"):
            if not getattr(self, name) >= 0:
                msg = f"{name} of a level is {getattr(self, name)} but must not be below 0"
                raise DataError(msg)


# In voxels of the model's size.
LEVELS = (
    FieldLevel(grid_spacing=2.0, iterations=30, image_smoothing=0.8),
    FieldLevel(grid_spacing=1.0, iterations=40),
    FieldLevel(grid_spacing=0.7, iterations=30),
)


def register_displacement_field(
    fixed: Any,
    moving: Any,
    *,
    initial: Any = None,
    model: str | Path = DEFAULT_MODEL,
    fixed_modality: str = "",
    levels: Sequence[FieldLevel] | None = None,
    device: str = "auto",
    number_of_threads: int = 0,
    seed: int = 1,
    on_iteration: Callable[[Iteration], object] | None = None,
) -> Any:
    """Register two images, from an alignment that is right up to about a centimetre.

    Parameters
    ----------
    fixed, moving
        ITK images of float, 3D.
    initial
        elastix transform (``itk.ParameterObject``) to start from, for example that of the shipped
        ``cnn_similarity`` and ``cnn_affine``; None if the headers align the images.
    model
        Name of an installed model, or path of an ``.onnx`` file.
    fixed_modality
        Which of the model's modalities the fixed image is; empty for its first one.
    levels
        From coarse to fine; None for three with 2, 1 and 0.7 times the model's voxel size.
    device, number_of_threads
        As the ``CNNMetric...`` parameters of these names (docs/parameters.md).
    seed
        Of the random place of the patch grid in each iteration.
    on_iteration
        Called after every iteration; an exception that it raises stops the registration.

    Returns
    -------
    itk.Image[itk.Vector[itk.F, 3], 3]
        Displacement ``T(x) - x`` in mm along the patient axes (ITK x, y, z) at every voxel x of the
        fixed image, the initial transform included: for ``itk.warp_image_filter`` and most other
        software.

    Raises
    ------
    ModelError
        If the model cannot be used.
    DataError
        If an image is of another type or has no contrast, or the model does not know the modality.
    MetricError
        If ONNX Runtime fails.

    Examples
    --------
    >>> field = cnnmetric.register_displacement_field(fixed, moving, initial=transform)
    >>> warped = itk.warp_image_filter(
    ...     moving, displacement_field=field, output_parameters_from_image=fixed
    ... )
    """
    _check_images(fixed, moving)
    network = DissimilarityNetwork(model, device=device, number_of_threads=number_of_threads)
    force = _Force(network, _fixed_is_first(network, fixed_modality), seed)
    if levels is None:
        levels = [_scaled(level, network.spacing) for level in LEVELS]
    images = [_normalised(network, image) for image in (fixed, moving)]
    box = _Box(fixed, margin=network.receptive_field * network.spacing)
    field, before = np.zeros((3, 1, 1, 1), dtype=np.float32), 1.0
    for number, level in enumerate(levels):
        grid = box.grid(level.grid_spacing)
        field = _resampled(field, grid.shape, before / level.grid_spacing)
        smooth = [_smoothed(image, level.image_smoothing) for image in images]
        fixed_volume = _volume(pipeline.resample_image(smooth[0], grid.image()))
        moving_volume = _volume(pipeline.resample_image(smooth[1], grid.image(), initial))
        slopes = np.stack(np.gradient(moving_volume))
        for iteration in range(level.iterations):
            places = _places(field)
            value, derivative = force(fixed_volume, _at(places, moving_volume))
            update = -derivative * np.stack([_at(places, slope) for slope in slopes])
            update = _filtered(update, level.update_smoothing)
            largest = float(np.sqrt((update**2).sum(axis=0)).max())
            if largest > 0:
                update *= level.step / largest
                places = _places(update)
                field = update + np.stack([_at(places, c, mode="nearest") for c in field])
                field = _filtered(field, level.field_smoothing)
            if on_iteration is not None:
                on_iteration(Iteration(number, iteration, value, level.step))
        before = level.grid_spacing
    return _on_fixed_grid(field, before, box, fixed, moving, initial)


class _Force:
    """The metric's value, and its derivative by the warped intensities."""

    def __init__(self, network: DissimilarityNetwork, fixed_is_first: bool, seed: int) -> None:
        self._network = network
        self._fixed_is_first = fixed_is_first
        self._random = np.random.default_rng(seed)

    def __call__(self, fixed: Volume, warped: Volume) -> tuple[float, Volume]:
        # Patches lie a stride apart. Another start each time treats all voxels alike, on average.
        start = self._random.integers(0, self._network.stride, 3)
        part = tuple(slice(int(first), None) for first in start)
        pair = (fixed[part], warped[part])
        result = self._network.map_and_gradient(
            *(pair if self._fixed_is_first else pair[::-1]),
            normalised=True,
            gradients_wanted=(not self._fixed_is_first, self._fixed_is_first),
        )
        derivative = np.zeros_like(warped)
        derivative[part] = result.gradient_second if self._fixed_is_first else result.gradient_first
        return float(result.dissimilarity_map.mean()), derivative


class _Box:
    """The part of the fixed image that has content, with a margin."""

    def __init__(self, fixed: Any, *, margin: float) -> None:
        self.spacing = np.array(fixed.GetSpacing())[::-1]
        above = itk.array_view_from_image(fixed) - itk.array_view_from_image(fixed).min()
        inside = np.argwhere(above > _CONTENT * above.max())
        self.first = inside.min(axis=0) - margin / self.spacing  # in voxels, z, y, x
        self.extent = (inside.max(axis=0) - self.first) * self.spacing + margin  # in mm
        self._fixed = fixed

    def grid(self, spacing: float) -> _Grid:
        """Return the grid of cubes that fills the box."""
        shape = tuple(int(n) for n in np.ceil(self.extent / spacing))
        axes = itk.array_from_matrix(self._fixed.GetDirection())
        corner = np.array(self._fixed.GetOrigin()) + axes @ (self.first * self.spacing)[::-1]
        return _Grid(shape, spacing, corner.tolist(), self._fixed.GetDirection())


@dataclass(frozen=True)
class _Grid:
    shape: tuple[int, ...]  # z, y, x
    spacing: float
    origin: list[float]
    direction: Any

    def image(self) -> Any:
        """Return an image without content on the grid."""
        image = itk.Image[itk.F, 3].New()
        image.SetRegions([int(n) for n in self.shape[::-1]])
        image.SetSpacing([self.spacing] * 3)
        image.SetOrigin(self.origin)
        image.SetDirection(self.direction)
        return image


def _check_images(fixed: Any, moving: Any) -> None:
    for role, image in (("fixed", fixed), ("moving", moving)):
        if not isinstance(image, itk.Image[itk.F, 3]):
            msg = (
                f"the {role} image is a {type(image).__name__} but must be an itk.Image[itk.F, 3]; "
                "cast it first (itk.cast_image_filter)"
            )
            raise DataError(msg)


def _fixed_is_first(network: DissimilarityNetwork, fixed_modality: str) -> bool:
    known = network.modalities
    if not fixed_modality or known[0] in (fixed_modality, ANY):
        return True
    if known[1] in (fixed_modality, ANY):
        return False
    msg = f"fixed_modality {fixed_modality!r} is not a modality of the model {known}"
    raise DataError(msg)


def _scaled(level: FieldLevel, spacing: float) -> FieldLevel:
    return replace(
        level,
        grid_spacing=level.grid_spacing * spacing,
        image_smoothing=level.image_smoothing * spacing,
    )


def _normalised(network: DissimilarityNetwork, image: Any) -> Any:
    found = itk.image_from_array(network.normalise(itk.array_view_from_image(image)))
    found.CopyInformation(image)
    return found


def _smoothed(image: Any, deviation: float) -> Any:
    if not deviation:
        return image
    sigma = deviation / np.array(image.GetSpacing())[::-1]
    voxels = gaussian_filter(itk.array_view_from_image(image), sigma, truncate=_TRUNCATE)
    found = itk.image_from_array(voxels)
    found.CopyInformation(image)
    return found


def _volume(image: Any) -> Volume:
    found: Volume = np.clip(itk.array_from_image(image), 0.0, 1.0)
    return found


def _places(field: Field) -> Field:
    """Return where every voxel is displaced to."""
    return np.indices(field.shape[1:], dtype=np.float32) + field


def _at(places: Field, volume: Volume, *, mode: str = "constant") -> Volume:
    """Return the volume there, interpolated linearly; 0 outside, or as at the border (nearest)."""
    found: Volume = map_coordinates(volume, places, order=1, mode=mode)
    return found


def _filtered(field: Field, deviation: float) -> Field:
    if not deviation:
        return field
    return np.stack([gaussian_filter(c, deviation, truncate=_TRUNCATE) for c in field])


def _resampled(field: Field, shape: tuple[int, ...], magnification: float) -> Field:
    """Return a field on another grid with the same first voxel."""
    places = np.indices(shape, dtype=np.float32) / magnification
    components = [_at(places, component, mode="nearest") for component in field]
    return np.stack([component * np.float32(magnification) for component in components])


def _on_fixed_grid(
    field: Field, spacing: float, box: _Box, fixed: Any, moving: Any, initial: Any
) -> Any:
    """Return the displacement in mm at the fixed image's voxels, after the initial transform."""
    voxels = np.indices(itk.array_view_from_image(fixed).shape, dtype=np.float32)
    column = (3, 1, 1, 1)
    places = (voxels - box.first.reshape(column)) * (box.spacing / spacing).reshape(column)
    steps = [_at(places, component, mode="nearest") * spacing for component in field]
    direction = itk.array_from_matrix(fixed.GetDirection())
    displacement = np.stack(steps[::-1], axis=-1) @ direction.T
    if initial is not None:
        places = voxels + np.stack(steps) / box.spacing.reshape(column)
        first = np.moveaxis(pipeline.displacement_field(moving, initial, fixed), -1, 0)
        displacement += np.stack([_at(places, c, mode="nearest") for c in first], axis=-1)
    result = itk.Image[itk.Vector[itk.F, 3], 3].New()
    result.SetRegions(itk.size(fixed))
    result.CopyInformation(fixed)
    result.Allocate()
    itk.array_view_from_image(result)[:] = displacement
    return result
