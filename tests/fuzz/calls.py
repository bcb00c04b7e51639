# SPDX-License-Identifier: Apache-2.0
"""Calls of the Python interface, with one or two arguments that they do not expect."""

from __future__ import annotations

import math
from collections.abc import Callable
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from typing import Literal

import itk
import numpy as np

import cnnmetric
from cnnmetric.images.overlap import Overlap
from cnnmetric.images.overlap import overlap
from fuzz import hostile
from fuzz import sequences
from fuzz.hostile import anything
from fuzz.hostile import number
from fuzz.hostile import optional
from fuzz.pictures import pair
from fuzz.pictures import texture
from fuzz.trial import Materials
from fuzz.trial import Random
from fuzz.trial import Trial
from fuzz.trial import one_of
from fuzz.trial import shown
from fuzz.trial import some_of

_WHOLE = 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class Call:
    """A function, arguments that it takes, and what is documented of each."""

    function: Callable[..., Any]
    good: Callable[[Materials], dict[str, Any]]
    rules: Mapping[str, hostile.Rule]


def trial(random: Random, materials: Materials) -> Trial:
    """Return a call with odd arguments, or a sequence of calls of one object."""
    if random.random() < 0.25:
        return sequences.trial(random, materials)
    name = one_of(random, list(CALLS))
    call = CALLS[name]
    places = some_of(random, list(call.rules), one_of(random, (1, 1, 1, 2)))
    chosen = {place: int(random.integers(len(hostile.values()))) for place in places}
    odd = {place: hostile.values()[index] for place, index in chosen.items()}
    if callable(odd.get("on_iteration")):  # what it raises is the caller's own
        del odd["on_iteration"]
    verdicts = {call.rules[place](value) for place, value in odd.items()}
    expected: Literal["success", "refusal", ""] = ""
    if "wrong" in verdicts:
        expected = "refusal"
    elif verdicts == {"right"} and len(odd) == 1 and name in _SIMPLE:
        expected = "success"
    return Trial(
        what=f"{name} {shown(odd, 300)}",
        run=lambda: _plain(call.function(**{**call.good(materials), **odd})),
        expected=expected,
    )


def _plain(found: Any) -> Any:
    """Return what `oracles.check_finite` can look into."""
    if isinstance(found, cnnmetric.RegistrationResult):
        return itk.array_from_image(found.warped)
    if isinstance(found, Overlap):
        return None  # NaN says that a label is in none of the two
    if hasattr(found, "GetBufferedRegion"):
        return itk.array_from_image(found)
    return found


def _network(materials: Materials) -> cnnmetric.DissimilarityNetwork:
    return cnnmetric.DissimilarityNetwork(materials.small, device="cpu", number_of_threads=1)


def _on_images(materials: Materials, **more: Any) -> cnnmetric.MetricOnImages:
    given: dict[str, Any] = {
        "model": materials.small,
        "device": "cpu",
        "number_of_threads": 1,
    } | more
    return cnnmetric.MetricOnImages(*pair(), **given)


def _arrays(_: Materials) -> dict[str, Any]:
    return {"first": texture((20,) * 3, 0), "second": texture((20,) * 3, 1)}


def _images(materials: Materials) -> dict[str, Any]:
    fixed, moving = pair()
    return {"fixed": fixed, "moving": moving, "model": materials.small, "device": "cpu"}


def _evaluate_network(materials: Materials, first: Any, second: Any, **more: Any) -> Any:
    return _network(materials).map_and_gradient(first, second, **more)


def _of_v4(*, materials: Materials, fixed: Any, moving: Any, transform: Any, **more: Any) -> Any:
    metric = cnnmetric.CNNImageToImageMetricv4(
        model=materials.small, device="cpu", number_of_threads=1
    )
    return metric.value_and_derivative(fixed, moving, transform, **more)


def _translation() -> Any:
    return itk.TranslationTransform[itk.D, 3].New()


_TEXT = hostile.not_of(str)
_COMMON: dict[str, hostile.Rule] = {
    "fixed_modality": _TEXT,
    "number_of_blocks": optional(number(1, _WHOLE, whole=True)),
    "block_size": optional(number(1, _WHOLE, whole=True)),
    "grid_spacing": number(0, math.inf),
    "device": hostile.text("auto", "cpu"),
    "number_of_threads": number(0, 1024, whole=True),
    "required_ratio": number(0, 1),
    "seed": number(0, 2**32 - 1, whole=True),
    "model": hostile.not_of(str, Path),
    "sampling": hostile.text("Full", "Blocks"),
}
_LEVEL: dict[str, hostile.Rule] = {
    "grid_spacing": number(0, 1000, open_=True),
    "iterations": number(0, math.inf, whole=True),
    "step": number(0, 1000, open_=True),
    "image_smoothing": number(0, 1000),
    "update_smoothing": number(0, 1000),
    "field_smoothing": optional(number(0, 1000)),
}

CALLS: dict[str, Call] = {
    "DissimilarityNetwork": Call(
        function=lambda **given: cnnmetric.DissimilarityNetwork(**given).modalities,
        good=lambda m: {"model": m.small, "device": "cpu", "number_of_threads": 1},
        rules={name: _COMMON[name] for name in ("model", "device", "number_of_threads")},
    ),
    "network": Call(
        function=_evaluate_network,
        good=lambda m: {"materials": m, **_arrays(m)},
        rules={
            "first": hostile.not_of(np.ndarray, itk.Image[itk.F, 3]),
            "second": hostile.not_of(np.ndarray, itk.Image[itk.F, 3]),
            "weights": anything,
            "gradients_wanted": anything,
        },
    ),
    "normalise": Call(
        function=lambda materials, array: _network(materials).normalise(array),
        good=lambda m: {"materials": m, "array": texture((20,) * 3, 0)},
        rules={"array": anything},
    ),
    "map_shape": Call(
        function=lambda materials, shape: _network(materials).map_shape(shape),
        good=lambda m: {"materials": m, "shape": (20, 20, 20)},
        rules={"shape": hostile.not_of(list, tuple, np.ndarray, range)},
    ),
    "fixed_channel": Call(
        function=lambda materials, name: _network(materials).fixed_channel(name),
        good=lambda m: {"materials": m, "name": "T1"},
        rules={"name": _TEXT},
    ),
    "MetricOnImages": Call(
        function=lambda materials, **given: _on_images(materials, **given).describe(),
        good=lambda m: {"materials": m},
        rules={
            **_COMMON,
            "number_of_blocks": number(1, _WHOLE, whole=True),
            "transform": _TEXT,
            "transform_fixed_parameters": anything,
            "interpolation_order": number(0, 5, whole=True),
            "fixed_mask": anything,
            "moving_mask": anything,
        },
    ),
    "MetricOnImages.value": Call(
        function=lambda materials, parameters: _on_images(materials).value(parameters),
        good=lambda m: {"materials": m, "parameters": [0.0] * 3},
        rules={"parameters": hostile.not_of(list, tuple, np.ndarray, range)},
    ),
    "CNNImageToImageMetricv4": Call(
        function=lambda **given: bool(cnnmetric.CNNImageToImageMetricv4(**given)),
        good=lambda m: {"model": m.small, "device": "cpu", "number_of_threads": 1},
        rules={
            **_COMMON,
            "sampling": optional(_COMMON["sampling"]),
            "dimension": number(3, 3, whole=True),  # that of the model
        },
    ),
    "v4.value": Call(
        function=_of_v4,
        good=lambda m: (
            {"materials": m, **dict(zip(("fixed", "moving"), pair(), strict=True))}
            | {"transform": _translation()}
        ),
        rules={
            "fixed": hostile.not_of(itk.Image[itk.F, 3]),
            "moving": hostile.not_of(itk.Image[itk.F, 3]),
            "transform": lambda _: "wrong",
            "virtual_domain": optional(hostile.not_of(itk.Image[itk.F, 3])),
        },
    ),
    "FieldLevel": Call(
        function=lambda **given: bool(cnnmetric.FieldLevel(**given)),
        good=lambda _: {"grid_spacing": 2.0, "iterations": 1},
        rules=_LEVEL,
    ),
    "DiscreteSearch": Call(
        function=lambda **given: bool(cnnmetric.DiscreteSearch(**given)),
        good=lambda _: {},
        rules={
            "grid_spacing": number(0, 1000, open_=True),
            "radius": number(1, 1000, whole=True),
            "image_smoothing": number(0, 1000),
            "field_smoothing": number(0, 1000, open_=True),
        },
    ),
    "register_displacement_field": Call(
        function=cnnmetric.register_displacement_field,
        good=lambda m: {
            **_images(m),
            "levels": [cnnmetric.FieldLevel(grid_spacing=1.0, iterations=1)],
            "number_of_threads": 1,
        },
        rules={
            "fixed": anything,
            "moving": anything,
            "initial": anything,
            "model": _COMMON["model"],
            "fixed_modality": _TEXT,
            "fixed_mask": anything,
            "moving_mask": anything,
            # Empty ones, of which every item is a level, and that of the default.
            "levels": lambda value: "unsaid" if value is None or _is_empty(value) else "wrong",
            "search": lambda value: "unsaid" if value is None else "wrong",
            "device": _COMMON["device"],
            "number_of_threads": _COMMON["number_of_threads"],
            "seed": _COMMON["seed"],
            "on_iteration": lambda value: "unsaid" if value is None or callable(value) else "wrong",
        },
    ),
    "register": Call(
        function=cnnmetric.register,
        good=lambda m: {**_images(m), "parameters": m.result.parent / "quick.txt", "threads": 1},
        rules={
            "fixed": anything,
            "moving": anything,
            "fixed_modality": _TEXT,
            "model": _COMMON["model"],
            "deformation": hostile.text("field"),
            "initial": anything,
            "fixed_mask": anything,
            "moving_mask": anything,
            "parameters": lambda value: "unsaid" if _is_empty(value) else "wrong",
            # These go with the built-in stages only.
            "grid_spacing": optional(lambda _: "wrong"),
            "field_smoothing": optional(lambda _: "wrong"),
            "device": _COMMON["device"],
            "threads": _COMMON["number_of_threads"],
            "seed": _COMMON["seed"],
            "on_iteration": lambda value: "unsaid" if value is None or callable(value) else "wrong",
        },
    ),
    "apply": Call(
        function=lambda materials, **given: cnnmetric.load_transform(materials.result).apply(
            **given
        ),
        good=lambda m: {"materials": m, "given": np.zeros((2, 3))},
        rules={"given": anything},
    ),
    "load_transform": Call(
        function=cnnmetric.load_transform,
        good=lambda m: {"folder": m.result},
        rules={"folder": lambda _: "wrong"},
    ),
    "read_points": Call(
        function=lambda **given: cnnmetric.read_points(**given).positions,
        good=lambda _: {"file": "none.csv"},
        rules={"file": lambda _: "wrong"},
    ),
    "overlap": Call(
        function=overlap,
        good=lambda _: {
            "reference": np.ones((4, 4, 4), dtype=int),
            "other": np.ones((4, 4, 4), dtype=int),
        },
        rules={"reference": anything, "other": anything, "labels": anything},
    ),
}
# Where one right argument is enough for the call to succeed.
_SIMPLE = ("FieldLevel", "DiscreteSearch", "DissimilarityNetwork", "CNNImageToImageMetricv4")


def _is_empty(value: Any) -> bool:
    return isinstance(value, list | tuple | range) and not len(value)
