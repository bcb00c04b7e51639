# SPDX-License-Identifier: Apache-2.0
"""Operators of a PyTorch module as ONNX nodes, and the nodes that their gradients go back by.

Inference runtimes have no automatic differentiation, so the backward half is written out, by the
same reverse sweep that PyTorch does: every operator knows the nodes of its own gradient.
"""

from __future__ import annotations

import operator
from collections import defaultdict
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import torch
from torch import fx
from torch import nn

from cnnmetric.errors import ModelError
from cnnmetric.training.export import operators
from cnnmetric.training.export.onnx_builder import GraphBuilder
from cnnmetric.training.networks.similarities import Similarities

Handler = Callable[..., str]

# Up to so many channels, ONNX Runtime's convolutions are faster than its transposed ones, although
# they also compute the border (a third for 24 channels; with 256 they are slower by a seventh).
_NARROW = 64


class ReverseSweep(GraphBuilder):
    """Nodes and constants of a module, and of the gradient of what it returns.

    The module is traced, so it is described once, in its ``forward``. That may use convolutions
    and average pooling without padding, maxima of separate neighbourhoods, rectifiers, ``+ - * /``
    with numbers or among tensors of equally many or one channel, ``exp``, ``sqrt``, sum and mean
    over channels, concatenated channels and slices of them, and `Similarities`.

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
    """

    def __init__(self, module: nn.Module, *, source: str, channels: int, dimension: int) -> None:
        super().__init__({source: channels})
        self.similarities: Similarities | None = None
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

    def trace(self) -> str:
        """Append the nodes of the module; return the name of what it returns."""
        values: dict[fx.Node, Any] = {}
        result = ""
        modules = dict(self.module.named_modules())
        tracer = _Tracer()
        for node in tracer.trace(self.module).nodes:
            arguments = fx.map_arg(node.args, lambda item: values[item])
            options = fx.map_arg(node.kwargs, lambda item: values[item])
            if node.op == "placeholder":
                values[node] = self._source
            elif node.op == "output":
                result = arguments[0]
            elif node.op == "call_module":
                values[node] = self._call_module(modules[node.target], *arguments)
            else:
                handler = self._handler(node.target)
                values[node] = handler(*arguments, **options)
        return result

    def sweep(self, result: str, cotangent: str, *, image: int) -> str:
        """Append the nodes of a gradient, and return its name; an empty one if there is none.

        Parameters
        ----------
        result, cotangent
            Names of what the module returns, and of the gradient by that.
        image
            The channel of the source that the gradient is by.
        """
        self._image = image
        self._cotangents.clear()
        self._cotangents[result].append(cotangent)
        for value, backward in reversed(self._reverse):
            if image in self._images[value] and self._cotangents[value]:
                backward(self._sum(self._cotangents[value]))
        found = self._cotangents[self._source]
        return self._sum(found) if found else ""

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
        if isinstance(module, Similarities):
            return self._self_similarity(module, x)
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
            torch.cat: self._concatenate,
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
        if target == self._source and self._channels[cotangent] > 1:
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
                np.ones((1, count) + (1,) * self.dimension, np.float32), f"ones.{count}"
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
        if x == self._source:
            self._images[y] = frozenset(range(start, stop))

        def backward(g: str) -> None:
            if x == self._source and stop - start == 1:
                self._give(x, g)
                return
            pads = np.zeros((2, self.dimension + 2), dtype=np.int64)
            pads[:, 1] = start, count - stop
            name = self._constant(pads.ravel(), f"pads.{start}.{count - stop}")
            self._give(x, self._emit("Pad", [g, name], channels=count))

        self._reverse.append((y, backward))
        return y

    def _concatenate(self, parts: Sequence[str], dim: int) -> str:
        if dim != 1:
            raise _unknown("concatenation of anything but channels")
        counts = [self._channels[part] for part in parts]
        y = self._emit("Concat", list(parts), channels=sum(counts), axis=1)

        def backward(g: str) -> None:
            first = 0
            for part, count in zip(parts, counts, strict=True):
                bounds = self._whole_numbers(first, first + count, 1)
                self._give(part, self._emit("Slice", [g, *bounds], channels=count))
                first += count

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


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, Similarities) or super().is_leaf_module(m, module_qualified_name)


def _unknown(name: str) -> ModelError:
    return ModelError(
        f"the network uses {name}, which the export has no gradient for; write it with the "
        "operators named in cnnmetric.training.export.reverse_sweep"
    )
