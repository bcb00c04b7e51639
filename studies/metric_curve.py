# SPDX-License-Identifier: Apache-2.0
"""Value of a trained metric when one image of an aligned pair is shifted (paper, Section 3.3).

    python studies/metric_curve.py models/t1t2.onnx T1.nii.gz T2.nii.gz

prints, for every axis, the mean dissimilarity over all patches at whole-voxel shifts, as a Markdown
table. A useful metric has its minimum at 0 and rises to both sides. Needs no PyTorch.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import itk
import numpy as np
from numpy.typing import NDArray

from cnnmetric import DissimilarityNetwork
from cnnmetric.images.files import read_image
from cnnmetric.images.warping import resample_image

AXES = "xyz"


def main() -> None:
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="name or .onnx file of a 3D model")
    parser.add_argument("first", type=Path, help="image of the model's first modality")
    parser.add_argument("second", type=Path, help="aligned image of the second modality, shifted")
    parser.add_argument("--largest", type=int, default=10, help="largest shift in voxels")
    options = parser.parse_args()
    network = DissimilarityNetwork(options.model, device="cpu")
    first, second = on_model_grid(options.first, options.second, network)
    shifts = range(-options.largest, options.largest + 1)
    print(f"| shift [voxels of {network.spacing:g} mm] | {' | '.join(AXES)} |")
    print("|---:|" + "---:|" * len(AXES))
    for shift in shifts:
        values = [value_at(network, first, second, axis, shift, options.largest) for axis in AXES]
        print(
            f"| {shift:+d} | " + " | ".join(f"{value:.3f}" for value in values) + " |", flush=True
        )


def on_model_grid(
    first: Path, second: Path, network: DissimilarityNetwork
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return both images ``(nz, ny, nx)``, normalised, on the first one's grid at model spacing."""
    images = [read_image(file) for file in (first, second)]
    extent = np.array(itk.size(images[0])) * np.array(images[0].GetSpacing())
    grid = itk.Image[itk.F, 3].New()
    grid.SetRegions([int(length / network.spacing) for length in extent])
    grid.SetSpacing([network.spacing] * 3)
    grid.SetOrigin(images[0].GetOrigin())
    grid.SetDirection(images[0].GetDirection())
    arrays = []
    for image in images:
        normalised = itk.image_from_array(network.normalise(itk.array_view_from_image(image)))
        normalised.CopyInformation(image)
        resampled = itk.array_from_image(resample_image(normalised, grid))
        arrays.append(np.clip(resampled, 0, 1))
    return arrays[0], arrays[1]


def value_at(
    network: DissimilarityNetwork,
    first: NDArray[np.float32],
    second: NDArray[np.float32],
    axis: str,
    shift: int,
    largest: int,
) -> float:
    """Return the mean dissimilarity of the part that all shifts have in common."""
    here = [slice(largest, length - largest) for length in first.shape]
    there = list(here)
    index = first.ndim - 1 - AXES.index(axis)
    there[index] = slice(largest + shift, first.shape[index] - largest + shift)
    return float(network(first[tuple(here)], second[tuple(there)], normalised=True).mean())


if __name__ == "__main__":
    main()
