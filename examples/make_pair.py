# SPDX-License-Identifier: Apache-2.0
"""Write a T1 and a T2 image of two made-up subjects, and their label maps.

    python examples/make_pair.py FOLDER

Needs the packages of the demo: pip install ".[demo]".
"""

from __future__ import annotations

import argparse
from pathlib import Path

import itk
import numpy as np

from cnnmetric.demo.anatomy import load_anatomy
from cnnmetric.demo.phantom import make_phantom


def make_pair(folder: str | Path, *, voxel_size: float | None = None, seed: int = 1) -> None:
    """Write the pair.

    Parameters
    ----------
    folder
        Gets ``subject1_T1.nii.gz``, ``subject2_T2.nii.gz``, ``subject1_labels.nii.gz`` and
        ``subject2_labels.nii.gz``; made if it does not exist.
    voxel_size
        In mm, of both images; None keeps about 1 mm.
    seed
        Of the subjects: the same seed gives the same voxels.
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    phantom = make_phantom(load_anatomy(), seed=seed)
    for name, modality, subject in (
        ("subject1", "T1", phantom.fixed),
        ("subject2", "T2", phantom.moving),
    ):
        image, labels = subject.image, subject.labels
        if voxel_size is not None:
            image = resampled(image, voxel_size)
            labels = resampled(labels, voxel_size, is_labels=True)
        itk.imwrite(image, str(place / f"{name}_{modality}.nii.gz"))
        itk.imwrite(labels, str(place / f"{name}_labels.nii.gz"))


def resampled(image: itk.Image, voxel_size: float, *, is_labels: bool = False) -> itk.Image:
    """Return an image with cubic voxels, the centre of its first voxel where it was."""
    extent = np.asarray(itk.size(image)) * np.asarray(image.GetSpacing())
    interpolator = (
        itk.NearestNeighborInterpolateImageFunction
        if is_labels
        else (itk.LinearInterpolateImageFunction)
    )
    return itk.resample_image_filter(
        image,
        interpolator=interpolator.New(image),
        size=np.ceil(extent / voxel_size).astype(int).tolist(),
        output_spacing=[voxel_size] * len(extent),
        output_origin=image.GetOrigin(),
        output_direction=image.GetDirection(),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where to write; made if it does not exist")
    parser.add_argument(
        "--voxel-size", type=float, help="of both images in mm; about 1 if left out"
    )
    arguments = parser.parse_args()
    make_pair(arguments.folder, voxel_size=arguments.voxel_size)
