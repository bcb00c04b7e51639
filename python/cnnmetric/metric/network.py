# SPDX-License-Identifier: Apache-2.0
"""The trained network alone, on NumPy arrays: dissimilarity map and gradient, without torch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from typing import NamedTuple
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from numpy.typing import NDArray

from cnnmetric.errors import DataError
from cnnmetric.errors import MetricError
from cnnmetric.errors import SettingsError
from cnnmetric.metric import arguments
from cnnmetric.metric import network_input
from cnnmetric.plugin import gpu
from cnnmetric.plugin.loading import core

_NAMES = ("first array", "second array")

KeptDescriptors: TypeAlias = dict[int, core.KeptDescriptors]
"""Of the blocks of an image that stays the same, see `DissimilarityNetwork.map_and_gradient`."""


def _open(model: str, device: str, threads: int) -> DissimilarityNetwork:
    return DissimilarityNetwork(model, device=device, number_of_threads=threads)


class MapAndGradient(NamedTuple):
    """What :meth:`DissimilarityNetwork.map_and_gradient` returns; axes z, y, x (2D: y, x)."""

    dissimilarity_map: NDArray[np.float32]
    gradient_first: NDArray[np.float32]
    gradient_second: NDArray[np.float32]


class DissimilarityNetwork:
    """A trained network N(P_f, P_m) of the paper, evaluated for all patches of two arrays at once.

    The arrays are two images of the same size that are to be compared as they lie: voxel ``[i]`` of
    one with voxel ``[i]`` of the other. Both have to be sampled at the model's :attr:`spacing`,
    along all axes; that is left to the caller, as an array has no spacing. Which patches count,
    masks and the transform are the business of :class:`cnnmetric.MetricOnImages`.

    Patch ``[k]`` covers the voxels ``stride * k`` to ``stride * k + receptive_field - 1`` of an
    axis; its centre is the voxel ``stride * k + receptive_field // 2``. Voxels at the end of an
    axis that do not fill a whole stride take no part: their gradient is zero.

    Arrays of any size can be given: beyond 102 voxels an axis (2D: 1024) they are evaluated in
    overlapping blocks, with the same result up to rounding. One instance may be used by several
    threads at once.

    Parameters
    ----------
    model
        Name of an installed model, or path of an ``.onnx`` file.
    device
        ``"auto"``, ``"cpu"`` or ``"cuda:N"``.
    number_of_threads
        Threads on the CPU; 0 for one per processor that this process may use.

    Raises
    ------
    ModelError
        If there is no such model, or its file cannot be used.
    MetricError
        If there is no such device, or it cannot be used.
    SettingsError
        If an argument is of a wrong type or out of range.

    Examples
    --------
    >>> network = cnnmetric.DissimilarityNetwork("t1t2-fine")
    >>> t1 = itk.array_from_image(itk.imread("T1.nii.gz"))
    >>> t2 = itk.array_from_image(itk.imread("T2.nii.gz"))  # on the same grid, 1 mm voxels
    >>> dissimilarity = network(t1, t2)
    """

    def __init__(
        self, model: str | Path, *, device: str = "auto", number_of_threads: int = 0
    ) -> None:
        threads = arguments.threads(number_of_threads)
        file, name = arguments.model_file(model), arguments.device_name(device)
        self._network = core.NetworkOnArrays(
            model=file,
            device=name,
            number_of_threads=threads or len(os.sched_getaffinity(0)),
        )
        # As a copy will be, here or elsewhere, in whichever folder that works.
        self._opened_with = os.path.abspath(file), name, threads
        gpu.warn_of_fallback(self.device_report)

    def __reduce__(self) -> tuple[Any, ...]:
        """Let copies and pickled networks open the model file themselves."""
        return _open, self._opened_with

    def __repr__(self) -> str:
        """Return the model, its modalities and the device."""
        modalities = " and ".join(self.modalities)
        return (
            f"<DissimilarityNetwork {Path(self._network.path).stem}: {self.dimension}D, "
            f"{modalities}, {self.device_report}>"
        )

    @property
    def modalities(self) -> tuple[str, str]:
        """What the first and the second array have to be, for example ``("T1", "T2")``."""
        first, second = self._network.modalities
        return first, second

    @property
    def dimension(self) -> int:
        """Number of axes of the arrays: 2 or 3."""
        return self._network.dimension

    @property
    def receptive_field(self) -> int:
        """Edge of a patch in voxels."""
        return self._network.receptive_field

    @property
    def stride(self) -> int:
        """Distance between neighbouring patches in voxels."""
        return self._network.stride

    @property
    def spacing(self) -> float:
        """Voxel size in mm that the network was trained for."""
        return self._network.spacing

    @property
    def quantiles(self) -> tuple[float, float]:
        """Lower and upper quantile of an image that become 0 and 1; see :meth:`normalise`."""
        return self._network.lower_quantile, self._network.upper_quantile

    @property
    def device_report(self) -> str:
        """The device in use, for ``"auto"`` with the reason, and the version of ONNX Runtime."""
        return self._network.device_report

    def fixed_channel(self, fixed_modality: str) -> int:
        """Return which of the two arrays the fixed image is, by the rule of a registration.

        Parameters
        ----------
        fixed_modality
            Which of the model's modalities the fixed image is, in letters of any case; empty for
            its first one. The modality ``"any"`` of a model takes every name.

        Returns
        -------
        int
            0 for the first array, 1 for the second; the moving image is the other one. A model that
            treats both alike takes an unknown name for the first, with a ``UserWarning``.

        Raises
        ------
        SettingsError
            If the model does not compare this modality, and treats the two differently.
        """
        try:
            return self._network.fixed_channel(arguments.modality(fixed_modality))
        except MetricError as error:
            raise SettingsError(str(error)) from error

    def map_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Return the shape of the map, and of the weights, for arrays of the given shape.

        Raises
        ------
        DataError
            If the shape has another number of axes than the model, or an axis is shorter than the
            receptive field.
        """
        shape = arguments.lengths("shape", shape)
        if len(shape) != self.dimension:
            msg = (
                f"the arrays have {len(shape)} axes but the model {self._network.path} is "
                f"{self.dimension}D; give arrays of {self.dimension} axes"
            )
            raise DataError(msg)
        if min(shape) < self.receptive_field:
            msg = (
                f"the arrays are of shape {shape}, but every axis must have at least "
                f"{self.receptive_field} voxels, the network's receptive field; pad the arrays"
            )
            raise DataError(msg)
        return tuple((length - self.receptive_field) // self.stride + 1 for length in shape)

    def normalise(self, array: ArrayLike) -> NDArray[np.float32]:
        """Map intensities to 0..1 as a registration does with this model.

        Parameters
        ----------
        array
            A whole image: the quantiles are taken over all of its voxels.

        Returns
        -------
        NDArray[np.float32]
            ``clip((array - lower) / (upper - lower), 0, 1)``, of the shape of the array.

        Raises
        ------
        DataError
            If the array has NaN or infinite values, is empty or constant, or is not of numbers.
        """
        numbers = network_input.numbers(array, name="array")
        return network_input.normalise(numbers, self.quantiles, name="array")[0]

    def __call__(
        self, first: ArrayLike, second: ArrayLike, *, normalised: bool = False
    ) -> NDArray[np.float32]:
        """Return the dissimilarity map N(P): larger means less alike.

        Parameters
        ----------
        first, second
            Images of the model's first and second modality; axes z, y, x (2D: y, x), same shape,
            any number type.
        normalised
            The intensities are those that :meth:`normalise` returns, and not those of an image.

        Returns
        -------
        NDArray[np.float32]
            One value per patch, of shape :meth:`map_shape`.

        Raises
        ------
        DataError
            If the arrays differ in shape, do not fit the model, or cannot be normalised; or if they
            are said to be normalised and are not within 0..1.
        MetricError
            If ONNX Runtime fails, for example for lack of memory, or if a result is not finite.
        """
        patches, _ = self._patches(first, second, normalised)
        weights = np.ones(self.map_shape(patches[0].shape), dtype=np.float32)
        return self._evaluate(patches, weights, (None, None))

    @property
    def has_descriptors(self) -> bool:
        """Whether the model describes every image by itself, as :meth:`describe` needs it."""
        return bool(self._network.descriptor_channels)

    def describe(
        self, first: ArrayLike, second: ArrayLike, *, normalised: bool = False
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the vectors that the model compares patches by: N(P) = -sum over channels.

        Parameters
        ----------
        first, second, normalised
            As for calling the network. What is described of one does not depend on the other.

        Returns
        -------
        tuple[NDArray[np.float32], NDArray[np.float32]]
            Of the patches of both arrays, of shape ``(channels, *map_shape)``.

        Raises
        ------
        DataError
            As for calling the network.
        MetricError
            If the model has no descriptors (:attr:`has_descriptors`), or ONNX Runtime fails.
        """
        patches, _ = self._patches(first, second, normalised)
        shape = self.map_shape(patches[0].shape)
        found = [
            np.empty((self._network.descriptor_channels, *shape), dtype=np.float32) for _ in _NAMES
        ]
        for part, voxels in self._blocks(shape):
            of_block = self._network.describe(patches=network_input.cut(patches, voxels))
            for descriptors, values in zip(found, of_block, strict=True):
                descriptors[:, *part] = values
        return found[0], found[1]

    def map_and_gradient(
        self,
        first: ArrayLike,
        second: ArrayLike,
        *,
        weights: ArrayLike | None = None,
        normalised: bool = False,
        gradients_wanted: tuple[bool, bool] = (True, True),
        kept: KeptDescriptors | None = None,
    ) -> MapAndGradient:
        """Return the dissimilarity map and d(sum_P w_P N(P)) / d intensity.

        Parameters
        ----------
        first, second, normalised
            As for calling the network.
        weights
            w_P of every patch, of shape :meth:`map_shape`; 1 if not given. One over the number of
            patches gives the gradient of the mean.
        gradients_wanted
            Which of the two gradients to compute; one takes little more than half of the time.
        kept
            An empty dictionary where one gradient is wanted, for the descriptors of the image whose
            gradient is not. Later calls with the same dictionary take them from there, which saves
            a quarter of the time: this image has to be the same in all of them. Of models without
            descriptors, or with more than four numbers for each voxel, nothing is kept.

        Returns
        -------
        MapAndGradient
            The map, not weighted, and the gradients with respect to the two arrays, of their shape:
            to the intensities as given, so zero where these are clipped. The quantiles are taken as
            constants, as in a registration. A gradient that is not wanted is an empty array.

        Raises
        ------
        DataError
            As for calling the network, or if the weights are not finite or of another shape.
        MetricError
            If ONNX Runtime fails, for lack of memory for example, or a result is not finite.
        """
        patches, slopes = self._patches(first, second, normalised)
        shape = self.map_shape(patches[0].shape)
        if weights is None:
            weights = np.ones(shape)
        factors = network_input.numbers(weights, name="array of weights")
        if factors.shape != shape:
            msg = (
                f"the weights are of shape {factors.shape}, but arrays of shape "
                f"{patches[0].shape} have {shape} patches"
            )
            raise DataError(msg)
        with np.errstate(over="ignore"):
            single = factors.astype(np.float32)
        if not np.isfinite(single).all():
            msg = "the weights are beyond what single precision holds; scale them, e.g. to 0..1"
            raise DataError(msg)
        one, two = arguments.flags("gradients_wanted", gradients_wanted)
        if kept is not None and one == two:
            msg = "kept is for one image that stays the same; want the gradient of the other alone"
            raise SettingsError(msg)
        gradients = (
            np.zeros_like(patches[0], dtype=np.float32) if one else None,
            np.zeros_like(patches[1], dtype=np.float32) if two else None,
        )
        values = self._evaluate(patches, single, gradients, kept)
        found = [np.zeros(0, np.float32) if part is None else part for part in gradients]
        with np.errstate(over="ignore"):
            for gradient, slope in zip(gradients, slopes, strict=True):
                if gradient is not None:
                    gradient *= slope
        if not all(np.isfinite(gradient).all() for gradient in found):
            msg = (
                f"the gradient of model '{self._network.path}' is beyond what single precision "
                "holds; scale the arrays, for example to 0..1000, or the weights"
            )
            raise MetricError(msg)
        return MapAndGradient(values, *found)

    def _patches(
        self, first: ArrayLike, second: ArrayLike, normalised: bool
    ) -> tuple[network_input.Pair, network_input.Pair]:
        """Return both images as the network takes them, and d network input / d intensity."""
        arrays = network_input.pair(first, second, names=_NAMES)
        self.map_shape(arrays[0].shape)
        if normalised:
            return network_input.normalised_pair(arrays, names=_NAMES)
        return network_input.normalise_pair(arrays, self.quantiles, names=_NAMES)

    def _blocks(
        self, shape: tuple[int, ...]
    ) -> Iterator[tuple[network_input.Slices, network_input.Slices]]:
        """Return slices of a map, and of the voxels that each of them is of."""
        return network_input.blocks(shape, receptive_field=self.receptive_field, stride=self.stride)

    def _evaluate(
        self,
        images: network_input.Pair,
        weights: NDArray[np.float32],
        gradients: tuple[NDArray[np.float32] | None, NDArray[np.float32] | None],
        kept: KeptDescriptors | None = None,
    ) -> NDArray[np.float32]:
        """Return the map and add to the gradients that are given, block by block."""
        values = np.empty(weights.shape, dtype=np.float32)
        for number, (patches, voxels) in enumerate(self._blocks(weights.shape)):
            values[patches], *of_block = self._network.evaluate(
                patches=network_input.cut(images, voxels),
                weights=weights[patches],
                gradients_wanted=(gradients[0] is not None, gradients[1] is not None),
                kept=None if kept is None else kept.setdefault(number, core.KeptDescriptors()),
            )
            for gradient, part in zip(gradients, of_block, strict=True):
                if gradient is not None and part is not None:
                    gradient[voxels] += part
        return values
