# SPDX-License-Identifier: Apache-2.0
"""Whether images and model go together."""

from __future__ import annotations

import itk

from cnnmetric.errors import DataError
from cnnmetric.metric.network import DissimilarityNetwork
from cnnmetric.types import Image


def check_dimensions(fixed: Image, moving: Image, network: DissimilarityNetwork) -> None:
    """Refuse images of another dimension than the model.

    Raises
    ------
    DataError
        Naming all three.
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
