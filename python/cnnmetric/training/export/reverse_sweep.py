# SPDX-License-Identifier: Apache-2.0
"""Operators of a PyTorch module as ONNX nodes, and the nodes that their gradients go back by.

Inference runtimes have no automatic differentiation, so the backward half is written out, by the
same reverse sweep that PyTorch does: every operator knows the nodes of its own gradient.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import fx
from torch import nn

from cnnmetric.training.export.layer_nodes import LayerNodes
from cnnmetric.training.export.layer_nodes import unknown
from cnnmetric.training.networks.architecture import Descriptor
from cnnmetric.training.networks.similarities import Similarities

Handler = Callable[..., str]


class ReverseSweep(LayerNodes):
    """Nodes and constants of a module, and of the gradient of what it returns.

    The module is traced, so it is described once, in its ``forward``. That may use convolutions
    and average pooling without padding, maxima of separate neighbourhoods, rectifiers, ``+ - * /``
    with numbers or among tensors of equally many or one channel, ``exp``, ``sqrt``, sum and mean
    over channels, concatenated channels and slices of them, and `Similarities`.

    Attributes
    ----------
    nodes, constants
        For ``onnx.helper.make_graph``.
    """

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
        if isinstance(module, Descriptor):
            self.descriptors.append(x)
        if isinstance(module, nn.Identity):
            return x
        if isinstance(module, Similarities):
            return self._self_similarity(module, x)
        raise unknown(type(module).__name__)

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
            raise unknown(getattr(target, "__name__", str(target)))
        return handlers[target]

    def _operand(self, value: str | float) -> tuple[str, bool]:
        """Return an operand's name, and whether it has a gradient."""
        if isinstance(value, str):
            return value, True
        return self._number(value), False

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
            raise unknown("mean over anything but channels")
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
            raise unknown("indexing of anything but channels")
        count = self._channels[x]
        start, stop, step = index[1].indices(count)
        if step != 1:
            raise unknown("a slice with a step")
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
            raise unknown("concatenation of anything but channels")
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


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, Similarities | Descriptor) or super().is_leaf_module(
            m, module_qualified_name
        )
