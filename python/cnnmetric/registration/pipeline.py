# SPDX-License-Identifier: Apache-2.0
"""The registration pipeline: a similarity transform, a B-spline (paper, Section 3.1), a finer one.

Everything here goes through elastix's public Python interface, as a user would write it; this
module only saves the demo and the benchmarks from writing it twice. Images are ITK images, 3D, of
floats.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import itk
import numpy as np

from cnnmetric.errors import DataError
from cnnmetric.errors import MetricError
from cnnmetric.errors import RegistrationError
from cnnmetric.registration import parameter_files
from cnnmetric.registration.parameter_files import DEFAULT_MODEL

_LOG = "elastix.log"

STAGES = ("similarity", "bspline", "bspline_fine")


@dataclass(frozen=True)
class Stage:
    """One finished stage of a registration.

    Attributes
    ----------
    name
        As in :data:`STAGES`.
    transform
        ``itk.ParameterObject`` with this stage's transform and those before it; maps points of the
        fixed image to points of the moving image.
    seconds
        Wall-clock time of the stage.
    """

    name: str
    transform: Any
    seconds: float


def read_image(file: Path) -> Any:
    """Read a 3D image as floats.

    Raises
    ------
    DataError
        If the file is missing, cannot be read, or is not 3D.
    """
    return _read(file, itk.F)


def read_labels(file: Path) -> Any:
    """Read a 3D label map (0 to 32767); raises :class:`DataError` as :func:`read_image` does."""
    return _read(file, itk.SS)


def read_parameters(method: str, stage: str, overrides: Mapping[str, str] | None = None) -> Any:
    """Return the shipped parameter file ``<method>_<stage>.txt`` as an ``itk.ParameterObject``.

    Parameters
    ----------
    method
        ``"cnn"`` or ``"mi"``.
    stage
        One of :data:`STAGES`.
    overrides
        Values that replace those of the file, by parameter name.
    """
    parameters = itk.ParameterObject.New()
    parameters.AddParameterFile(str(parameter_files.path(f"{method}_{stage}")))
    for name, value in (overrides or {}).items():
        if name == "CNNMetricModel":
            choose_model(parameters, value)
        else:
            parameters.SetParameter(name, value)
    return parameters


def choose_model(parameters: Any, model: str) -> None:
    """Set the model; where it is another one than before, its block size is its own choice."""
    before = dict(parameters.GetParameterMap(0)).get("CNNMetricModel", (DEFAULT_MODEL,))
    parameters.SetParameter("CNNMetricModel", model)
    if tuple(before) != (model,):
        parameters.RemoveParameter("CNNMetricBlockSize")


def register(
    fixed: Any,
    moving: Any,
    *,
    method: str,
    stages: Sequence[str] = STAGES,
    overrides: Mapping[str, str] | None = None,
    fixed_mask: Any = None,
    threads: int = 0,
    verbose: bool = False,
) -> Iterator[Stage]:
    """Register two images with the shipped parameter files, yielding each stage when it is done.

    Parameters
    ----------
    fixed, moving
        ITK images of floats.
    method
        ``"cnn"`` or ``"mi"``: which of the shipped parameter files.
    stages
        Which of :data:`STAGES`, in their order.
    overrides
        See :func:`read_parameters`.
    fixed_mask
        Optional ITK image of unsigned char on the fixed image's grid; 0 = voxel is not used.
    threads
        Number of threads; 0 lets elastix decide.
    verbose
        Print elastix's log.

    Yields
    ------
    Stage
        Each of ``stages``, when it is done.
    """
    transform = None
    for name in stages:
        stage = register_stage(
            fixed,
            moving,
            read_parameters(method, name, overrides),
            name=name,
            initial=transform,
            fixed_mask=fixed_mask,
            threads=threads,
            verbose=verbose,
        )
        yield stage
        transform = stage.transform


def register_stage(
    fixed: Any,
    moving: Any,
    parameters: Any,
    *,
    name: str,
    further: Sequence[tuple[Any, Any]] = (),
    initial: Any = None,
    fixed_mask: Any = None,
    threads: int = 0,
    verbose: bool = False,
) -> Stage:
    """Run one stage of a registration.

    Parameters
    ----------
    fixed, moving, fixed_mask, threads, verbose
        As for :func:`register`.
    parameters
        ``itk.ParameterObject`` of the stage.
    name
        Of the stage that is returned.
    further
        Fixed and moving images of the second metric, the third and so on, where the parameters
        name several; none if all compare the same images.
    initial
        Transform of the stage before; None for the first stage.

    Raises
    ------
    RegistrationError
        If elastix fails, with the reason from its log.
    MetricError
        If the learned metric does.
    """
    registration = itk.ElastixRegistrationMethod.New(fixed, moving)
    for next_fixed, next_moving in further:
        registration.AddFixedImage(next_fixed)
        registration.AddMovingImage(next_moving)
    registration.SetParameterObject(parameters)
    registration.SetLogToConsole(verbose)
    registration.SetNumberOfThreads(threads)
    if fixed_mask is not None:
        registration.SetFixedMask(fixed_mask)
    if initial is not None:
        registration.SetInitialTransformParameterObject(initial)
    with tempfile.TemporaryDirectory() as folder:
        registration.SetOutputDirectory(folder)
        registration.SetLogToFile(True)
        registration.SetLogFileName(_LOG)
        started = time.perf_counter()
        try:
            registration.UpdateLargestPossibleRegion()
        except MetricError:
            raise
        except RuntimeError as error:
            msg = f"elastix, stage {name}: {_reason(Path(folder) / _LOG)}"
            raise RegistrationError(msg) from error
        seconds = time.perf_counter() - started
    return Stage(name, registration.GetTransformParameterObject(), seconds)


def foreground_mask(image: Any, *, threshold: float = 0.01) -> Any:
    """Return the voxels above ``threshold`` of the maximum as a mask (paper, Section 3.1)."""
    voxels = itk.array_view_from_image(image)
    mask = itk.image_from_array((voxels > threshold * voxels.max()).astype(np.uint8))
    mask.CopyInformation(image)
    return mask


def on_grid_of(image: Any, reference: Any) -> Any:
    """Resample a label map on another image's grid as the headers place it, nearest neighbour."""
    nearest = itk.NearestNeighborInterpolateImageFunction.New(image)
    return itk.resample_image_filter(
        image, interpolator=nearest, reference_image=reference, use_reference_image=True
    )


def resample_image(image: Any, grid: Any, transform: Any = None) -> Any:
    """Resample an image on the grid of another one, linearly; 0 outside of its field of view.

    Parameters
    ----------
    image
        ITK image of floats.
    grid
        ITK image whose voxels need not be there.
    transform
        elastix transform from the grid's points to the image's; None if headers align them.
    """
    if transform is None:
        return itk.resample_image_filter(
            image,
            size=itk.size(grid),
            output_spacing=grid.GetSpacing(),
            output_origin=grid.GetOrigin(),
            output_direction=grid.GetDirection(),
        )
    linear = {"FinalBSplineInterpolationOrder": "1", "DefaultPixelValue": "0"}
    return warp_image(image, _with(_on_grid(transform, grid), **linear))


def warp_image(moving: Any, transform: Any) -> Any:
    """Resample the moving image on the fixed image's grid by ``transform``."""
    return itk.transformix_filter(moving, transform, log_to_console=False)


def warp_labels(labels: Any, transform: Any) -> Any:
    """Resample a label map of the moving image on the fixed image's grid, nearest neighbour."""
    return itk.transformix_filter(
        labels,
        _with(transform, FinalBSplineInterpolationOrder="0", ResultImagePixelType="short"),
        log_to_console=False,
    )


def displacement_field(
    moving: Any, transform: Any, grid: Any = None
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return ``T(x) - x`` at every voxel of the fixed grid, or of that of the image ``grid``.

    Returns
    -------
    numpy.ndarray
        Shape (z, y, x, 3) of the fixed image; components in patient axes (ITK x, y, z), in mm.
    """
    if grid is not None:
        transform = _on_grid(transform, grid)
    transformix = _transformix(moving, transform)
    transformix.SetComputeDeformationField(True)
    with tempfile.TemporaryDirectory() as folder:  # it writes the field to a file as well
        transformix.SetOutputDirectory(folder)
        transformix.Update()
        return np.array(itk.array_view_from_image(transformix.GetOutputDeformationField()))


def folded_share(moving: Any, transform: Any) -> float:
    """Return the share of the fixed image's voxels at which ``det J_T <= 0``."""
    with tempfile.TemporaryDirectory() as folder:
        transformix = _transformix(moving, _with(transform, ResultImageFormat="nii"))
        transformix.SetComputeDeterminantOfSpatialJacobian(True)
        transformix.SetOutputDirectory(folder)
        transformix.Update()
        determinant = itk.array_from_image(itk.imread(str(Path(folder) / "spatialJacobian.nii")))
    return float((determinant <= 0).mean())


def _reason(log: Path) -> str:
    """Return what elastix's log says of the exception that it ended with."""
    text = log.read_text(encoding="utf-8", errors="replace")
    found = re.findall(r"^Description: (?:ITK ERROR: \S+: )?(.*)", text, re.MULTILINE)
    return found[-1] if found else "it failed without a reason in its log"


def _read(file: Path, pixel_type: Any) -> Any:
    if not Path(file).is_file():
        msg = f"there is no image file {file}"
        raise DataError(msg)
    try:
        image = itk.imread(str(file), pixel_type)
    except RuntimeError as error:
        msg = f"{file} cannot be read as an image: {str(error).strip().splitlines()[-1]}"
        raise DataError(msg) from error
    if image.GetImageDimension() != 3:
        msg = f"{file} has {image.GetImageDimension()} dimensions; a 3D image is needed"
        raise DataError(msg)
    return image


def _with(transform: Any, **values: str) -> Any:
    changed = itk.ParameterObject.New()
    changed.SetParameterMaps(transform.GetParameterMaps())
    for name, value in values.items():
        changed.SetParameter(name, value)
    return changed


def _on_grid(transform: Any, grid: Any) -> Any:
    """Return the transform with the voxels of an image as those that a result is computed for."""
    direction = itk.array_from_matrix(grid.GetDirection())
    geometry = {
        "Size": itk.size(grid),
        "Index": [0, 0, 0],
        "Spacing": grid.GetSpacing(),
        "Origin": grid.GetOrigin(),
        "Direction": direction.T.ravel(),  # elastix lists columns
    }
    changed = itk.ParameterObject.New()
    changed.SetParameterMaps(transform.GetParameterMaps())
    for place in range(changed.GetNumberOfParameterMaps()):
        for name, values in geometry.items():
            changed.SetParameter(place, name, [str(value) for value in values])
    return changed


def _transformix(moving: Any, transform: Any) -> Any:
    transformix = itk.TransformixFilter.New(moving)
    transformix.SetTransformParameterObject(transform)
    transformix.SetLogToConsole(False)
    return transformix
