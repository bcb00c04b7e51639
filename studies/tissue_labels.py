# SPDX-License-Identifier: Apache-2.0
"""Give every subject three tissues by its T1, to judge registrations of its other images by.

    python studies/tissue_labels.py pairs.csv --modality FLAIR --out tissues

divides the voxels of each T1 above 0, a brain without skull (``--within``: those in a mask), by
Otsu's thresholds into dark, middle and bright ones: about liquor, grey and white matter. It
writes these label maps, ``subjects.csv``, and ``registrations.csv`` for `python -m
cnnmetric.evaluate`: the other image of every subject that has one, moving, with the T1 of every
other subject. The registration never sees the moving T1, and so is judged by what it has not seen.
With ``--fixed T2`` the T2 is fixed, and no T1 is seen at all.

Tissues of different subjects meet where the cortex and the ventricles do. They say little of what
lies within one tissue, as the borders of deep nuclei, and where intensities are uneven they are
wrong in both images.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import itk
import numpy as np

from cnnmetric.command_line import Settings
from cnnmetric.command_line import parser_for
from cnnmetric.command_line import run_command
from cnnmetric.command_line import setting
from cnnmetric.command_line import settings_from
from cnnmetric.errors import DataError
from cnnmetric.files.tables import read_table
from cnnmetric.images.conversion import as_mask
from cnnmetric.images.files import read_image
from shared import write_labels
from shared import write_table

_BINS = 256


@dataclass(frozen=True, kw_only=True)
class TissueSettings(Settings):
    """Which images."""

    pairs: Path = setting(positional=True, help_text="CSV with subject, T1 and the other modality")
    modality: str = setting(help_text="column of the other image, aligned with T1; empty: none")
    fixed: str = setting(
        "T1",
        help_text="column of the fixed image, aligned with T1; subjects without one are left out",
    )
    within: str = setting(
        "", help_text="column of masks or label maps of T1: only their voxels count"
    )
    out: Path = setting(help_text="folder to write into")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = parser_for(TissueSettings, "Tissues of subjects with T1 and another image.")
    return run_command("tissue_labels", lambda: run(settings_from(parser.parse_args(arguments))))


def run(settings: TissueSettings) -> None:
    """Write label maps and tables."""
    modality, folder = settings.modality, settings.pairs.parent.resolve()
    columns = list(dict.fromkeys(["T1", settings.fixed, modality]))
    masks = [settings.within] if settings.within else []
    known = read_table(settings.pairs, role="pairs", columns=["subject", *columns, *masks])
    moving = [row["subject"] for row in known if row[modality]]
    if not moving:
        msg = f"{settings.pairs} has no image in the column {modality}; choose another --modality"
        raise DataError(msg)
    for column in masks:
        without = [row["subject"] for row in known if not row[column]]
        if without:
            msg = f"{settings.pairs} has no {column} of {without[0]}, which --within needs of all"
            raise DataError(msg)
    if not any(row[settings.fixed] for row in known):
        msg = (
            f"{settings.pairs} has no image in the column {settings.fixed}; choose another --fixed"
        )
        raise DataError(msg)
    settings.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for row in known:
        labels = (settings.out / f"{row['subject']}-tissues.nii.gz").resolve()
        write_tissues(folder / row["T1"], labels, *(folder / row[column] for column in masks))
        images = [folder / row[column] if row[column] else "" for column in columns]
        rows.append([row["subject"], *images, labels])
    write_table(settings.out / "subjects.csv", ["subject", *columns, "labels"], rows)
    write_table(
        settings.out / "registrations.csv",
        ["fixed_subject", "fixed_modality", "moving_subject", "moving_modality"],
        [
            [row["subject"], settings.fixed, name, modality]
            for row in known
            for name in moving
            if name != row["subject"] and row[settings.fixed]
        ],
    )


def write_tissues(image: Path, labels: Path, mask: Path | None = None) -> None:
    """Write 1, 2 and 3 for dark, middle and bright voxels of a T1 image, and 0 outside."""
    head = read_image(image)
    values = itk.array_from_image(head)
    if mask is not None:
        inside = as_mask(mask, head, role=f"mask {mask}")
        values = np.where(itk.array_from_image(inside) > 0, values, 0)
    brain = itk.image_from_array(values[values > 0][None])
    otsu = itk.OtsuMultipleThresholdsImageFilter.New(
        brain, NumberOfThresholds=2, NumberOfHistogramBins=_BINS
    )
    otsu.Update()
    edges = [np.finfo(np.float32).tiny, *otsu.GetThresholds()]
    tissues = np.digitize(values, edges).astype(np.int16)
    write_labels(tissues, head, labels)


if __name__ == "__main__":
    sys.exit(main())
