# SPDX-License-Identifier: Apache-2.0
"""The displacement field that the learned metric pulls an image by, one vector a voxel.

The metric's derivative with respect to where every voxel is taken from (Eq. 5 with a transform
that has a parameter for each component at each voxel) is computed on the complete grid, smoothed,
and followed by a small step; steps are composed. That is the greedy form of diffeomorphic
registration (Joshi et al., NeuroImage 2004; as in the Greedy software), with the learned metric as
its force and steps that no voxel's force dominates.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace

import itk
import numpy as np

from cnnmetric.errors import MetricError
from cnnmetric.images import warping
from cnnmetric.metric.network import DissimilarityNetwork
from cnnmetric.plugin import loading
from cnnmetric.plugin.iteration import Iteration
from cnnmetric.registration.content_box import ContentBox
from cnnmetric.registration.discrete.discrete_search import DiscreteSearch
from cnnmetric.registration.discrete.search import search_field
from cnnmetric.registration.field_detail import FOR_DETAIL
from cnnmetric.registration.field_detail import choose_smoothing
from cnnmetric.registration.field_force import Force
from cnnmetric.registration.field_level import FieldLevel
from cnnmetric.registration.pair_on_grids import PairOnGrids
from cnnmetric.registration.pair_on_grids import Volumes
from cnnmetric.types import Displacement
from cnnmetric.types import Field
from cnnmetric.types import Image
from cnnmetric.types import Mask
from cnnmetric.types import Transform

# Of what descent alone gains in the first level.
_CLEARLY = 0.3


def deform(
    fixed: Image,
    moving: Image,
    *,
    network: DissimilarityNetwork,
    fixed_modality: str,
    levels: Sequence[FieldLevel],
    search: DiscreteSearch | None = None,
    initial: Transform | None = None,
    fixed_mask: Mask | None = None,
    moving_mask: Mask | None = None,
    threads: int = 0,
    seed: int = 1,
    on_iteration: Callable[[Iteration], object] | None = None,
    note: Callable[[str], object] = lambda _text: None,
) -> Displacement:
    """Return the displacement that comes before the initial transform.

    Parameters
    ----------
    fixed, moving, fixed_modality, levels, search, seed, on_iteration
        As for :func:`cnnmetric.register_displacement_field`.
    network
        The model.
    initial
        ITK transform that is applied after the displacement; None for none.
    fixed_mask, moving_mask
        On the grid of their image. A patch counts where its centre is inside of both.
    threads
        Number of threads beside the network's own; 0 for all processors.
    note
        Called with what a person may want to know of the search.

    Returns
    -------
    numpy.ndarray
        ``u`` in mm on the fixed grid, so that ``T(x) = initial(x + u(x))``.

    Raises
    ------
    DataError
        If an image has no contrast.
    SettingsError
        If the model does not know the modality.
    MetricError
        If ONNX Runtime fails, or if no patch is inside of the masks.
    """
    channel = network.fixed_channel(fixed_modality)
    pair = PairOnGrids(
        fixed,
        moving,
        network=network,
        finest=min((level.grid_spacing for level in levels), default=network.spacing),
        initial=initial,
        fixed_mask=fixed_mask,
        moving_mask=moving_mask,
    )
    field = _find(
        pair,
        network=network,
        channel=channel,
        levels=levels,
        search=search,
        threads=threads,
        random=np.random.default_rng(seed),
        on_iteration=on_iteration,
        note=note,
    )
    return _on_fixed_grid(field.voxels, field.spacing, pair.box, fixed)


def _find(
    pair: PairOnGrids,
    *,
    network: DissimilarityNetwork,
    channel: int,
    levels: Sequence[FieldLevel],
    search: DiscreteSearch | None,
    threads: int,
    random: np.random.Generator,
    on_iteration: Callable[[Iteration], object] | None,
    note: Callable[[str], object],
) -> _Found:
    """Return the field of the last level; images of a level are not kept any longer."""
    field = _Found(np.zeros((*(1,) * network.dimension, network.dimension), dtype=np.float32), 1.0)
    far = None
    if search is not None:
        volumes = pair.on_grid(search)
        voxels = search_field(
            volumes,
            network=network,
            fixed_channel=channel,
            search=search,
            threads=threads,
        )
        far = _Found(voxels, search.grid_spacing)
        if not levels:
            field = far
    smoothing = FOR_DETAIL
    for number, asked in enumerate(levels):
        level = asked
        if asked.field_smoothing is None:
            level = replace(asked, field_smoothing=smoothing)
        report = _reporter(on_iteration, number, level, len(levels))
        volumes = pair.on_grid(level)
        force = Force(network, channel, volumes.fixed, random)
        field, near = _descend(volumes, field, level, force=force, threads=threads, report=report)
        if far is not None:
            try:
                # By the same force, so that their values compare.
                other, of_far = _descend(volumes, far, level, force=force, threads=threads)
                kept = _is_far_better(of_far, near)
            except MetricError:
                # It may lead out of a mask that descent alone stays in.
                if volumes.inside_fixed is None and volumes.inside_moving is None:
                    raise
                kept = False
            note(f"discrete search: {'kept' if kept else 'descent alone does as well'}")
            field, far = (other if kept else field), None
        following = levels[number + 1] if number + 1 < len(levels) else None
        # Of scores of two channels the share depends on the training.
        if following and following.chooses_smoothing and network.has_descriptors:
            choice = choose_smoothing(volumes, field.voxels, force, threads=threads)
            smoothing = choice.smoothing
            note(f"field smoothing at {following.grid_spacing:g} mm: {choice.reason}")
    return field


def _reporter(
    on_iteration: Callable[[Iteration], object] | None, number: int, level: FieldLevel, levels: int
) -> Callable[[int, float], object]:
    """Return what tells of an iteration of a level, by its number and the metric's value."""

    def report(iteration: int, value: float) -> None:
        if on_iteration is not None:
            on_iteration(
                Iteration(
                    number,
                    iteration,
                    value,
                    level.step,
                    levels=levels,
                    iterations=level.iterations,
                )
            )

    return report


@dataclass(frozen=True)
class _Found:
    """A field, and the voxel size of its grid in mm."""

    voxels: Field
    spacing: float


def _descend(
    volumes: Volumes,
    start: _Found,
    level: FieldLevel,
    *,
    force: Force,
    threads: int,
    report: Callable[[int, float], object] = lambda _iteration, _value: None,
) -> tuple[_Found, list[float]]:
    """Return the field after a level, and the metric's value in every iteration."""
    field_smoothing = level.field_smoothing
    assert field_smoothing is not None  # chosen before
    field = _resampled(start.voxels, volumes.fixed.shape, start.spacing / level.grid_spacing)
    slopes = np.stack(np.gradient(volumes.moving), axis=-1)
    values = []
    for iteration in range(level.iterations):
        warped = volumes.warped(field, threads=threads)
        value, derivative = force(iteration, warped, volumes.inside(field, threads=threads))
        # Eq. 5: where the derivative is 0, nothing is interpolated.
        update = loading.core.sample_displaced(
            slopes, field, factor=derivative, number_of_threads=threads
        )
        _smooth(update, level.update_smoothing, threads)
        if _limit(update, level.step):
            field = loading.core.sample_displaced(
                field, update, nearest=True, number_of_threads=threads
            )
            field += update
            _smooth(field, field_smoothing, threads)
        del warped, derivative, update  # before the next ones are made: a third of a level's memory
        report(iteration, value)
        values.append(value)
    return _Found(field, level.grid_spacing), values


def _is_far_better(found: Sequence[float], alone: Sequence[float]) -> bool:
    """Tell whether the metric ends clearly below where it ends without a search.

    Between images that descent aligns as well, a search that many displacements compete in ends a
    little lower on a coarse grid, and no better after the finer ones.
    """
    if not alone:
        return True
    late = slice(len(alone) // 2, None)
    without = float(np.mean(alone[late]))
    return without - float(np.mean(found[late])) > _CLEARLY * (alone[0] - without)


def _limit(update: Field, step: float) -> bool:
    """Turn a derivative into displacements down its slope, in place; False if it is 0 everywhere.

    Lengths grow with the derivative but stay below the step. Divided by the largest one, as is
    common, most voxels would hardly move, since the largest derivatives are few.
    """
    length = np.sqrt(np.einsum("...i,...i->...", update, update))
    moved = length[length > 0]
    if not moved.size:
        return False
    length += np.sqrt(np.mean(moved**2, dtype=np.float64), dtype=np.float32)
    update *= (np.float32(-step) / length)[..., np.newaxis]
    return True


def _smooth(field: Field, deviation: float, threads: int) -> None:
    if deviation:
        loading.core.smooth(field, deviation, number_of_threads=threads)


def _resampled(field: Field, shape: tuple[int, ...], magnification: float) -> Field:
    """Return a field on another grid with the same first voxel."""
    places = np.indices(shape, dtype=np.float32) / magnification
    found: Field = warping.at_places(places, field) * np.float32(magnification)
    return found


def _on_fixed_grid(field: Field, spacing: float, box: ContentBox, fixed: Image) -> Displacement:
    """Return the displacement in mm at the fixed image's voxels."""
    places = np.indices(itk.array_view_from_image(fixed).shape, dtype=np.float32)
    column = (field.shape[-1], *(1,) * field.shape[-1])
    places -= box.first.reshape(column)
    places *= (box.spacing / spacing).reshape(column)
    steps = warping.at_places(places, field) * spacing
    direction = itk.array_from_matrix(fixed.GetDirection())
    displacement: Displacement = steps[..., ::-1] @ direction.T
    return displacement
