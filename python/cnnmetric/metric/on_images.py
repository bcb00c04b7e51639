# SPDX-License-Identifier: Apache-2.0
"""The metric outside of a registration: value, derivative and dissimilarity map of two images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import itk
import numpy as np
from numpy.typing import NDArray

from cnnmetric.errors import DataError
from cnnmetric.images.conversion import as_itk
from cnnmetric.images.conversion import optional_mask
from cnnmetric.metric import arguments
from cnnmetric.metric.maps import Maps
from cnnmetric.metric.maps import maps_from
from cnnmetric.plugin.loading import core
from cnnmetric.types import Image


class MetricOnImages:
    """What elastix computes in one resolution, for any parameters of one of its transforms.

    Runs the same code as a registration, without pyramid and optimizer: for metric curves (paper,
    Figure 3), dissimilarity maps (Figure 1) and tests of the derivative.

    Parameters
    ----------
    fixed, moving
        Images of any kind that :func:`cnnmetric.register` takes, 2D or 3D.
    model
        Name of an installed model, or path of an ``.onnx`` file.
    fixed_modality
        Which of the model's modalities the fixed image is; empty for its first one.
    fixed_mask, moving_mask
        Images of any kind and type; voxels that are not 0 count.
    transform
        ``"translation"``, ``"euler"``, ``"similarity"``, ``"affine"``, ``"bspline"`` or
        ``"recursive_bspline"``: elastix's transform of that kind, with elastix's parameters
        (millimetres and radians, ITK's x, y, z).
    transform_fixed_parameters
        ITK's fixed parameters, for example the centre of rotation in mm, or size, origin, spacing
        and direction of a B-spline grid.
    interpolation_order
        Of the moving image: 1 for linear, 3 for cubic B-spline.
    sampling
        ``"Full"`` or ``"Blocks"``.
    number_of_blocks, block_size, grid_spacing, device, number_of_threads
        As the ``CNNMetric...`` parameters of these names; a grid spacing of 0 is the model's own.
    required_ratio
        As RequiredRatioOfValidSamples.
    seed
        Of the random blocks.

    Raises
    ------
    ModelError
        If the model cannot be used.
    MetricError
        If the images or masks cannot be compared.
    DataError
        If an image or mask cannot be used, or the images differ in dimension.
    SettingsError
        If another argument is of a wrong type or out of range.

    Examples
    --------
    >>> metric = cnnmetric.MetricOnImages(t1, t2, model="t1t2-fine", transform="translation")
    >>> value, derivative = metric.value_and_derivative([0.0, 0.0, 1.5])
    """

    def __init__(
        self,
        fixed: Any,
        moving: Any,
        *,
        model: str | Path,
        fixed_modality: str = "",
        fixed_mask: Any = None,
        moving_mask: Any = None,
        transform: str = "translation",
        transform_fixed_parameters: Sequence[float] = (),
        interpolation_order: int = 1,
        sampling: str = "Full",
        number_of_blocks: int = 8,
        block_size: int | None = None,
        grid_spacing: float = 0.0,
        device: str = "auto",
        number_of_threads: int = 0,
        required_ratio: float = 0.25,
        seed: int = 121212,
    ) -> None:
        arguments.choice("sampling", sampling, ("Full", "Blocks"))
        self._fixed = as_itk(fixed, role="fixed image").image
        image = as_itk(moving, role="moving image").image
        dimension = self._fixed.GetImageDimension()
        if image.GetImageDimension() != dimension:
            msg = (
                f"the fixed image is {dimension}D and the moving image "
                f"{image.GetImageDimension()}D; both must be 2D or both 3D"
            )
            raise DataError(msg)
        implementation = core.MetricOnArrays2D if dimension == 2 else core.MetricOnArrays3D
        self._implementation = implementation(
            fixed=itk.array_view_from_image(self._fixed),
            fixed_geometry=_geometry(self._fixed),
            moving=itk.array_view_from_image(image),
            moving_geometry=_geometry(image),
            fixed_mask=_mask_array(fixed_mask, self._fixed, "fixed mask"),
            moving_mask=_mask_array(moving_mask, image, "moving mask"),
            transform=arguments.text("transform", transform, right="the name of a transform"),
            transform_fixed_parameters=arguments.numbers(
                "transform_fixed_parameters", transform_fixed_parameters
            ),
            interpolation_order=arguments.whole_number(
                "interpolation_order", interpolation_order, smallest=0, largest=5
            ),
            settings=arguments.compiled_settings(
                core,
                model=model,
                fixed_modality=fixed_modality,
                sampling=sampling,
                number_of_blocks=number_of_blocks,
                block_size=block_size,
                grid_spacing=grid_spacing,
                device=device,
                number_of_threads=number_of_threads,
            ),
            required_ratio=arguments.number("required_ratio", required_ratio, largest=1.0),
            seed=arguments.seed_of(seed),
        )

    def __reduce__(self) -> str:
        """Refuse to be pickled or copied."""
        raise TypeError(arguments.not_copied(self, "from the same images and settings"))

    @property
    def number_of_parameters(self) -> int:
        """Number of parameters of the transform."""
        return int(self._implementation.number_of_parameters)

    def value(self, parameters: Sequence[float]) -> float:
        """Return M: the weighted mean dissimilarity over the patches (Eq. 2)."""
        return float(self._implementation.value(arguments.numbers("parameters", parameters)))

    def value_and_derivative(
        self, parameters: Sequence[float]
    ) -> tuple[float, NDArray[np.float64]]:
        """Return M and dM/dtheta (Eq. 5), of shape ``(number_of_parameters,)``."""
        value, derivative = self._implementation.value_and_derivative(
            arguments.numbers("parameters", parameters)
        )
        return value, np.asarray(derivative)

    def maps(self, parameters: Sequence[float]) -> Maps:
        """Return dissimilarity and derivative place by place, over the whole image (Figure 1)."""
        lattices = self._implementation.maps(arguments.numbers("parameters", parameters))
        return maps_from(lattices, self._fixed.GetDirection())

    def draw_new_blocks(self) -> None:
        """Use other random blocks from now on, as a new iteration with NewSamplesEveryIteration."""
        self._implementation.draw_new_blocks()

    def describe(self) -> str:
        """Return the line that a registration writes to its log."""
        return str(self._implementation.describe())


def _mask_array(given: Any, grid: Image, role: str) -> NDArray[np.uint8] | None:
    mask = optional_mask(given, grid, role=role)
    return None if mask is None else itk.array_from_image(mask)


def _geometry(image: Image) -> Any:
    return core.Geometry(
        spacing=list(image.GetSpacing()),
        origin=list(image.GetOrigin()),
        direction=np.asarray(image.GetDirection()).ravel().tolist(),
    )
