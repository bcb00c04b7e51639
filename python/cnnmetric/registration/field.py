# SPDX-License-Identifier: Apache-2.0
"""Deformable registration by the learned metric with a displacement field, on its own."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
from pathlib import Path

import itk

from cnnmetric.errors import DataError
from cnnmetric.images import warping
from cnnmetric.metric.network import DissimilarityNetwork
from cnnmetric.plugin.iteration import Iteration
from cnnmetric.plugin.package_data import DEFAULT_MODEL
from cnnmetric.registration import elastix_transforms
from cnnmetric.registration.field_level import FieldLevel
from cnnmetric.registration.field_level import levels_for
from cnnmetric.registration.greedy import deform
from cnnmetric.types import Image
from cnnmetric.types import ParameterObject
from cnnmetric.types import Transform
from cnnmetric.types import VectorImage


def register_displacement_field(
    fixed: Image,
    moving: Image,
    *,
    initial: ParameterObject | Transform | None = None,
    model: str | Path = DEFAULT_MODEL,
    fixed_modality: str = "",
    levels: Sequence[FieldLevel] | None = None,
    device: str = "auto",
    number_of_threads: int = 0,
    seed: int = 1,
    on_iteration: Callable[[Iteration], object] | None = None,
) -> VectorImage:
    """Register two images, from an alignment that is right up to about a centimetre.

    :func:`cnnmetric.register` finds such an alignment first, and returns more.

    Parameters
    ----------
    fixed, moving
        ITK images of float, 2D or 3D as the model.
    initial
        Transform to start from, elastix's (``itk.ParameterObject``) or ITK's, for example that of
        the shipped ``cnn_similarity`` and ``cnn_affine``; None if the headers align the images.
    model
        Name of an installed model, or path of an ``.onnx`` file.
    fixed_modality
        Which of the model's modalities the fixed image is; empty for its first one.
    levels
        From coarse to fine; None for three with 2, 1 and 0.7 times the model's voxel size.
    device, number_of_threads
        As the ``CNNMetric...`` parameters of these names (docs/reference/parameters.md).
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
        If an image is of another type or has no contrast.
    SettingsError
        If the model does not know the modality.
    MetricError
        If ONNX Runtime fails.

    Examples
    --------
    >>> field = cnnmetric.register_displacement_field(fixed, moving, initial=transform)
    >>> warped = itk.warp_image_filter(
    ...     moving, displacement_field=field, output_parameters_from_image=fixed
    ... )
    """
    network = DissimilarityNetwork(model, device=device, number_of_threads=number_of_threads)
    _check_images(fixed, moving, network.dimension)
    before = initial
    if isinstance(initial, itk.ParameterObject):
        transforms = elastix_transforms.to_itk(initial, fixed)
        before = warping.composite_transform(transforms, network.dimension)
    displacement = deform(
        fixed,
        moving,
        network=network,
        fixed_modality=fixed_modality,
        initial=before,
        levels=levels_for(network.spacing) if levels is None else levels,
        seed=seed,
        on_iteration=on_iteration,
    )
    if before is not None:
        first = warping.displacement_of(before, fixed)
        displacement = warping.composed(displacement, first, fixed)
    return warping.vector_image(displacement, fixed)


def _check_images(fixed: Image, moving: Image, dimension: int) -> None:
    wanted = itk.Image[itk.F, dimension]
    for role, image in (("fixed", fixed), ("moving", moving)):
        if not isinstance(image, wanted):
            msg = (
                f"the {role} image is a {type(image).__name__} but must be an "
                f"itk.Image[itk.F, {dimension}] for this model; cast it first "
                "(itk.cast_image_filter)"
            )
            raise DataError(msg)
