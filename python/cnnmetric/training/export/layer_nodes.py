# SPDX-License-Identifier: Apache-2.0
"""Layers of a PyTorch module as ONNX nodes, and the nodes that their gradients go back by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import torch
from torch import nn

from cnnmetric.errors import ModelError
from cnnmetric.training.export import operators
from cnnmetric.training.export.onnx_builder import GraphBuilder
from cnnmetric.training.networks.similarities import Similarities

# Up to so many channels, ONNX Runtime's convolutions are faster than its transposed ones, although
# they also compute the border (a third for 24 channels; with 256 they are slower by a seventh).
_NARROW = 64


class LayerNodes(GraphBuilder):
    """Appends layers, and remembers how a gradient goes back through them.

    Parameters
    ----------
    module
        Of one argument, an image.
    source, channels
        Name of the image in the graph, and how many channels it has.
    dimension
        2 or 3.

    Attributes
    ----------
    module, dimension
        As given.
    similarities
        The module of self-similarities that the module uses, if any: their nodes are calls of the
        functions of `cnnmetric.training.export.functions`.
    descriptors
        Names of what the module marks as such, in the order of its images.
    """

    def __init__(self, module: nn.Module, *, source: str, channels: int, dimension: int) -> None:
        super().__init__({source: channels})
        self.similarities: Similarities | None = None
        self.descriptors: list[str] = []
        self.module = module
        self._source = source
        self.dimension = dimension
        self._names = {id(weight): name for name, weight in module.named_parameters()}
        self._names |= {id(buffer): name for name, buffer in module.named_buffers()}
        self._images[source] = frozenset(range(channels))
        self._reverse: list[tuple[str, Callable[[str], None]]] = []
        self._cotangents: defaultdict[str, list[str]] = defaultdict(list)
        # The image that gradients are written out for at the moment.
        self._image = 0

    def _weight(self, tensor: torch.Tensor) -> str:
        array = tensor.detach().cpu().contiguous().numpy()
        return self._constant(array, self._names[id(tensor)])

    def _give(self, target: str, cotangent: str) -> None:
        """Add to what arrives at ``target``, summed over channels where it was broadcast."""
        if self._image not in self._images[target]:
            return
        if target == self._source and self._channels[cotangent] == self._channels[target] > 1:
            cotangent = self._cut(cotangent)
        if self._channels[target] == 1 and self._channels[cotangent] > 1:
            cotangent = self._emit("ReduceMean", [cotangent], channels=1, axes=[1], keepdims=1)
            count = self._channels[self.nodes[-1].input[0]]
            cotangent = self._emit("Mul", [cotangent, self._number(count)], channels=1)
        self._cotangents[target].append(cotangent)

    def _cut(self, x: str, *, axis: int = 1) -> str:
        """Return what belongs to the present image, of two along an axis, that of channels."""
        bounds = self._whole_numbers(self._image, self._image + 1, axis)
        return self._emit("Slice", [x, *bounds], channels=1)

    # ---- Operators: the forward node, and how its cotangent ``g`` goes back ----

    def _convolution(self, module: nn.Conv2d | nn.Conv3d, x: str) -> str:
        shape: dict[str, Any] = {
            "strides": list(module.stride),
            "dilations": list(module.dilation),
            "group": module.groups,
        }
        weight = self._weight(module.weight)
        inputs = [x, weight] + ([self._weight(module.bias)] if module.bias is not None else [])
        y = self._emit("Conv", inputs, channels=module.out_channels, **shape)

        # A transposed convolution without stride is a convolution of the flipped kernel.
        flipped = ""
        narrow = module.out_channels <= _NARROW and max(module.kernel_size) > 1
        if module.groups == 1 and set(module.stride) == {1} and narrow:
            flipped = self._flipped(weight)

        def backward(g: str) -> None:
            # The other image's gradient is not even computed.
            alone = x == self._source and module.groups == 1
            channels = 1 if alone else module.in_channels
            kernel = flipped or weight
            if alone and module.in_channels > 1:
                kernel = self._cut(kernel, axis=0 if flipped else 1)
            if not flipped:
                back = self._emit("ConvTranspose", [g, kernel], channels=channels, **shape)
            else:
                pads = [
                    dilation * (edge - 1)
                    for dilation, edge in zip(module.dilation, module.kernel_size, strict=True)
                ]
                back = self._emit("Conv", [g, kernel], channels=channels, pads=pads * 2, **shape)
            self._give(x, back)

        self._reverse.append((y, backward))
        return y

    def _flipped(self, weight: str) -> str:
        """Return a kernel mirrored along every axis, with input and output channels swapped."""
        axes = range(2, 2 + self.dimension)
        swapped = self._emit("Transpose", [weight], channels=1, perm=[1, 0, *axes])
        count = self.dimension
        bounds = [
            self._constant(np.array(values), f"{name}.{count}")
            for name, values in (
                ("from", [-1] * count),
                ("to", [np.iinfo(np.int64).min] * count),
                ("axes", list(axes)),
                ("steps", [-1] * count),
            )
        ]
        return self._emit("Slice", [swapped, *bounds], channels=1)

    def _average_pool(self, module: nn.AvgPool2d | nn.AvgPool3d, x: str) -> str:
        dimension = 3 if isinstance(module, nn.AvgPool3d) else 2
        kernel = np.broadcast_to(np.asarray(module.kernel_size), dimension)
        strides = [int(n) for n in np.broadcast_to(np.asarray(module.stride), dimension)]
        count = self._channels[x]
        shape = [int(n) for n in kernel]
        y = self._emit("AveragePool", [x], channels=count, kernel_shape=shape, strides=strides)

        def backward(g: str) -> None:
            box = np.full((count, 1, *shape), 1 / np.prod(shape), dtype=np.float32)
            name = self._constant(box, f"box.{count}.{'x'.join(map(str, shape))}")
            back = self._emit(
                "ConvTranspose", [g, name], channels=count, strides=strides, group=count
            )
            self._give(x, back)

        self._reverse.append((y, backward))
        return y

    def _maximum_pool(self, module: nn.MaxPool2d | nn.MaxPool3d, x: str) -> str:
        dimension = 3 if isinstance(module, nn.MaxPool3d) else 2
        shape = [int(n) for n in np.broadcast_to(np.asarray(module.kernel_size), dimension)]
        count = self._channels[x]
        y = self._emit("MaxPool", [x], channels=count, kernel_shape=shape, strides=shape)
        ones = np.ones((count, 1, *shape), dtype=np.float32)

        def backward(g: str) -> None:
            name = self._constant(ones, f"copies.{count}.{'x'.join(map(str, shape))}")
            spread, largest = (
                self._emit(
                    "ConvTranspose", [item, name], channels=count, strides=shape, group=count
                )
                for item in (g, y)
            )
            # Of equal values all get the cotangent; after a rectifier these are zeros, and it
            # lets nothing through.
            equal = self._emit("Equal", [x, largest], channels=count)
            mask = self._emit("Cast", [equal], channels=count, to=onnx.TensorProto.FLOAT)
            self._give(x, self._binary("Mul", spread, mask))

        self._reverse.append((y, backward))
        return y

    def _relu(self, x: str) -> str:
        y = self._emit("Relu", [x], channels=self._channels[x])

        def backward(g: str) -> None:
            mask = self._emit("Sign", [y], channels=self._channels[y])
            self._give(x, self._binary("Mul", g, mask))

        self._reverse.append((y, backward))
        return y

    def _self_similarity(self, module: Similarities, x: str) -> str:
        self.similarities = module
        call = {"domain": operators.DOMAIN, **operators.attributes(module)}
        y = self._emit(operators.FORWARD, [x], channels=sum(module.channels), **call)

        def backward(g: str) -> None:
            self._give(x, self._emit(operators.GRADIENT, [x, g], channels=1, **call))

        self._reverse.append((y, backward))
        return y


def unknown(name: str) -> ModelError:
    """Return the error of an operator that has no gradient here."""
    return ModelError(
        f"the network uses {name}, which the export has no gradient for; write it with the "
        "operators named in cnnmetric.training.export.reverse_sweep"
    )
