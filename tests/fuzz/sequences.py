# SPDX-License-Identifier: Apache-2.0
"""Calls of one object in any order, some of them too early or with nothing."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import itk
import numpy as np

import cnnmetric
from fuzz.oracles import check_finite
from fuzz.oracles import check_same
from fuzz.oracles import check_text
from fuzz.pictures import pair
from fuzz.pictures import picture
from fuzz.pictures import texture
from fuzz.trial import Materials
from fuzz.trial import Random
from fuzz.trial import Trial
from fuzz.trial import one_of

Step = Callable[[Any], object]


def trial(random: Random, materials: Materials) -> Trial:
    """Return an object and several calls of it."""
    kind = one_of(random, list(_OBJECTS))
    make, steps = _OBJECTS[kind]
    names = [one_of(random, list(steps)) for _ in range(int(random.integers(2, 9)))]

    def run() -> object:
        one = make(materials)
        for name in names:
            _take(steps[name], one)
        if kind == "v4":
            # Whatever went before, the methods of ours start anew.
            fixed, moving = pair()
            arguments = fixed, moving, itk.TranslationTransform[itk.D, 3].New()
            one.SetFixedImageMask(None)
            one.SetMovingImageMask(None)
            check_same(
                "an object that was used", make(materials).value(*arguments), one.value(*arguments)
            )
        return None

    return Trial(what=f"{kind}: {', '.join(names)}", run=run)


def _take(step: Step, one: Any) -> None:
    """Do a step, which may be refused: by us, or by the types of ITK's wrapping."""
    try:
        check_finite(step(one))
    except (cnnmetric.CNNMetricError, TypeError, RuntimeError) as error:
        check_text(str(error))


def _image(size: int, seed: int) -> Any:
    return picture(texture((size,) * 3, seed))


def _set_field(metric: Any) -> None:
    field = itk.Image[itk.Vector[itk.D, 3], 3].New()
    field.SetRegions([4, 4, 4])
    field.Allocate(True)
    transform = itk.DisplacementFieldTransform[itk.D, 3].New()
    transform.SetDisplacementField(field)
    metric.SetMovingTransform(transform)


def _derivative(metric: Any) -> Any:
    derivative = itk.Array[itk.D]()
    metric.GetDerivative(derivative)
    return np.array([derivative[i] for i in range(derivative.Size())])


def _v4(materials: Materials) -> Any:
    return cnnmetric.CNNImageToImageMetricv4(
        model=materials.small, device="cpu", number_of_threads=1
    )


_V4_STEPS: dict[str, Step] = {
    "Initialize": lambda m: m.Initialize(),
    "GetValue": lambda m: m.GetValue(),
    "GetDerivative": _derivative,
    "fixed": lambda m: m.SetFixedImage(_image(20, 0)),
    "moving": lambda m: m.SetMovingImage(_image(22, 1)),
    "small": lambda m: m.SetMovingImage(_image(5, 1)),
    "large": lambda m: m.SetFixedImage(_image(24, 2)),
    "no fixed": lambda m: m.SetFixedImage(None),
    "no moving": lambda m: m.SetMovingImage(None),
    "translation": lambda m: m.SetMovingTransform(itk.TranslationTransform[itk.D, 3].New()),
    "affine": lambda m: m.SetMovingTransform(itk.AffineTransform[itk.D, 3].New()),
    "field": _set_field,
    "no transform": lambda m: m.SetMovingTransform(None),
    "empty composite": lambda m: m.SetMovingTransform(itk.CompositeTransform[itk.D, 3].New()),
    "fixed transform": lambda m: m.SetFixedTransform(itk.TranslationTransform[itk.D, 3].New()),
    "domain": lambda m: m.SetVirtualDomainFromImage(_image(20, 0)),
    "small domain": lambda m: m.SetVirtualDomainFromImage(_image(6, 0)),
    "no domain": lambda m: m.SetVirtualDomainFromImage(None),
    "no interpolator": lambda m: m.SetMovingInterpolator(None),
    "no mask": lambda m: m.SetFixedImageMask(None),
    "describe": lambda m: m.describe(),
    "draw": lambda m: m.draw_new_blocks(),
    "originals": lambda m: m.set_original_images(_image(20, 3), _image(21, 4)),
    "original of nothing": lambda m: m.set_original_images(None, None),
    "value": lambda m: m.value(*pair(), itk.TranslationTransform[itk.D, 3].New()),
    "copy": copy.copy,
    "pickle": pickle.dumps,
    "number": lambda m: m.GetNumberOfParameters(),
    "many threads": lambda m: m.SetMaximumNumberOfWorkUnits(7),
    "sampled points": lambda m: m.SetUseSampledPointSet(True),
    "gradient filter": lambda m: m.SetUseMovingImageGradientFilter(False),
}


def _on_images(materials: Materials) -> Any:
    return cnnmetric.MetricOnImages(
        *pair(), model=materials.small, device="cpu", number_of_threads=1, sampling="Blocks"
    )


_ON_IMAGES_STEPS: dict[str, Step] = {
    "value": lambda m: m.value([0.0, 0.0, 0.0]),
    "derivative": lambda m: m.value_and_derivative([0.1, 0.2, 0.3]),
    "far": lambda m: m.value([1e5, 0.0, 0.0]),
    "huge": lambda m: m.value([1e300, 0.0, 0.0]),
    "nan": lambda m: m.value([float("nan"), 0.0, 0.0]),
    "few": lambda m: m.value([]),
    "many": lambda m: m.value([0.0] * 9),
    "maps": lambda m: m.maps([0.0, 0.0, 0.0]),
    "maps far": lambda m: m.maps([1e5, 0.0, 0.0]),
    "draw": lambda m: m.draw_new_blocks(),
    "describe": lambda m: m.describe(),
    "copy": copy.copy,
    "pickle": pickle.dumps,
}


def _network(materials: Materials) -> Any:
    return cnnmetric.DissimilarityNetwork(materials.small, device="cpu", number_of_threads=1)


_NETWORK_STEPS: dict[str, Step] = {
    "evaluate": lambda n: n(texture((20,) * 3, 0), texture((20,) * 3, 1)),
    "other size": lambda n: n(texture((18, 21, 19), 0), texture((18, 21, 19), 1)),
    "small": lambda n: n(texture((4,) * 3, 0), texture((4,) * 3, 1)),
    "unequal": lambda n: n(texture((20,) * 3, 0), texture((21,) * 3, 1)),
    "flat": lambda n: n(texture((20,) * 2, 0), texture((20,) * 2, 1)),
    "strided": lambda n: n(texture((40,) * 3, 0)[::2, ::-2, ::2], texture((20,) * 3, 1).T),
    "pickled": lambda n: pickle.loads(pickle.dumps(n)).modalities,
    "copied": lambda n: copy.deepcopy(n).spacing,
    "channel": lambda n: n.fixed_channel("T2"),
    "shape": lambda n: n.map_shape((0, -1, 3)),
    "huge shape": lambda n: n.map_shape((2**62, 2**62, 2**62)),
    "describe": lambda n: n.describe(texture((20,) * 3, 0)),
    "repr": repr,
}

_OBJECTS: dict[str, tuple[Callable[[Materials], Any], dict[str, Step]]] = {
    "v4": (_v4, _V4_STEPS),
    "on images": (_on_images, _ON_IMAGES_STEPS),
    "network": (_network, _NETWORK_STEPS),
}
