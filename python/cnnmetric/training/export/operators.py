# SPDX-License-Identifier: Apache-2.0
"""The operators of ours that a model file calls, and what their attributes say.

Self-similarities have dozens of channels, for each of which operators of the ONNX standard make
several passes over memory. In a file they are calls of a function, whose body is of standard
operators (`cnnmetric.training.export.functions`); this package computes the same in one pass
(cpp/network/cnnmetricSelfSimilarity.h), and every other runtime runs the body.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from cnnmetric.training.networks import similarities
from cnnmetric.training.networks.similarities import Similarities

DOMAIN, DOMAIN_VERSION = "cnnmetric", 1
FORWARD, GRADIENT = "SelfSimilarity", "SelfSimilarityGradient"


def attributes(module: Similarities) -> dict[str, Any]:
    """Return the attributes of both operators.

    ==================  ============================================================================
    ``dimension``       2 or 3
    ``window``          edge of the cube in which compared voxels lie
    ``taps``            of every channel, the two voxels that are compared: their places in the
                        window along z, y, x
    ``groups``          number of channels of each group
    ``box``, ``stride`` edge and stride of the box in which squared differences are averaged
    ``noise_floor``     what is added to the mean of a group
    ``strength``        1 if the last channel is the strength of the first group, 0 if there is none
    ``strong``          the difference whose strength is 1
    ==================  ============================================================================
    """
    window = 2 * similarities.NEIGHBOUR + 1
    taps: list[int] = []
    for layer in module.differences.values():
        weight = layer.get_parameter("weight")
        step = _step(layer)
        margin = similarities.NEIGHBOUR - step
        for kernel in weight[:, 0]:
            for value in (1.0, -1.0):
                (place,) = (kernel == value).nonzero().tolist()
                taps += [margin + step * n for n in place]
    has_strength = len(module.channels) > len(module.differences)
    return {
        "dimension": module.dimension,
        "window": window,
        "taps": taps,
        "groups": [len(layer.get_parameter("weight")) for layer in module.differences.values()],
        "box": similarities.BOX,
        "stride": similarities.BOX_STRIDE,
        "noise_floor": similarities.NOISE_FLOOR,
        "strength": int(has_strength),
        "strong": similarities.STRONG,
    }


def _step(layer: nn.Module) -> int:
    """Return the distance of a kernel's neighbouring voxels."""
    assert isinstance(layer, nn.Conv2d | nn.Conv3d)
    return int(layer.dilation[0])
