# SPDX-License-Identifier: Apache-2.0
"""A PyTorch network and its exact input gradients as one ONNX graph.

Runtimes compute every output of a graph, whichever are asked for. Therefore each image has a sweep
of its own, in a conditional branch: who registers needs the moving image's gradient alone, and who
looks at values none.
"""

from __future__ import annotations

import numpy as np
from onnx import helper
from onnx import numpy_helper

from cnnmetric.errors import ModelError
from cnnmetric.training.export.onnx_builder import subgraph
from cnnmetric.training.export.reverse_sweep import ReverseSweep
from cnnmetric.training.networks.architecture import PatchNetwork

# By channel of ``patches``.
GRADIENTS = ("gradient_first", "gradient_second")
DESCRIPTORS = ("descriptor_first", "descriptor_second")


class GradientGraph(ReverseSweep):
    """Nodes and constants of a network's scores and of their weighted sum's gradients.

    Parameters
    ----------
    network
        Maps ``patches (B, C, ...)`` to scores ``(B, 1, ...)``, by what `ReverseSweep` knows.

    Attributes
    ----------
    nodes, constants
        For ``onnx.helper.make_graph``: input ``patches``, ``weights`` and ``gradients_wanted``,
        output ``dissimilarity``, ``gradient_first`` and ``gradient_second``, and of networks that
        have descriptors ``descriptor_first`` and ``descriptor_second``
        (docs/reference/model-format.md).
    descriptor_channels
        Numbers of channels of the descriptors, by their names; empty if there are none.

    Raises
    ------
    ModelError
        If the network uses an operator that has no gradient here, or does not look at an image.
    """

    def __init__(self, network: PatchNetwork) -> None:
        super().__init__(network, source="patches", channels=2, dimension=network.dimension)
        self.declare("weights", 1)
        scores = self.trace()
        self._emit("Identity", [scores], channels=1, name="dissimilarity")
        self.descriptor_channels: dict[str, int] = {}
        for name, value in zip(DESCRIPTORS, self.descriptors, strict=False):
            self.descriptor_channels[name] = self._channels[value]
            self._emit("Identity", [value], channels=self._channels[value], name=name)
        for image, name in enumerate(GRADIENTS):
            self._branch(scores, image, name)

    def _branch(self, scores: str, image: int, name: str) -> None:
        """Append the gradient with respect to one image, computed only where it is wanted."""
        forward, self.nodes = self.nodes, []
        gradient = self.sweep(scores, "weights", image=image)
        if not gradient:
            msg = f"the network's score does not depend on image {image + 1} of the two"
            raise ModelError(msg)
        wanted = subgraph(self.nodes, gradient)
        self.nodes = forward
        bounds = self._whole_numbers(image, image + 1)
        condition = self._emit("Slice", ["gradients_wanted", *bounds], channels=1)
        empty = (0, 1) + (0,) * self.dimension
        none = numpy_helper.from_array(np.zeros(empty, np.float32))
        unwanted = subgraph([helper.make_node("Constant", [], [f"{name}.none"], value=none)])
        self._emit(
            "If", [condition], channels=1, name=name, then_branch=wanted, else_branch=unwanted
        )
