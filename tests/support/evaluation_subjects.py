# SPDX-License-Identifier: Apache-2.0
"""Generated labelled subjects, as folders of files, for the tests of the evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import itk
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cnnmetric.demo.anatomy import load_anatomy
from cnnmetric.demo.phantom import make_phantom
from cnnmetric.evaluation.score import LabelledPair
from support.metric_images import anatomy
from support.metric_images import empty_image
from support.metric_images import points_of

SIZE = (64, 70, 64)
SPACING = (1.2, 1.1, 1.2)


def labels_of(points: NDArray[np.float64]) -> NDArray[np.int16]:
    """Return labels 1 to 6 of the anatomy at physical points: 6 sectors of an ellipsoid."""
    inside = np.linalg.norm(points / np.array([15.0, 18.0, 16.0]), axis=-1) < 1
    octant = (points[..., 0] > 0) + 2 * (points[..., 1] > 4) + 2 * (points[..., 1] > -4)
    return np.where(inside, 1 + octant, 0).astype(np.int16)


def image_and_labels(
    *, modality: str, shift: Sequence[float] = (0, 0, 0), angle: float = 0.0
) -> tuple[Any, Any]:
    """Return the anatomy, displaced by mm, and its labels, on a grid turned by an angle."""
    image = empty_image(SIZE, spacing=SPACING, angle=angle)
    labels = empty_image(SIZE, spacing=SPACING, angle=angle, dtype=np.int16)
    points = points_of(image) - np.asarray(shift)
    itk.array_view_from_image(image)[:] = anatomy(points, modality=modality)
    itk.array_view_from_image(labels)[:] = labels_of(points)
    return image, labels


def shifted_pair(shift: Sequence[float], *, modalities: tuple[str, str] = ("T1", "T2")) -> Any:
    """Return a pair whose moving image is displaced by mm."""
    fixed, fixed_labels = image_and_labels(modality=modalities[0])
    moving, moving_labels = image_and_labels(modality=modalities[1], shift=shift, angle=0.1)
    return LabelledPair(
        fixed=fixed, moving=moving, fixed_labels=fixed_labels, moving_labels=moving_labels
    )


def inverted_pair(shift: Sequence[float], *, wave: float) -> LabelledPair:
    """Return a brain and itself with inverted contrast, displaced and rippled by mm.

    The brain is the demo's, at half of its resolution: folds and noise, so that a metric without
    training has something to hold on to, and does not overfit as it does on a few smooth blobs.
    """
    subject = make_phantom(load_anatomy(), seed=1).fixed
    image, labels = (
        itk.array_from_image(i)[::2, ::2, ::2] for i in (subject.image, subject.labels)
    )
    places = np.indices(image.shape, dtype=np.float64)
    places[1] += wave / 2 * np.sin(places[0] * (2 * np.pi / 25))
    brightest = image.max()
    rippled = ndimage.map_coordinates(image, places, order=1)
    inverted = np.where(rippled > 0.02 * brightest, brightest - rippled, 0).astype(np.float32)

    def placed(voxels: NDArray[Any], origin: NDArray[np.float64]) -> Any:
        result = itk.image_from_array(np.ascontiguousarray(voxels))
        result.CopyInformation(subject.image)
        result.SetSpacing(2 * np.asarray(subject.image.GetSpacing()))
        result.SetOrigin(origin)
        return result

    origin = np.asarray(subject.image.GetOrigin())
    return LabelledPair(
        fixed=placed(image, origin),
        moving=placed(inverted, origin + shift),
        fixed_labels=placed(labels, origin),
        moving_labels=placed(ndimage.map_coordinates(labels, places, order=0), origin + shift),
    )


def write_subjects(folder: Path, shifts: Sequence[Sequence[float]]) -> tuple[Path, Path]:
    """Write a subject for every displacement, and tables of subjects and of all registrations."""
    lines = ["subject,T1,T2,labels"]
    for number, shift in enumerate(shifts):
        names = []
        for modality in ("T1", "T2"):
            image, labels = image_and_labels(modality=modality, shift=shift)
            names.append(f"s{number}-{modality}.nii.gz")
            itk.imwrite(image, str(folder / names[-1]))
        itk.imwrite(labels, str(folder / f"s{number}-labels.nii.gz"))
        lines.append(f"s{number},{','.join(names)},s{number}-labels.nii.gz")
    subjects = folder / "subjects.csv"
    subjects.write_text("\n".join(lines) + "\n")
    rows = ["fixed_subject,fixed_modality,moving_subject,moving_modality"]
    rows += [
        f"s{fixed},T1,s{moving},T2"
        for fixed in range(len(shifts))
        for moving in range(len(shifts))
        if fixed != moving
    ]
    registrations = folder / "registrations.csv"
    registrations.write_text("\n".join(rows) + "\n")
    return subjects, registrations


def write_translation_parameters(folder: Path, *, iterations: int = 60) -> Path:
    """Write a parameter file of elastix that finds a translation by mutual information, quickly."""
    file = folder / "translation.txt"
    file.write_text(
        f"""(FixedInternalImagePixelType "float")
(MovingInternalImagePixelType "float")
(Registration "MultiResolutionRegistration")
(NumberOfResolutions 1)
(FixedImagePyramid "FixedSmoothingImagePyramid")
(MovingImagePyramid "MovingSmoothingImagePyramid")
(Transform "TranslationTransform")
(Metric "AdvancedMattesMutualInformation")
(ImageSampler "RandomCoordinate")
(NumberOfSpatialSamples 2000)
(NewSamplesEveryIteration "true")
(Optimizer "AdaptiveStochasticGradientDescent")
(MaximumNumberOfIterations {iterations})
(Interpolator "LinearInterpolator")
(ResampleInterpolator "FinalBSplineInterpolator")
(Resampler "DefaultResampler")
(WriteResultImage "false")
"""
    )
    return file
