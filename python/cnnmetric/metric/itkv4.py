# SPDX-License-Identifier: Apache-2.0
"""The metric for ITKv4's registration framework, and on its own."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import itk
import numpy as np
from numpy.typing import NDArray

from cnnmetric.errors import DataError
from cnnmetric.errors import refuse
from cnnmetric.metric import arguments
from cnnmetric.metric.maps import Maps
from cnnmetric.metric.maps import maps_from
from cnnmetric.plugin.loading import load_itkv4
from cnnmetric.plugin.package_data import DEFAULT_MODEL
from cnnmetric.plugin.shared_metric import share
from cnnmetric.types import Image
from cnnmetric.types import Transform

# Methods of ITK that read or change what an evaluation works on, beside all that set something.
_WHILE_NOBODY_EVALUATES = ("GetDerivative", "GetValue", "GetValueAndDerivative", "Initialize")


class CNNImageToImageMetricv4:
    """``itk::CNNImageToImageMetricv4``, for ``itk.ImageRegistrationMethodv4`` or on its own.

    The object is taken by everything in ITK's Python wrapping that takes an
    ``itk.ImageToImageMetricv4``, and has its methods, for example ``SetFixedImageMask``.

    It evaluates all patches, or random blocks if the registration samples (MetricSamplingStrategy):
    then as large a share of the patches as the registration takes of the points. ITK's sign holds
    for ITK's methods: ``GetValueAndDerivative`` gives ``-dM/dtheta``, for optimizers to add; the
    methods below give ``dM/dtheta``.

    Threads may share an object; they take turns, and a registration takes one turn. ``Initialize``
    has to be called again if images, masks, interpolators, the fixed transform or the virtual
    domain are changed, but not for another moving transform; the methods below call it themselves.

    Parameters
    ----------
    dimension
        Of the images: 2 or 3. They are of float.
    model
        Name of an installed model, or path of an ``.onnx`` file.
    fixed_modality
        Which of the model's modalities the fixed image is; empty for its first one.
    sampling
        ``"Full"``, ``"Blocks"``, or None for what the registration says.
    number_of_blocks, block_size, device, number_of_threads
        As the ``CNNMetric...`` parameters of these names (docs/reference/parameters.md).
    grid_spacing
        Voxel size of the evaluation grid in mm; 0 for the model's own, times the factor by which
        the level's virtual domain is coarser than the fixed image.
    required_ratio
        Share of the patches inside the fixed mask that has to map into the moving image and mask.
    seed
        Of the random blocks, which are drawn when a level starts; the same in every level, until
        :meth:`draw_new_blocks` is called.

    Raises
    ------
    ModelError
        If there is no such model.
    SettingsError
        If an argument is of a wrong type or out of range.

    Examples
    --------
    >>> metric = cnnmetric.CNNImageToImageMetricv4(model="t1t2-fine", fixed_modality="T1")
    >>> image_type = itk.Image[itk.F, 3]
    >>> registration = itk.ImageRegistrationMethodv4[image_type, image_type].New()
    >>> registration.SetMetric(metric)

    Alone:

    >>> value, derivative = metric.value_and_derivative(fixed, moving, transform)
    """

    def __init__(
        self,
        *,
        dimension: int = 3,
        model: str | Path = DEFAULT_MODEL,
        fixed_modality: str = "",
        sampling: str | None = None,
        number_of_blocks: int | None = None,
        block_size: int | None = None,
        grid_spacing: float = 0.0,
        device: str = "auto",
        number_of_threads: int = 0,
        required_ratio: float = 0.25,
        seed: int = 121212,
    ) -> None:
        dimension = arguments.whole_number("dimension", dimension, smallest=2, largest=3)
        arguments.choice("sampling", sampling, ("Full", "Blocks", None))
        module = load_itkv4()
        settings = arguments.compiled_settings(
            module,
            model=model,
            fixed_modality=fixed_modality,
            sampling=sampling,
            number_of_blocks=number_of_blocks,
            block_size=block_size,
            grid_spacing=grid_spacing,
            device=device,
            number_of_threads=number_of_threads,
        )
        class_ = module.MetricForITKv42D if dimension == 2 else module.MetricForITKv43D
        self._implementation = class_(
            settings=settings,
            required_ratio=arguments.number("required_ratio", required_ratio, largest=1.0),
            seed=arguments.seed_of(seed),
        )
        self._wrapper = self._implementation.wrapper()
        self._dimension = dimension
        self._shared = share(self._wrapper, itk.Image[itk.F, dimension])

    def __reduce__(self) -> str:
        """Refuse to be pickled or copied."""
        raise TypeError(arguments.not_copied(self, "from the same settings"))

    @property
    def this(self) -> Any:
        """SWIG's handle of the C++ object: what makes this an ITK object for ITK's wrapping."""
        return self._wrapper.this

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of ``itk.ImageToImageMetricv4``."""
        if name.startswith("_"):  # ours, not yet set; and what copy or pickle look for
            raise AttributeError(name)
        attribute = getattr(self._wrapper, name)
        if name not in _WHILE_NOBODY_EVALUATES and not name.startswith("Set"):
            return attribute

        @functools.wraps(attribute)
        def in_turn(*args: Any, **kwargs: Any) -> Any:
            with self._shared.lock:
                if name == "SetVirtualDomainFromImage" and None in args:
                    _check("virtual_domain", None, self._shared.image_type)
                return attribute(*args, **kwargs)

        return in_turn

    def set_original_images(self, fixed: Image | None, moving: Image | None) -> None:
        """Take the intensity normalisation from these images.

        A registration method hands its metric smoothed images at every level, from which the
        normalisation is taken otherwise. elastix' CNNMetric always uses the original ones.

        Parameters
        ----------
        fixed, moving
            ITK images of float; None for the one that the metric is handed.
        """
        with self._shared.lock:
            self._implementation.set_original_images(fixed, moving)

    def value(
        self,
        fixed: Image,
        moving: Image,
        transform: Transform,
        *,
        virtual_domain: Image | None = None,
    ) -> float:
        """Return M: the weighted mean dissimilarity over the patches (Eq. 2).

        Of all patches, unless the metric's own ``sampling`` is ``"Blocks"``. The sampling of an
        earlier registration is switched off.

        Parameters
        ----------
        fixed, moving
            ITK images of float.
        transform
            Any ITK transform: from points of the virtual domain to points of the moving image.
        virtual_domain
            ITK image whose grid is the virtual domain; the fixed image if None.

        Raises
        ------
        DataError
            If an image is of another type.
        SettingsError
            If the transform or the virtual domain is none.
        MetricError
            If the images cannot be compared.
        """
        with self._shared.lock:
            self._prepare(fixed, moving, transform, virtual_domain)
            return float(self._implementation.value())

    def value_and_derivative(
        self,
        fixed: Image,
        moving: Image,
        transform: Transform,
        *,
        virtual_domain: Image | None = None,
    ) -> tuple[float, NDArray[np.float64]]:
        """Return M and dM/dtheta (Eq. 5) by the parameters of the transform; see :meth:`value`."""
        with self._shared.lock:
            self._prepare(fixed, moving, transform, virtual_domain)
            value, downhill = self._implementation.value_and_derivative()
        return float(value), -np.asarray(downhill)

    def maps(
        self,
        fixed: Image,
        moving: Image,
        transform: Transform,
        *,
        virtual_domain: Image | None = None,
    ) -> Maps:
        """Return dissimilarity and derivative place by place (Figure 1); see :meth:`value`."""
        with self._shared.lock:
            self._prepare(fixed, moving, transform, virtual_domain)
            lattices = self._implementation.maps()
        domain = fixed if virtual_domain is None else virtual_domain
        return maps_from(lattices, domain.GetDirection())

    def draw_new_blocks(self) -> None:
        """Use other random blocks from now on, for example after every iteration.

        They stay until the next call. The same calls after the same seed give the same blocks.
        """
        self._implementation.draw_new_blocks()

    def describe(self) -> str:
        """Return one line about what is evaluated; once there are images."""
        return str(self._implementation.describe())

    def _prepare(
        self, fixed: Image, moving: Image, transform: Transform, virtual_domain: Image | None
    ) -> None:
        for role, image in (("fixed", fixed), ("moving", moving)):
            if not isinstance(image, self._shared.image_type):
                msg = (
                    f"the {role} image is a {type(image).__name__} but must be an "
                    f"{self._shared.image_type.__name__}; cast it first (itk.cast_image_filter)"
                )
                raise DataError(msg)
        transform_type = itk.Transform[itk.D, self._dimension, self._dimension]
        _check("transform", transform, transform_type)
        if virtual_domain is not None:
            _check("virtual_domain", virtual_domain, self._shared.image_type)
        if self._wrapper.GetUseVirtualSampledPointSet():
            # A registration method that samples switches both on, and never off.
            self._wrapper.SetUseVirtualSampledPointSet(False)
            self._wrapper.SetUseSampledPointSet(False)
        self._wrapper.SetFixedImage(fixed)
        self._wrapper.SetMovingImage(moving)
        self._wrapper.SetMovingTransform(transform)
        # Always set: ITK would keep that of an earlier fixed image.
        self._wrapper.SetVirtualDomainFromImage(fixed if virtual_domain is None else virtual_domain)
        self._implementation.initialize()


def _check(name: str, value: Any, type_: Any) -> None:
    if not isinstance(value, type_):
        refuse(name, value, f"an {type_.__name__} of ITK")
