# SPDX-License-Identifier: Apache-2.0
"""Value of a trained metric when one image of an aligned pair is shifted (paper, Section 3.3).

    python benchmarks/metric_curve.py models/t1t2.onnx T1.nii.gz T2.nii.gz

prints, for every axis, the mean dissimilarity over all patches at whole-voxel shifts, as a Markdown
table. A useful metric has its minimum at 0 and rises to both sides. Needs no PyTorch.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import itk
import numpy as np
import onnxruntime
from numpy.typing import NDArray

AXES = "xyz"


def main() -> None:
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help=".onnx file of a 3D model")
    parser.add_argument("first", type=Path, help="image of the model's first modality")
    parser.add_argument("second", type=Path, help="aligned image of the second modality, shifted")
    parser.add_argument("--largest", type=int, default=10, help="largest shift in voxels")
    options = parser.parse_args()
    session = onnxruntime.InferenceSession(options.model, providers=["CPUExecutionProvider"])
    properties = session.get_modelmeta().custom_metadata_map
    model = {name.removeprefix("cnnmetric."): value for name, value in properties.items()}
    first, second = on_model_grid(options.first, options.second, model)
    shifts = range(-options.largest, options.largest + 1)
    print(f"| shift [voxels of {float(model['spacing']):g} mm] | {' | '.join(AXES)} |")
    print("|---:|" + "---:|" * len(AXES))
    for shift in shifts:
        values = [
            value_at(session, model, first, second, axis, shift, options.largest) for axis in AXES
        ]
        print(
            f"| {shift:+d} | " + " | ".join(f"{value:.3f}" for value in values) + " |", flush=True
        )


def on_model_grid(
    first: Path, second: Path, model: dict[str, str]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return both images ``(nz, ny, nx)``, normalised, on the first one's grid at model spacing."""
    edge = float(model["spacing"])
    quantiles = [float(model["lower_quantile"]), float(model["upper_quantile"])]
    reference = itk.imread(str(first), itk.F)
    extent = np.array(itk.size(reference)) * np.array(reference.GetSpacing())
    arrays = []
    for path in (first, second):
        image = itk.imread(str(path), itk.F)
        low, high = np.quantile(itk.array_view_from_image(image), quantiles)
        resampled: Any = itk.resample_image_filter(
            image,
            size=[int(length / edge) for length in extent],
            output_spacing=[edge] * 3,
            output_origin=reference.GetOrigin(),
            output_direction=reference.GetDirection(),
        )
        scaled = (itk.array_from_image(resampled) - low) / (high - low)
        arrays.append(np.clip(scaled, 0, 1).astype(np.float32))
    return arrays[0], arrays[1]


def value_at(
    session: onnxruntime.InferenceSession,
    model: dict[str, str],
    first: NDArray[np.float32],
    second: NDArray[np.float32],
    axis: str,
    shift: int,
    largest: int,
) -> float:
    """Return the mean dissimilarity of the part that all shifts have in common."""
    field, stride = int(model["receptive_field"]), int(model["stride"])
    lengths = [(length - 2 * largest - field) // stride * stride + field for length in first.shape]
    here = [slice(largest, largest + length) for length in lengths]
    there = list(here)
    index = first.ndim - 1 - AXES.index(axis)
    there[index] = slice(largest + shift, largest + shift + lengths[index])
    block = np.stack([first[tuple(here)], second[tuple(there)]])[None]
    patches = [(length - field) // stride + 1 for length in lengths]
    weights = np.ones((1, 1, *patches), np.float32)
    (scores,) = session.run(["dissimilarity"], {"patches": block, "weights": weights})
    return float(np.mean(scores))


if __name__ == "__main__":
    main()
