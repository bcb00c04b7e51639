# SPDX-License-Identifier: Apache-2.0
"""Whether images and model go together."""

from __future__ import annotations

import itk

from cnnmetric.errors import DataError
from cnnmetric.metric.network import DissimilarityNetwork
from cnnmetric.metric.normalisation import quantile_range
from cnnmetric.types import Image


def check_images(fixed: Image, moving: Image, network: DissimilarityNetwork) -> None:
    """Refuse images of another dimension than the model, of one layer, or without contrast.

    Raises
    ------
    DataError
        Naming the image, and what it is.
    """
    found = [int(image.GetImageDimension()) for image in (fixed, moving)]
    if found != [network.dimension] * 2:
        msg = (
            f"the fixed image is {found[0]}D, the moving image {found[1]}D and the model "
            f"{network.dimension}D; all three must be the same"
        )
        raise DataError(msg)
    for role, image in (("fixed", fixed), ("moving", moving)):
        if min(itk.size(image)) < 2:
            size = " x ".join(str(int(n)) for n in itk.size(image))
            msg = f"the {role} image has {size} voxels; at least 2 along every axis are needed"
            raise DataError(msg)
        lower, upper = network.quantiles
        voxels = itk.array_view_from_image(image)
        quantile_range(voxels, lower=lower, upper=upper, name=f"the {role} image")
