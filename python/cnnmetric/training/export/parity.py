# SPDX-License-Identifier: Apache-2.0
"""Proof that a model file computes what the network computes, before anybody relies on it."""

from __future__ import annotations

import copy

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from cnnmetric.errors import ModelError
from cnnmetric.training.export.onnx_graph import GRADIENTS
from cnnmetric.training.networks.architecture import PatchNetwork

# Rounding to single precision makes 1e-5 in deep networks; a wrong operator makes far more.
TOLERANCE = 1e-4
# Rectifiers closer to zero than this share of their layer's response are left to rounding.
KINK = 2e-6
MAX_DRAWS = 200


def check_parity(network: PatchNetwork, model: bytes, *, name: str) -> None:
    """Compare scores and input gradients with PyTorch's on random blocks of several sizes.

    Parameters
    ----------
    network
        The reference; evaluated in double precision.
    model
        The serialised ONNX model; run by ONNX Runtime on the CPU.
    name
        What the model is called in error messages.

    Raises
    ------
    ModelError
        If an output differs by more than 1e-4 of its largest absolute value.
    """
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    reference = copy.deepcopy(network).cpu().double()
    generator = torch.Generator().manual_seed(0)
    for patches, blocks in ((1, 3), (2, 2), (3, 1)):
        images = _smooth_blocks(reference, patches, blocks, generator)
        weights = torch.rand((blocks, 1) + (patches,) * network.dimension, generator=generator)
        images.requires_grad_()
        scores = reference(images.double())
        (gradient,) = torch.autograd.grad(scores, images, weights.double())
        outputs = ["dissimilarity", *GRADIENTS]
        expected = [scores.detach(), gradient[:, :1], gradient[:, 1:]]
        feeds = {
            "patches": images.detach().numpy(),
            "weights": weights.numpy(),
            "gradients_wanted": np.ones(2, dtype=np.bool_),
        }
        results = session.run(outputs, feeds)
        for output, result, tensor in zip(outputs, results, expected, strict=True):
            _compare(result, tensor.numpy(), f"{name}: {output}", blocks, patches)


def _compare(
    result: NDArray[np.float32],
    expected: NDArray[np.float64],
    name: str,
    blocks: int,
    patches: int,
) -> None:
    scale = float(np.abs(expected).max())
    difference = float(np.abs(result - expected).max()) if result.shape == expected.shape else None
    # Written so that NaN fails.
    if difference is None or not difference <= TOLERANCE * scale:
        found = "another shape" if difference is None else f"{difference / scale:.1e} relative"
        msg = (
            f"{name} differs from PyTorch's by {found} on {blocks} blocks of {patches} patches "
            f"an axis ({TOLERANCE:.0e} is allowed), so the file is not written; "
            "compare the installed onnx and onnxruntime with the ones in the documentation"
        )
        raise ModelError(msg)


def _smooth_blocks(
    network: PatchNetwork, patches: int, blocks: int, generator: torch.Generator
) -> torch.Tensor:
    """Draw blocks at which the network is differentiable beyond doubt.

    Where a rectifier's input is zero up to rounding, single and double precision may take
    different sides, and both gradients are right.
    """
    edge = network.receptive_field + (patches - 1) * network.stride
    shape = (blocks, 2) + (edge,) * network.dimension
    for _ in range(MAX_DRAWS):
        images = torch.rand(shape, generator=generator)
        if _distance_to_kink(network, images.double()) > KINK:
            break
    return images


def _distance_to_kink(network: PatchNetwork, images: torch.Tensor) -> float:
    distances: list[float] = []

    def look(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        response = inputs[0]
        distances.append(float(response.abs().min() / response.square().mean().sqrt()))

    handle = network.rectifier.register_forward_pre_hook(look)
    with torch.no_grad():
        network(images)
    handle.remove()
    return min(distances, default=float("inf"))
