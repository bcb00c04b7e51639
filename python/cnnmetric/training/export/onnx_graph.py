# SPDX-License-Identifier: Apache-2.0
"""A PyTorch network and its exact input gradients as one ONNX graph of plain operators.

Inference runtimes have no automatic differentiation, so the backward half is written out, by the
same reverse sweep that PyTorch does: every operator knows the nodes of its own gradient.

Runtimes compute every output of a graph, whichever are asked for. Therefore each image has a sweep
of its own, in a conditional branch: who registers needs the moving image's gradient alone, and who
looks at values none.
"""

from __future__ import annotations

import operator
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper
from onnx import numpy_helper
from torch import fx
from torch import nn

from cnnmetric.errors import ModelError
from cnnmetric.training.export.onnx_builder import GraphBuilder
from cnnmetric.training.export.onnx_builder import subgraph
from cnnmetric.training.networks.architecture import PatchNetwork

Handler = Callable[..., str]


# By channel of ``patches``.
GRADIENTS = ("gradient_first", "gradient_second")


class GradientGraph(GraphBuilder):
    """Nodes and constants of a network's scores and of their weighted sum's gradients.

    The network is traced, so it is described once, in its ``forward``. That may use convolutions
    and average pooling without padding, maxima of separate neighbourhoods, rectifiers, ``+ - * /``
    with numbers or among tensors of equally many or one channel, ``exp``, ``sqrt``, sum and mean
    over channels, and channel slices.

    Parameters
    ----------
    network
        Maps ``patches (B, C, ...)`` to scores ``(B, 1, ...)``.

    Attributes
    ----------
    nodes, constants
        For ``onnx.helper.make_graph``: input ``patches``, ``weights`` and ``gradients_wanted``,
        output ``dissimilarity``, ``gradient_first`` and ``gradient_second``
        (docs/reference/model-format.md).

    Raises
    ------
    ModelError
        If the network uses an operator that has no gradient here, or does not look at an image.
    """

    def __init__(self, network: PatchNetwork) -> None:
        super().__init__({"patches": 2, "weights": 1})
        self._network = network
        self._names = {id(weight): name for name, weight in network.named_parameters()}
        self._names |= {id(buffer): name for name, buffer in network.named_buffers()}
        self._images["patches"] = frozenset((0, 1))
        self._reverse: list[tuple[str, Callable[[str], None]]] = []
        self._cotangents: defaultdict[str, list[str]] = defaultdict(list)
        # The image that gradients are written out for at the moment.
        self._image = 0
        self._trace()
        for image, name in enumerate(GRADIENTS):
            self._branch(image, name)

    def _trace(self) -> None:
        values: dict[fx.Node, Any] = {}
        modules = dict(self._network.named_modules())
        for node in fx.symbolic_trace(self._network).graph.nodes:
            arguments = fx.map_arg(node.args, lambda item: values[item])
            options = fx.map_arg(node.kwargs, lambda item: values[item])
            if node.op == "placeholder":
                values[node] = "patches"
            elif node.op == "output":
                self._emit("Identity", [arguments[0]], channels=1, name="dissimilarity")
                give = partial(self._give, arguments[0])
                self._reverse.append(("dissimilarity", give))
            elif node.op == "call_module":
                values[node] = self._call_module(modules[node.target], *arguments)
            else:
                handler = self._handler(node.target)
                values[node] = handler(*arguments, **options)

    def _branch(self, image: int, name: str) -> None:
        """Append the gradient with respect to one image, computed only where it is wanted."""
        forward, self.nodes = self.nodes, []
        self._image = image
        self._cotangents.clear()
        self._cotangents["dissimilarity"].append("weights")
        for value, backward in reversed(self._reverse):
            if image in self._images[value] and self._cotangents[value]:
                backward(self._sum(self._cotangents[value]))
        if not self._cotangents["patches"]:
            msg = f"the network's score does not depend on image {image + 1} of the two"
            raise ModelError(msg)
        total = self._sum(self._cotangents["patches"])
        wanted = subgraph(self.nodes, total)
        self.nodes = forward
        bounds = self._whole_numbers(image, image + 1)
        condition = self._emit("Slice", ["gradients_wanted", *bounds], channels=1)
        empty = (0, 1) + (0,) * self._dimension
        none = numpy_helper.from_array(np.zeros(empty, np.float32))
        unwanted = subgraph([helper.make_node("Constant", [], [f"{name}.none"], value=none)])
        self._emit(
            "If", [condition], channels=1, name=name, then_branch=wanted, else_branch=unwanted
        )

    def _sum(self, names: list[str]) -> str:
        if len(names) == 1:
            return names[0]
        return self._emit("Sum", names, channels=self._channels[names[0]])

    def _call_module(self, module: nn.Module, x: str) -> str:
        if isinstance(module, nn.Conv2d | nn.Conv3d):
            return self._convolution(module, x)
        if isinstance(module, nn.AvgPool2d | nn.AvgPool3d):
            return self._average_pool(module, x)
        if isinstance(module, nn.MaxPool2d | nn.MaxPool3d) and module.stride == module.kernel_size:
            return self._maximum_pool(module, x)
        if isinstance(module, nn.ReLU):
            return self._relu(x)
        if isinstance(module, nn.Identity):
            return x
        raise _unknown(type(module).__name__)

    def _handler(self, target: Any) -> Handler:
        handlers: dict[Any, Handler] = {
            operator.add: self._add,
            operator.sub: self._subtract,
            operator.mul: self._multiply,
            operator.truediv: self._divide,
            operator.neg: self._negate,
            operator.getitem: self._slice,
            torch.relu: self._relu,
            torch.exp: self._exp,
            torch.sqrt: self._sqrt,
            "sum": self._channel_sum,
            "mean": self._channel_mean,
        }
        if target not in handlers:
            raise _unknown(getattr(target, "__name__", str(target)))
        return handlers[target]

    def _weight(self, tensor: torch.Tensor) -> str:
        array = tensor.detach().cpu().contiguous().numpy()
        return self._constant(array, self._names[id(tensor)])

    def _operand(self, value: str | float) -> tuple[str, bool]:
        """Return an operand's name, and whether it has a gradient."""
        if isinstance(value, str):
            return value, True
        return self._number(value), False

    def _give(self, target: str, cotangent: str) -> None:
        """Add to what arrives at ``target``, summed over channels where it was broadcast."""
        if self._image not in self._images[target]:
            return
        if target == "patches" and self._channels[cotangent] == 2:
            cotangent = self._cut(cotangent)
        if self._channels[target] == 1 and self._channels[cotangent] > 1:
            cotangent = self._emit("ReduceMean", [cotangent], channels=1, axes=[1], keepdims=1)
            count = self._channels[self.nodes[-1].input[0]]
            cotangent = self._emit("Mul", [cotangent, self._number(count)], channels=1)
        self._cotangents[target].append(cotangent)

    def _cut(self, x: str) -> str:
        """Return what belongs to the present image, of two along the axis of channels."""
        bounds = self._whole_numbers(self._image, self._image + 1, 1)
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

        def backward(g: str) -> None:
            # The other image's gradient is not even computed.
            alone = x == "patches" and module.groups == 1
            kernel = self._cut(weight) if alone else weight
            channels = 1 if alone else module.in_channels
            self._give(x, self._emit("ConvTranspose", [g, kernel], channels=channels, **shape))

        self._reverse.append((y, backward))
        return y

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

    def _add(self, a: str | float, b: str | float) -> str:
        first, second = self._operand(a), self._operand(b)
        y = self._binary("Add", first[0], second[0])

        def backward(g: str) -> None:
            for name, differentiable in (first, second):
                if differentiable:
                    self._give(name, g)

        self._reverse.append((y, backward))
        return y

    def _subtract(self, a: str | float, b: str | float) -> str:
        return self._add(a, self._negate(b) if isinstance(b, str) else -b)

    def _negate(self, x: str) -> str:
        return self._multiply(x, -1.0)

    def _multiply(self, a: str | float, b: str | float) -> str:
        first, second = self._operand(a), self._operand(b)
        y = self._binary("Mul", first[0], second[0])

        def backward(g: str) -> None:
            for (name, differentiable), (other, _) in ((first, second), (second, first)):
                if differentiable:
                    self._give(name, self._binary("Mul", g, other))

        self._reverse.append((y, backward))
        return y

    def _divide(self, a: str | float, b: str | float) -> str:
        first, second = self._operand(a), self._operand(b)
        y = self._binary("Div", first[0], second[0])

        def backward(g: str) -> None:
            shared = self._binary("Div", g, second[0])
            if first[1]:
                self._give(first[0], shared)
            if second[1]:
                product = self._binary("Mul", shared, y)
                self._give(second[0], self._emit("Neg", [product], channels=self._channels[y]))

        self._reverse.append((y, backward))
        return y

    def _exp(self, x: str) -> str:
        y = self._emit("Exp", [x], channels=self._channels[x])
        self._reverse.append((y, lambda g: self._give(x, self._binary("Mul", g, y))))
        return y

    def _sqrt(self, x: str) -> str:
        y = self._emit("Sqrt", [x], channels=self._channels[x])

        def backward(g: str) -> None:
            half = self._binary("Mul", g, self._number(0.5))
            self._give(x, self._binary("Div", half, y))

        self._reverse.append((y, backward))
        return y

    def _channel_mean(self, x: str, dim: int, *, keepdim: bool) -> str:
        if dim != 1 or not keepdim:
            raise _unknown("mean over anything but channels")
        count = self._channels[x]
        y = self._emit("ReduceMean", [x], channels=1, axes=[1], keepdims=1)

        def backward(g: str) -> None:
            share = self._binary("Mul", g, self._number(1 / count))
            ones = self._constant(
                np.ones((1, count) + (1,) * self._dimension, np.float32), f"ones.{count}"
            )
            self._give(x, self._emit("Mul", [share, ones], channels=count))

        self._reverse.append((y, backward))
        return y

    def _channel_sum(self, x: str, dim: int, *, keepdim: bool) -> str:
        mean = self._channel_mean(x, dim, keepdim=keepdim)
        return self._multiply(mean, float(self._channels[x]))

    def _slice(self, x: str, index: tuple[slice, ...]) -> str:
        if len(index) != 2 or index[0] != slice(None) or not isinstance(index[1], slice):
            raise _unknown("indexing of anything but channels")
        count = self._channels[x]
        start, stop, step = index[1].indices(count)
        if step != 1:
            raise _unknown("a slice with a step")
        bounds = self._whole_numbers(start, stop, 1)
        y = self._emit("Slice", [x, *bounds], channels=stop - start)
        if x == "patches":
            self._images[y] = frozenset(range(start, stop))

        def backward(g: str) -> None:
            if x == "patches" and stop - start == 1:
                self._give(x, g)
                return
            pads = np.zeros((2, self._dimension + 2), dtype=np.int64)
            pads[:, 1] = start, count - stop
            name = self._constant(pads.ravel(), f"pads.{start}.{count - stop}")
            self._give(x, self._emit("Pad", [g, name], channels=count))

        self._reverse.append((y, backward))
        return y

    @property
    def _dimension(self) -> int:
        return self._network.dimension


def _unknown(name: str) -> ModelError:
    return ModelError(
        f"the network uses {name}, which the export has no gradient for; write it with the "
        "operators named in cnnmetric.training.export.onnx_graph"
    )
