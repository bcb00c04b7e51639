# SPDX-License-Identifier: Apache-2.0
"""What the demo registers: the built-in pair, images in ``CNNMETRIC_DATA``, or the user's own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cnnmetric.demo.anatomy import LABELS
from cnnmetric.demo.anatomy import Points
from cnnmetric.demo.anatomy import load_anatomy
from cnnmetric.demo.phantom import make_phantom
from cnnmetric.demo.settings import DemoSettings
from cnnmetric.images.files import read_image
from cnnmetric.images.files import read_labels
from cnnmetric.types import Image
from cnnmetric.types import LabelMap

DATA_VARIABLE = "CNNMETRIC_DATA"
_ALBERTS = Path("dev/alberts")
_FIXED, _MOVING = "03", "13"
_ALBERTS_LABELS = tuple(range(1, 51))


@dataclass(frozen=True)
class Case:
    """A fixed and a moving image, and what is known about their true relation.

    Attributes
    ----------
    title
        One line for people.
    fixed, moving
        ITK images of floats.
    fixed_modality, moving_modality
        What the images show; for captions, and the first one for the metric.
    fixed_labels, moving_labels
        Label maps or None.
    labels
        Labels that are compared; None for all in the maps.
    label_names
        Names of labels that are few enough to be reported one by one.
    fixed_points, moving_points
        Corresponding points, shape (n, 3), mm, or None.
    """

    title: str
    fixed: Image
    moving: Image
    fixed_modality: str
    moving_modality: str
    fixed_labels: LabelMap | None = None
    moving_labels: LabelMap | None = None
    labels: tuple[int, ...] | None = None
    label_names: Mapping[int, str] | None = None
    fixed_points: Points | None = None
    moving_points: Points | None = None


def choose_case(settings: DemoSettings) -> Case:
    """Return the user's images if given, else real ones from ``CNNMETRIC_DATA``, else the phantom.

    Raises
    ------
    DataError
        If a file that is named, or that ``CNNMETRIC_DATA`` should hold, is missing or unreadable.
    """
    if settings.fixed is not None and settings.moving is not None:
        return _own_images(settings, settings.fixed, settings.moving)
    folder = os.environ.get(DATA_VARIABLE)
    return _neonates(Path(folder) / _ALBERTS) if folder else _built_in_pair(settings.seed)


def _built_in_pair(seed: int) -> Case:
    phantom = make_phantom(load_anatomy(), seed=seed)
    return Case(
        title="T1 and T2 of two synthetic subjects (ICBM152 anatomy, random deformations)",
        fixed=phantom.fixed.image,
        moving=phantom.moving.image,
        fixed_modality="T1",
        moving_modality="T2",
        fixed_labels=phantom.fixed.labels,
        moving_labels=phantom.moving.labels,
        labels=tuple(LABELS),
        label_names=LABELS,
        fixed_points=phantom.fixed_points,
        moving_points=phantom.moving_points,
    )


def _neonates(folder: Path) -> Case:
    return Case(
        title=f"T1 and T2 of two newborns (ALBERTs {_FIXED} and {_MOVING})",
        fixed=read_image(folder / _FIXED / "T1.nii.gz"),
        moving=read_image(folder / _MOVING / "T2.nii.gz"),
        fixed_modality="T1",
        moving_modality="T2",
        fixed_labels=read_labels(folder / _FIXED / "labels.nii.gz"),
        moving_labels=read_labels(folder / _MOVING / "labels.nii.gz"),
        labels=_ALBERTS_LABELS,
    )


def _own_images(settings: DemoSettings, fixed: Path, moving: Path) -> Case:
    return Case(
        title=f"{moving.name} on {fixed.name}",
        fixed=read_image(fixed),
        moving=read_image(moving),
        fixed_modality=settings.fixed_modality,
        moving_modality="other modality",
        fixed_labels=settings.fixed_labels and read_labels(settings.fixed_labels),
        moving_labels=settings.moving_labels and read_labels(settings.moving_labels),
    )
