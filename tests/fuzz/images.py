# SPDX-License-Identifier: Apache-2.0
"""Images and masks of odd sizes, types, places and intensities, and rules that values keep."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import itk
import numpy as np

import cnnmetric
from fuzz.oracles import BrokenRuleError
from fuzz.oracles import check_same
from fuzz.pictures import picture
from fuzz.pictures import texture
from fuzz.trial import Materials
from fuzz.trial import Random
from fuzz.trial import Trial
from fuzz.trial import one_of
from fuzz.trial import shown
from support.elastix_runs import final_parameters
from support.elastix_runs import parameters
from support.elastix_runs import register

_TYPES = ("float32", "float32", "float64", "uint8", "int16", "uint16", "int32", "uint64", "bool")
_SPOILERS = ("nan", "inf", "huge", "one", "constant", "negative", "tiny", "two values", "spike")
_SPACINGS = (1e-3, 0.3, 1.0, 1.0, 1.7, 25.0, 1e3, 1e9, 1e-30)
_ORIGINS = (0.0, -1e3, 1e9, 1e300, float("nan"))


def trial(random: Random, materials: Materials) -> Trial:
    """Return a use of two odd images, or of two good ones that a rule is checked with."""
    if random.random() < 0.4:
        return _of_a_rule(random, materials)
    dimension = one_of(random, (2, 3, 3, 3))
    model = materials.small if dimension == 3 else materials.small_2d
    makers = [_odd_image(random, dimension) for _ in range(2)]
    if random.random() < 0.7:
        makers[int(random.integers(2))] = _good_image(dimension)
    masks = [_odd_mask(random, dimension) if random.random() < 0.25 else None for _ in range(2)]
    use = one_of(random, list(_USES))

    def run() -> object:
        fixed, moving = (make() for _, make in makers)
        given = [mask and mask[1]() for mask in masks]
        return _USES[use](fixed, moving, given, model)

    whats = [what for what, _ in makers] + [mask and mask[0] for mask in masks]
    return Trial(what=f"{use} {shown(whats, 500)}", run=run, elastix_may_refuse=use == "elastix")


Maker = tuple[str, Callable[[], Any]]


def _good_image(dimension: int) -> Maker:
    return f"{dimension}D good", lambda: picture(texture((20,) * dimension, 0))


def _odd_image(random: Random, dimension: int) -> Maker:
    """Return what an image is like, and what makes it."""
    if random.random() < 0.05:
        dimension = one_of(random, (2, 3, 4))
    axis = one_of(random, (20, 20, 20, 17, 24, 16, 4, 3, 2, 1, 0))
    size = [20] * dimension
    size[int(random.integers(dimension))] = axis
    if random.random() < 0.2:
        size = [axis] * dimension
    type_ = one_of(random, _TYPES)
    spoiler = one_of(random, _SPOILERS) if random.random() < 0.35 else ""
    spacing = [1.0] * dimension
    if random.random() < 0.3:
        spacing = [one_of(random, _SPACINGS)] * dimension
        if random.random() < 0.5:
            spacing[0] = 1.0
    origin = [one_of(random, _ORIGINS)] * dimension if random.random() < 0.2 else None
    seed = int(random.integers(4))
    turn = one_of(random, ("", "", "", "flipped", "rotated", "sheared", "improper"))
    index = int(random.integers(-50, 50)) if random.random() < 0.15 else 0

    def make() -> Any:
        array = np.array(texture(tuple(size), seed)) if 0 not in size else np.zeros(size)
        array = _spoilt(array, spoiler)
        if type_ != "float32" or spoiler == "":
            with np.errstate(all="ignore"):
                array = array.astype(type_ if type_ != "bool" else np.uint8)
        image = picture(array, spacing=spacing, origin=origin, direction=_turned(turn, dimension))
        if index:
            region = itk.ImageRegion[dimension]([index] * dimension, list(reversed(size)))
            image.SetRegions(region)
        return image

    place = f"spacing {spacing} origin {origin} {turn} index {index}"
    return f"{dimension}D {size} {type_} {spoiler} {place}", make


def _spoilt(array: Any, how: str) -> Any:
    if not array.size:
        return array
    middle = tuple(n // 2 for n in array.shape)
    if how in ("nan", "inf"):
        array[middle] = float(how)
    elif how == "huge":
        array *= np.float32(1e35)
    elif how == "tiny":
        array *= np.float32(1e-42)
    elif how == "one":
        array[...] = 0
        array[middle] = 1
    elif how == "constant":
        array[...] = 7
    elif how == "negative":
        array -= 2000
    elif how == "two values":
        array = (array > 500).astype(np.float32)
    elif how == "spike":
        array[middle] = 1e30
    return array


def _turned(how: str, dimension: int) -> Any:
    matrix = np.eye(dimension)
    if how == "flipped":
        matrix[0, 0] = -1.0
    elif how == "rotated":
        matrix[:2, :2] = [[0.8, -0.6], [0.6, 0.8]]
    elif how == "sheared":
        matrix[0, 1] = 0.4
    elif how == "improper":
        matrix[:2, :2] = [[0.0, 1.0], [1.0, 0.0]]
    return matrix


def _odd_mask(random: Random, dimension: int) -> Maker:
    filling = one_of(random, ("full", "empty", "one voxel", "layer", "half", "far", "float"))

    def make() -> Any:
        array = np.zeros((20,) * dimension, dtype=np.uint8)
        if filling in ("full", "far", "float"):
            array[...] = 1
        elif filling == "one voxel":
            array[(10,) * dimension] = 1
        elif filling == "layer":
            array[10] = 1
        elif filling == "half":
            array[:10] = 255
        if filling == "float":
            return picture(array.astype(np.float32) * 0.5)
        return picture(array, origin=[500.0 if filling == "far" else 0.0] * dimension)

    return f"{filling} mask", make


def _on_images(fixed: Any, moving: Any, masks: list[Any], model: Any, **more: Any) -> Any:
    return cnnmetric.MetricOnImages(
        fixed,
        moving,
        fixed_mask=masks[0],
        moving_mask=masks[1],
        model=model,
        device="cpu",
        number_of_threads=1,
        **more,
    )


def _value(fixed: Any, moving: Any, masks: list[Any], model: Any) -> object:
    metric = _on_images(fixed, moving, masks, model)
    return metric.value_and_derivative([0.0] * metric.number_of_parameters)


def _elastix(fixed: Any, moving: Any, masks: list[Any], model: Any) -> object:
    # elastix's wrapping takes images of float and masks of bytes alone.
    fixed, moving = (_as_type(image, np.float32) for image in (fixed, moving))
    masks = [mask and _as_type(mask, np.uint8) for mask in masks]
    given = dict(zip(("fixed_mask", "moving_mask"), masks, strict=True))
    settings = parameters(
        model, CNNMetricNumberOfBlocks="1", MaximumNumberOfIterations="1", CNNMetricBlockSize="17"
    )
    dimension = fixed.GetImageDimension()
    options = {
        name: mask
        for name, mask in given.items()
        if mask is not None and mask.GetImageDimension() == dimension
    }
    return final_parameters(register(fixed, moving, settings, number_of_threads=1, **options))


def _as_type(image: Any, type_: Any) -> Any:
    array = itk.array_from_image(image)
    if array.dtype == type_:
        return image
    with np.errstate(all="ignore"):
        cast = picture(array.astype(type_))
    cast.CopyInformation(image)
    return cast


def _itkv4(fixed: Any, moving: Any, masks: list[Any], model: Any) -> object:
    dimension = 2 if "flat" in str(model) else 3
    metric = cnnmetric.CNNImageToImageMetricv4(
        dimension=dimension, model=model, device="cpu", number_of_threads=1
    )
    transform = itk.TranslationTransform[itk.D, dimension].New()
    return metric.value_and_derivative(fixed, moving, transform)


def _network(fixed: Any, moving: Any, masks: list[Any], model: Any) -> object:
    network = cnnmetric.DissimilarityNetwork(model, device="cpu", number_of_threads=1)
    arrays = [itk.array_from_image(image) for image in (fixed, moving)]
    return network.map_and_gradient(*arrays)


def _field(fixed: Any, moving: Any, masks: list[Any], model: Any) -> object:
    field = cnnmetric.register_displacement_field(
        fixed,
        moving,
        fixed_mask=masks[0],
        moving_mask=masks[1],
        model=model,
        device="cpu",
        number_of_threads=1,
        levels=[cnnmetric.FieldLevel(grid_spacing=1.0, iterations=1)],
    )
    return itk.array_from_image(field)


_USES: dict[str, Callable[[Any, Any, list[Any], Any], object]] = {
    "value": _value,
    "elastix": _elastix,
    "itkv4": _itkv4,
    "network": _network,
    "field": _field,
}


def _of_a_rule(random: Random, materials: Materials) -> Trial:
    """Return two good images, whose value keeps to a rule."""
    dimension = one_of(random, (2, 3, 3))
    size = [int(random.integers(18, 24)) for _ in range(dimension)]
    fixed, moving = (np.array(texture(tuple(size), seed)) for seed in random.integers(0, 9, 2))
    parameters_ = [float(value) for value in random.normal(0.0, 0.3, dimension)]
    model = materials.small if dimension == 3 else materials.small_2d
    rule = one_of(random, list(_RULES) if dimension == 3 else list(_RULES)[:-1])
    shift = [float(value) for value in random.uniform(-200.0, 200.0, dimension)]
    factor, offset = float(random.uniform(0.01, 100.0)), float(random.uniform(-500.0, 500.0))

    def value(one: Any, other: Any, masks: Any = (None, None), model: Any = model) -> float:
        return float(_on_images(one, other, list(masks), model).value(parameters_))

    def run() -> object:
        plain = value(picture(fixed), picture(moving))
        if rule == "moved together":
            found = value(picture(fixed, origin=shift), picture(moving, origin=shift))
        elif rule == "other units":
            found = value(picture(factor * fixed + offset), picture(moving))
        elif rule == "full masks":
            ones = picture(np.ones(fixed.shape, dtype=np.uint8))
            found = value(picture(fixed), picture(moving), (ones, ones))
        elif rule == "start index":
            region = itk.ImageRegion[dimension]([7] * dimension, list(reversed(fixed.shape)))
            cropped = picture(fixed, origin=[-7.0] * dimension)
            cropped.SetRegions(region)
            found = value(cropped, picture(moving))
        elif rule == "doubles":
            found = value(picture(fixed.astype(np.float64)), picture(moving.astype(np.float64)))
        elif rule == "derivative's value":
            metric = _on_images(picture(fixed), picture(moving), [None, None], model)
            found = metric.value_and_derivative(parameters_)[0]
        else:
            model_ = materials.difference
            same = _on_images(picture(fixed), picture(fixed), [None, None], model_)
            least, other = same.value([0.0] * 3), same.value(parameters_)
            if not abs(least) <= 1e-6 or other < least:
                raise BrokenRuleError(f"an image on itself: {least}, and moved {other}")
            return least
        check_same(rule, plain, found)
        return found

    return Trial(
        what=f"rule: {rule}, size {size}, at {parameters_}, {shift}, {factor}, {offset}",
        run=run,
        expected="success",
    )


_RULES = (
    "moved together",
    "other units",
    "full masks",
    "start index",
    "doubles",
    "derivative's value",
    "an image on itself",
)
