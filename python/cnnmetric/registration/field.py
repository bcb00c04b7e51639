# SPDX-License-Identifier: Apache-2.0
"""Deformable registration by the learned metric with a displacement field, on its own."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cnnmetric.errors import SettingsError
from cnnmetric.errors import refuse
from cnnmetric.images import warping
from cnnmetric.images.conversion import as_itk
from cnnmetric.images.conversion import optional_mask
from cnnmetric.metric import arguments
from cnnmetric.metric.network import DissimilarityNetwork
from cnnmetric.plugin.iteration import Iteration
from cnnmetric.plugin.package_data import DEFAULT_MODEL
from cnnmetric.registration import grid as grids
from cnnmetric.registration.checks import check_images
from cnnmetric.registration.discrete.discrete_search import DiscreteSearch
from cnnmetric.registration.field_level import FieldLevel
from cnnmetric.registration.field_level import levels_for
from cnnmetric.registration.greedy import deform
from cnnmetric.registration.initial import initial_transforms
from cnnmetric.types import VectorImage


def register_displacement_field(
    fixed: Any,
    moving: Any,
    *,
    initial: Any = None,
    model: str | Path = DEFAULT_MODEL,
    fixed_modality: str = "",
    fixed_mask: Any = None,
    moving_mask: Any = None,
    levels: Sequence[FieldLevel] | None = None,
    search: DiscreteSearch | None = None,
    device: str = "auto",
    number_of_threads: int = 0,
    seed: int = 1,
    on_iteration: Callable[[Iteration], object] | None = None,
) -> VectorImage:
    """Register two images, from an alignment that is right up to about a centimetre.

    :func:`cnnmetric.register` finds such an alignment first, and returns more.

    Parameters
    ----------
    fixed, moving, fixed_mask, moving_mask, initial
        As for :func:`cnnmetric.register`: images, masks and transforms of any kind. Without an
        initial transform, the headers align the images.
    model
        Name of an installed model, or path of an ``.onnx`` file.
    fixed_modality
        Which of the model's modalities the fixed image is; empty for its first one.
    levels
        From coarse to fine; None for three with 2, 1 and 0.7 times the model's voxel size, but not
        finer than 0.8 times the images' voxels. The last of these chooses its field smoothing.
    search
        Search over whole displacements, for images that are further apart; None for none. What it
        finds is kept where the metric is clearly lower after the first level than without; without
        levels, always. Made for models that describe each image by itself
        (:attr:`cnnmetric.DissimilarityNetwork.has_descriptors`); others take minutes.
    device, number_of_threads
        As the ``CNNMetric...`` parameters of these names (docs/reference/parameters.md).
    seed
        Of the random place of the patch grids in each level.
    on_iteration
        Called after every iteration; an exception that it raises stops the registration.

    Returns
    -------
    itk.Image[itk.Vector[itk.F, 3], 3]
        Displacement ``T(x) - x`` in mm along the patient axes (ITK x, y, z) at every voxel x of the
        fixed image, the initial transform included: for ``itk.warp_image_filter`` and most other
        software. Its first voxel has the index 0, at the place of the fixed image's first one.

    Raises
    ------
    ModelError
        If the model cannot be used.
    DataError
        If an image, a mask or the initial transform cannot be used, or the images do not overlap.
    SettingsError
        If another argument cannot be used, or the model does not know the modality.
    MetricError
        If ONNX Runtime fails, or no patch is inside of the masks.

    Examples
    --------
    >>> field = cnnmetric.register_displacement_field(fixed, moving, initial=transform)
    >>> warped = itk.warp_image_filter(
    ...     moving, displacement_field=field, output_parameters_from_image=fixed
    ... )
    """
    _check_levels(levels)
    if search is not None and not isinstance(search, DiscreteSearch):
        refuse("search", search, "a cnnmetric.DiscreteSearch, or None")
    arguments.callback("on_iteration", on_iteration)
    arguments.seed_of(seed)
    fixed_image = as_itk(fixed, role="fixed image").image
    moving_image = as_itk(moving, role="moving image").image
    network = DissimilarityNetwork(model, device=device, number_of_threads=number_of_threads)
    check_images(fixed_image, moving_image, network)
    transforms = initial_transforms(initial, fixed_image, moving_image)
    before = None
    if transforms:
        before = warping.composite_transform(transforms, network.dimension)
    if levels is None:
        least = grids.finest_that_helps(fixed_image, moving_image)
        levels = [
            replace(level, grid_spacing=max(level.grid_spacing, least))
            for level in levels_for(network.spacing)
        ]
    displacement = deform(
        fixed_image,
        moving_image,
        network=network,
        fixed_modality=fixed_modality,
        initial=before,
        fixed_mask=optional_mask(fixed_mask, fixed_image, role="fixed mask"),
        moving_mask=optional_mask(moving_mask, moving_image, role="moving mask"),
        levels=levels,
        search=search,
        threads=number_of_threads,
        seed=seed,
        on_iteration=on_iteration,
    )
    if before is not None:
        transform = warping.displacement_transform(displacement, fixed_image)
        whole = warping.composite_transform([*transforms, transform], network.dimension)
        displacement = warping.displacement_of(whole, fixed_image)
    return warping.vector_image(displacement, fixed_image)


def _check_levels(levels: Any) -> None:
    if levels is None:
        return
    given = isinstance(levels, Sequence) and not isinstance(levels, str)
    if not given or not all(isinstance(level, FieldLevel) for level in levels):
        msg = (
            f"levels is {levels!r:.200} but must be a list of cnnmetric.FieldLevel, as "
            "[cnnmetric.FieldLevel(grid_spacing=2.0, iterations=30)]"
        )
        raise SettingsError(msg)
