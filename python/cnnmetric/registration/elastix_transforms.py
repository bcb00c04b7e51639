# SPDX-License-Identifier: Apache-2.0
"""Transforms of elastix as ITK's, and ITK's as files that transformix reads."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path

import itk
import numpy as np

from cnnmetric.errors import DataError
from cnnmetric.images import warping
from cnnmetric.types import Displacement
from cnnmetric.types import Image
from cnnmetric.types import ParameterObject
from cnnmetric.types import Transform

ParameterMap = Mapping[str, Sequence[str]]

# A registration of no iteration: elastix makes ITK's transforms only of those that it holds.
_NO_REGISTRATION = {
    "Registration": ["MultiResolutionRegistration"],
    "NumberOfResolutions": ["1"],
    "FixedImagePyramid": ["FixedSmoothingImagePyramid"],
    "MovingImagePyramid": ["MovingSmoothingImagePyramid"],
    "Transform": ["TranslationTransform"],
    "AutomaticTransformInitialization": ["false"],
    "AutomaticScalesEstimation": ["false"],
    "Metric": ["AdvancedMeanSquares"],
    "ImageSampler": ["Full"],
    "RequiredRatioOfValidSamples": ["0"],
    "Optimizer": ["RegularStepGradientDescent"],
    "MaximumNumberOfIterations": ["0"],
    "Interpolator": ["LinearInterpolator"],
    "ResampleInterpolator": ["FinalLinearInterpolator"],
    "Resampler": ["DefaultResampler"],
    "WriteResultImage": ["false"],
}
_EDGE = 4  # voxels of the images of that registration
# Before elastix 5.2 and since; each ignores what it does not know. The older one looks for a file
# that is named without its folder where it is started, the newer one beside the file that names it.
_INITIAL = ("InitialTransformParametersFileName", "InitialTransformParameterFileName")

_NO_INITIAL = "NoInitialTransform"
_DIRECTIONS = "UseDirectionCosines"
_COMBINATION, _COMPOSE = "HowToCombineTransforms", "Compose"  # elastix adds for all other words


def to_itk(transform: ParameterObject, fixed: Image) -> list[Transform]:
    """Return the ITK transforms of an elastix transform, the last of which is applied first.

    Parameters
    ----------
    transform
        As elastix returns it, with those before it.
    fixed
        The fixed image. What has no counterpart in ITK, such as a spline kernel or a transform
        that is added to the one before it, becomes a displacement field on its grid.

    Raises
    ------
    DataError
        If it is none, is of another dimension than the image, or elastix cannot read it.
    """
    _check_maps(transform, fixed)
    values = np.random.default_rng(0).random((_EDGE,) * fixed.GetImageDimension())
    image = itk.image_from_array(values.astype(np.float32))
    parameters = itk.ParameterObject.New()
    parameters.AddParameterMap(_NO_REGISTRATION)
    registration = itk.ElastixRegistrationMethod.New(image, image)
    registration.SetParameterObject(parameters)
    registration.SetInitialTransformParameterObject(transform)
    registration.SetLogToConsole(False)
    try:
        registration.UpdateLargestPossibleRegion()
    except RuntimeError as error:
        msg = "elastix cannot read the transform; give the one that a registration returned"
        raise DataError(msg) from error
    _, *found = itk_transforms(registration)  # without the translation, which is zero
    if None in found or adds(transform):
        return [warping.displacement_transform(sampled(transform, fixed), fixed)]
    return found


def _check_maps(transform: ParameterObject, fixed: Image) -> None:
    """Refuse maps that are of no transform, or of another dimension than the fixed image."""
    for values in parameter_maps(transform):
        if not values.get("TransformParameters") and values.get("NumberOfParameters") != ("0",):
            msg = (
                "the initial transform is no transform of elastix: it has no TransformParameters; "
                "give a TransformParameters file, not a file of parameters"
            )
            raise DataError(msg)
        found = values.get("FixedImageDimension")
        if found:
            check_dimension(int(found[0]), fixed)


def check_dimension(found: int, fixed: Image) -> None:
    """Refuse an initial transform of another dimension than the fixed image."""
    dimension = fixed.GetImageDimension()
    if found != dimension:
        msg = f"the initial transform is {found}D and the fixed image {dimension}D"
        raise DataError(msg)


def adds(transform: ParameterObject) -> bool:
    """Tell whether one of the transforms is added to those before it, not composed with them."""
    maps = parameter_maps(transform)[1:]
    return any((values.get(_COMBINATION) or (_COMPOSE,))[0] != _COMPOSE for values in maps)


def uses_directions(transform: ParameterObject) -> bool:
    """Tell whether all transforms were made with the direction cosines of the images."""
    maps = parameter_maps(transform)
    return all(values.get(_DIRECTIONS, ("true",))[0] == "true" for values in maps)


def itk_transforms(registration: object) -> list[Transform]:
    """Return the transforms of a finished registration of elastix, the last to be applied first.

    Those that ITK does not have are None.
    """
    method: Transform = registration
    found: list[Transform] = []
    for number in range(method.GetNumberOfTransforms()):
        try:
            converted = method.ConvertToItkTransform(method.GetNthTransform(number))
        except RuntimeError:  # of a displacement field
            converted = None
        found += [None] if converted is None else warping.flattened([converted])
    return found


def sampled(transform: ParameterObject, grid: Image) -> Displacement:
    """Return the displacement of an elastix transform on a grid, by transformix."""
    transformix = itk.TransformixFilter.New(grid)
    transformix.SetTransformParameterObject(on_grid(transform, grid))
    transformix.SetLogToConsole(False)
    transformix.SetComputeDeformationField(True)
    with tempfile.TemporaryDirectory() as folder:  # it writes the field to a file as well
        transformix.SetOutputDirectory(folder)
        transformix.Update()
        return np.array(itk.array_view_from_image(transformix.GetOutputDeformationField()))


def on_grid(transform: ParameterObject, grid: Image) -> ParameterObject:
    """Return an elastix transform whose result is computed for the voxels of an image."""
    changed = itk.ParameterObject.New()
    changed.SetParameterMaps(transform.GetParameterMaps())
    for place in range(changed.GetNumberOfParameterMaps()):
        for name, values in geometry_of(grid).items():
            changed.SetParameter(place, name, values)
        # The images of a registration in Python have their directions whatever this says, and
        # transformix is wrong without them.
        changed.SetParameter(place, _DIRECTIONS, "true")
    return changed


def geometry_of(grid: Image) -> dict[str, list[str]]:
    """Return the parameters of elastix that place an image."""
    direction = itk.array_from_matrix(grid.GetDirection())
    geometry = {
        "Size": itk.size(grid),
        "Index": [0] * grid.GetImageDimension(),
        "Spacing": grid.GetSpacing(),
        "Origin": grid.GetOrigin(),
        "Direction": direction.T.ravel(),  # elastix lists columns
    }
    return {name: [str(value) for value in values] for name, values in geometry.items()}


def parameter_maps(parameters: ParameterObject) -> list[dict[str, tuple[str, ...]]]:
    """Return elastix's parameter maps, in order."""
    number = parameters.GetNumberOfParameterMaps()
    # Of the items, because a name that is no UTF-8 finds nothing when it is looked up.
    return [dict(parameters.GetParameterMap(place).items()) for place in range(number)]


def read_chain(file: Path) -> ParameterObject:
    """Read a transform file of elastix, and those before it that it names.

    Raises
    ------
    DataError
        If one of them is missing or cannot be read.
    """
    files = [file]
    maps: list[dict[str, tuple[str, ...]]] = []
    while True:
        parameters = itk.ParameterObject.New()
        try:
            parameters.ReadParameterFile(str(files[-1]))
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            msg = f"{files[-1]} cannot be read as a transform of elastix: {reason}"
            raise DataError(msg) from error
        maps.insert(0, dict(parameters.GetParameterMap(0).items()))
        # Without a value, a parameter counts as not given.
        names = [maps[0][name][0] for name in reversed(_INITIAL) if maps[0].get(name)]
        if not names or names[0] in ("", _NO_INITIAL):
            break
        before = Path(names[0])
        beside = files[-1].parent / before.name
        files.append(before if before.is_absolute() and before.is_file() else beside)
        if files[-1] in files[:-1] or not files[-1].is_file():
            msg = f"{files[-2]} names {names[0]} as its initial transform, which is not there"
            raise DataError(msg)
    chain = itk.ParameterObject.New()
    for values in maps:
        chain.AddParameterMap({name: v for name, v in values.items() if name not in _INITIAL})
    return chain


def is_linear(transform: Transform) -> bool:
    """Tell whether an ITK transform is a matrix and an offset."""
    return bool(transform.IsLinear())


def affine_of(transform: Transform, dimension: int) -> Transform:
    """Return a linear ITK transform as ``itk.AffineTransform``."""
    origin = np.zeros(dimension)
    mapped = warping.map_points(transform, np.vstack([origin, np.eye(dimension)]))
    affine = itk.AffineTransform[itk.D, dimension].New()
    affine.SetMatrix(itk.matrix_from_array(np.ascontiguousarray((mapped[1:] - mapped[0]).T)))
    affine.SetOffset(mapped[0].tolist())
    return affine


def affine_map(transform: Transform, grid: Image) -> dict[str, list[str]]:
    """Return a linear ITK transform as a parameter map for transformix."""
    dimension = grid.GetImageDimension()
    affine = affine_of(transform, dimension)
    matrix = itk.array_from_matrix(affine.GetMatrix())
    values = [*matrix.ravel(), *affine.GetTranslation()]
    return {
        "Transform": ["AffineTransform"],
        "NumberOfParameters": [str(len(values))],
        "TransformParameters": [repr(float(value)) for value in values],
        "CenterOfRotationPoint": ["0"] * dimension,
        **_common(grid),
    }


def field_map(file: Path, grid: Image) -> dict[str, list[str]]:
    """Return a displacement field in a file as a parameter map for transformix."""
    return {
        "Transform": ["DeformationFieldTransform"],
        "NumberOfParameters": ["0"],
        "DeformationFieldFileName": [str(file)],
        "DeformationFieldInterpolationOrder": ["1"],
        **_common(grid),
    }


def write_chain(maps: Sequence[ParameterMap], folder: Path) -> list[Path]:
    """Write parameter maps as ``TransformParameters.<n>.txt``, each after the one before it.

    Parameters
    ----------
    maps
        In the order in which the transforms are applied.
    folder
        Where to.

    Returns
    -------
    list of Path
        The files; the last one is what transformix is given.
    """
    files: list[Path] = []
    for number, given in enumerate(maps):
        before = (str(files[-1].resolve()), files[-1].name) if files else (_NO_INITIAL,) * 2
        values = {
            _COMBINATION: [_COMPOSE],
            "ResampleInterpolator": ["FinalBSplineInterpolator"],
            "FinalBSplineInterpolationOrder": ["1"],
            "Resampler": ["DefaultResampler"],
            "DefaultPixelValue": ["0"],
            # elastix has parameters without a value, which it cannot read.
            **{name: list(value) for name, value in given.items() if value},
            **{name: [file] for name, file in zip(_INITIAL, before, strict=True)},
            _DIRECTIONS: ["true"],
            "ResultImagePixelType": ["float"],
            "ResultImageFormat": ["nii.gz"],
        }
        file = folder / f"TransformParameters.{number}.txt"
        lines = [f"({name} {' '.join(map(_quoted, value))})" for name, value in values.items()]
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        files.append(file)
    return files


def _common(grid: Image) -> dict[str, list[str]]:
    dimension = str(grid.GetImageDimension())
    return {
        "FixedImageDimension": [dimension],
        "MovingImageDimension": [dimension],
        "FixedInternalImagePixelType": ["float"],
        "MovingInternalImagePixelType": ["float"],
        _DIRECTIONS: ["true"],
        **geometry_of(grid),
    }


def _quoted(value: str) -> str:
    try:
        float(value)
    except ValueError:
        return f'"{value}"'
    return value
