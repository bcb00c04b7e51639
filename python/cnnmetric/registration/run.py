# SPDX-License-Identifier: Apache-2.0
"""What :func:`cnnmetric.register` does, step by step, on images that have been checked."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from typing import TypeAlias

from cnnmetric.images import warping
from cnnmetric.metric.network import DissimilarityNetwork
from cnnmetric.plugin import iteration
from cnnmetric.plugin.components import uses_the_metric
from cnnmetric.plugin.iteration import Iteration
from cnnmetric.registration import elastix_transforms
from cnnmetric.registration import grid as grids
from cnnmetric.registration import own_parameters
from cnnmetric.registration import parameter_files
from cnnmetric.registration.discrete.discrete_search import DiscreteSearch
from cnnmetric.registration.field_level import FieldLevel
from cnnmetric.registration.field_level import levels_for
from cnnmetric.registration.greedy import deform
from cnnmetric.registration.log import registration_log
from cnnmetric.registration.plan import PlannedLevel
from cnnmetric.registration.plan import PlannedStage
from cnnmetric.registration.plan import levels_of
from cnnmetric.registration.progress import display
from cnnmetric.registration.result import RegistrationResult
from cnnmetric.registration.stage import Stage
from cnnmetric.registration.stages import run_stages
from cnnmetric.report.comparison import Comparison
from cnnmetric.types import Image
from cnnmetric.types import Mask
from cnnmetric.types import ParameterObject
from cnnmetric.types import Transform

# Parameters of the shipped files that are in mm, for a model with voxels of 1 mm.
_GRID = "CNNMetricGridSpacing"
_LENGTHS = (_GRID, "FinalGridSpacingInPhysicalUnits", "MaximumStepLength")

_LINEAR = ("rigid", "similarity", "affine")

Stages: TypeAlias = Sequence[tuple[str, ParameterObject]]
"""Name and parameters of each stage of elastix."""

_logger = logging.getLogger("cnnmetric")


class RegistrationRun:
    """One registration: its images and settings, and what has been found so far.

    Parameters
    ----------
    fixed, moving
        ITK images of float, of the network's dimension.
    network
        The model, open.
    model
        Its name or file.
    fixed_modality
        What the fixed image shows, one of the model's.
    initial
        ITK transforms to start from, of which the last is applied first; none to lay the centres of
        the images on each other.
    fixed_mask, moving_mask
        On the grid of their image, or None.
    grid_spacing, device, threads, seed, on_iteration, progress, verbose
        As for :func:`cnnmetric.register`.
    """

    def __init__(
        self,
        *,
        fixed: Image,
        moving: Image,
        network: DissimilarityNetwork,
        model: str,
        fixed_modality: str,
        initial: tuple[Transform, ...],
        fixed_mask: Mask | None,
        moving_mask: Mask | None,
        grid_spacing: float | None,
        device: str,
        threads: int,
        seed: int,
        on_iteration: Callable[[Iteration], object] | None,
        progress: bool,
        verbose: bool,
    ) -> None:
        self._fixed, self._moving = fixed, moving
        self._network, self._model, self._fixed_modality = network, model, fixed_modality
        self._initial = initial
        self._fixed_mask, self._moving_mask = fixed_mask, moving_mask
        self._device, self._threads, self._seed = device, threads, seed
        self._on_iteration, self._verbose = on_iteration, verbose
        self._display = display(lines=verbose) if progress else None
        self._plan: list[PlannedStage] = []
        self._grid_spacing = grid_spacing
        self._finest_that_helps = grids.finest_that_helps(fixed, moving)
        if grid_spacing is not None:
            self._finest_that_helps = min(self._finest_that_helps, grid_spacing)
        self._notes: list[str] = []
        self._stages: list[Stage] = []
        # Of ITK, the last to be applied first; and elastix's maps, in the order of application.
        self._transforms = initial
        self._elastix: tuple[Mapping[str, Sequence[str]] | None, ...] = (None,) * len(initial)

    def choose_grid(self) -> float:
        """Return the voxel size of the finest level, in mm, and say why."""
        limit = grids.coarsest_that_fits(self._fixed, self._network)
        if self._grid_spacing is None:
            choice = grids.choose_grid(self._fixed, self._moving, self._network)
            chosen, reason = choice.spacing, choice.reason
        else:
            chosen, reason = self._grid_spacing, "as asked for"
        if chosen > limit:
            chosen, reason = limit, "the coarsest at which the fixed image holds two patches"
        self._note(f"finest grid: {chosen:g} mm ({reason})")
        return chosen

    def shipped_stages(self, names: Sequence[str], *, finest: float | None) -> Stages:
        """Return stages of the shipped parameter files, in lengths that fit model and images.

        Parameters
        ----------
        names
            Of the files, without ``cnn_``.
        finest
            Voxel size of the last level of the last stage, in mm; None for the file's own.
        """
        last = [None] * (len(names) - 1) + [finest]
        return [
            (name, self._parameters(name, last=of)) for name, of in zip(names, last, strict=True)
        ]

    def own_stages(self, maps: own_parameters.Maps, *, model: str, fixed_modality: str) -> Stages:
        """Return stages of the user's parameter maps, which say what they left out.

        Model and modality are the user's, not those of one of the maps: each may have another one.
        """
        defaults = {
            "CNNMetricModel": model,
            **({"CNNMetricFixedModality": fixed_modality} if fixed_modality else {}),
            "CNNMetricDevice": self._device,
            own_parameters.SEED: str(self._seed),
        }
        complete = own_parameters.completed(maps, defaults, initial=bool(self._initial))
        return [(name, own_parameters.as_object(values)) for name, values in complete]

    def field_levels(self, finest: float, *, smoothing: float | None) -> list[FieldLevel]:
        """Return the levels of the displacement field, in mm, down to a voxel size."""
        levels = levels_for(self._network.spacing, field_smoothing=smoothing)
        spacings = [*(max(level.grid_spacing, finest) for level in levels[:-1]), finest]
        return [
            replace(level, grid_spacing=self._bearable(spacing))
            for level, spacing in zip(levels, spacings, strict=True)
        ]

    def run(self, stages: Stages, levels: Sequence[FieldLevel]) -> None:
        """Run stages of elastix, then find a displacement for every voxel.

        Parameters
        ----------
        stages
            One after the other.
        levels
            Of the displacement field; none for no field.
        """
        self._plan = self._planned(stages, levels)
        try:
            if self._display is not None:
                self._display.start(self._plan)
            self._run_elastix(stages)
            if levels:
                self._run_field(levels)
        finally:
            if self._display is not None:
                self._display.finish()

    def _planned(self, stages: Stages, levels: Sequence[FieldLevel]) -> list[PlannedStage]:
        dimension = self._network.dimension
        maps = [(name, dict(parameters.GetParameterMap(0).items())) for name, parameters in stages]
        of_stages = [
            (name, levels_of(values, dimension), uses_the_metric(values)) for name, values in maps
        ]
        if levels:
            extent = grids.content_extent(self._fixed, self._network)
            of_field = [
                PlannedLevel(
                    iterations=level.iterations, work=(extent / level.grid_spacing) ** dimension
                )
                for level in levels
            ]
            of_stages.append(("field", tuple(of_field), True))
        return [
            PlannedStage(
                name=name, number=number, stages=len(of_stages), levels=found, reports=reports
            )
            for number, (name, found, reports) in enumerate(of_stages)
        ]

    def _run_elastix(self, stages: Stages) -> None:
        found_stages = run_stages(
            self._fixed,
            self._moving,
            stages,
            initial=self._transform(),
            fixed_mask=self._fixed_mask,
            moving_mask=self._moving_mask,
            threads=self._threads,
            verbose=self._verbose,
        )
        for name, _ in stages:
            with self._followed() as trace:
                found = next(found_stages)
            maps = elastix_transforms.parameter_maps(found.parameters)
            # A field that was sampled from elastix's transforms holds the initial ones, too.
            before = (None,) * len(self._initial)
            self._elastix = (None,) if found.sampled else (*before, *_own(maps))
            self._transforms = found.transforms
            self._finish(name, found.seconds, trace)

    def _run_field(self, levels: Sequence[FieldLevel]) -> None:
        started = time.perf_counter()
        with self._followed() as trace:
            displacement = deform(
                self._fixed,
                self._moving,
                network=self._network,
                fixed_modality=self._fixed_modality,
                initial=self._transform(),
                levels=levels,
                threads=self._threads,
                seed=self._seed,
                fixed_mask=self._fixed_mask,
                moving_mask=self._moving_mask,
                search=self._search(),
                on_iteration=iteration.current_callback(),
                note=self._note,
            )
        transform = warping.displacement_transform(displacement, self._fixed)
        self._transforms = (*self._transforms, transform)
        self._elastix = (None, *self._elastix)
        self._finish("field", time.perf_counter() - started, trace)

    def _search(self) -> DiscreteSearch | None:
        """Return the discrete search for models that are made for it."""
        if not self._network.has_descriptors:
            return None
        search = DiscreteSearch()
        factor = self._network.spacing * grids.coarser_if_large(self._fixed, self._network)
        return replace(
            search,
            grid_spacing=self._bearable(search.grid_spacing * factor),
            image_smoothing=search.image_smoothing * factor,
        )

    def result(
        self,
        *,
        restore: Callable[[Image], Any],
        settings: Mapping[str, Any],
        names: tuple[str, str] = ("", ""),
    ) -> RegistrationResult:
        """Return what has been found.

        Parameters
        ----------
        restore
            Makes an image of the fixed image's kind.
        settings
            For the log.
        names
            Of the fixed and the moving image, for people.
        """
        warped = warping.resample_image(self._moving, self._fixed, self._transform())
        return RegistrationResult(
            transforms=self._transforms,
            target=self._fixed,
            source=self._moving,
            warped=restore(warped),
            warped_image=warped,
            stages=tuple(self._stages),
            elastix=self._elastix,
            comparison=Comparison(
                model=self._model,
                fixed_modality=self._fixed_modality,
                device=self._device,
                threads=self._threads,
                initial=self._initial,
                fixed_mask=self._fixed_mask,
                moving_mask=self._moving_mask,
                fixed_name=names[0],
                moving_name=names[1],
            ),
            log=registration_log(
                settings=settings,
                images={"fixed": self._fixed, "moving": self._moving},
                notes=self._notes,
                stages=self._stages,
                device=self._network.device_report,
            ),
        )

    def _parameters(self, name: str, *, last: float | None) -> ParameterObject:
        """Return the parameters of a stage; lengths are the model's, the last grid as given."""
        parameters = parameter_files.read(
            "cnn",
            name,
            {
                "CNNMetricModel": self._model,
                "CNNMetricFixedModality": self._fixed_modality,
                "CNNMetricDevice": self._device,
                "RandomSeed": str(self._seed),
                "WriteResultImage": "false",
            },
        )
        values = dict(parameters.GetParameterMap(0).items())
        lengths = {
            key: [float(value) * self._network.spacing for value in values[key]]
            for key in _LENGTHS
            if key in values
        }
        grid = lengths[_GRID]
        if name in _LINEAR:
            factor = grids.coarser_if_large(self._fixed, self._network)
            grid = [spacing * factor for spacing in grid]
        if last is not None:
            grid = [*(max(spacing, last) for spacing in grid[:-1]), last]
        lengths[_GRID] = [self._bearable(spacing) for spacing in grid]
        for key, numbers in lengths.items():
            parameters.SetParameter(0, key, [f"{number:g}" for number in numbers])
        if self._initial and "AutomaticTransformInitialization" in values:
            # elastix would move the centres of the images onto each other once more.
            parameters.SetParameter("AutomaticTransformInitialization", "false")
        return parameters

    def _bearable(self, spacing: float) -> float:
        """Return a voxel size that the images can bear, as near to the one wanted as possible."""
        limit = grids.coarsest_that_fits(self._fixed, self._network)
        return min(max(spacing, self._finest_that_helps), limit)

    def _transform(self) -> Transform | None:
        if not self._transforms:
            return None
        return warping.composite_transform(self._transforms, self._network.dimension)

    @contextmanager
    def _followed(self) -> Iterator[list[Iteration]]:
        """Collect the iterations of the next stage, and pass each on to whoever follows."""
        trace: list[Iteration] = []
        outer = self._on_iteration or iteration.current_callback()
        stage = self._plan[len(self._stages)]
        if self._display is not None:
            self._display.start_stage(stage)

        def collect(finished: Iteration) -> None:
            level = stage.planned(finished.level)
            named = replace(
                finished,
                stage=stage.name,
                stage_number=stage.number,
                stages=stage.stages,
                levels=len(stage.levels),
                iterations=stage.levels[level].iterations,
            )
            trace.append(named)
            if self._display is not None:
                self._display.iteration(replace(named, level=level))
            if outer is not None:
                outer(named)

        with iteration.on_iteration(collect):
            yield trace

    def _finish(self, name: str, seconds: float, trace: list[Iteration]) -> None:
        transform = self._transform()
        stage = Stage(name=name, seconds=seconds, trace=tuple(trace), transform=transform)
        self._stages.append(stage)
        self._note(f"{name}: {len(trace)} iterations, {seconds:.1f} s")

    def _note(self, text: str) -> None:
        self._notes.append(text)
        _logger.info(text)
        if self._verbose:
            print(f"cnnmetric: {text}", flush=True)


def _own(maps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return elastix's maps but for that of a transform that was handed over from outside."""
    return [values for values in maps if values["Transform"] != ("ExternalTransform",)]
