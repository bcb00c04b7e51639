# SPDX-License-Identifier: Apache-2.0
"""Give labelled adults with a T1 image a synthetic T2 image, to evaluate where no real pair is.

    python studies/synthetic_t2.py $CNNMETRIC_DATA/generative/miccai2012 --out adults --number 10

expects a folder per subject with ``T1.nii.gz``, ``tissues.nii.gz`` (0 outside the brain and three
tissues) and ``labels.nii.gz``, takes the last ones by name, and writes T2 images, ``subjects.csv``
and ``registrations.csv`` for `python -m cnnmetric.evaluate`: the T1 of every subject with the T2 of
the next one.

The T2 image has the contrast of T2-weighted MRI: fluid bright, grey matter darker, white matter
darkest, with partial volume at borders, the texture of the T1 image turned around within tissues, a
smooth bias field and noise. It is no substitute for a real T2 image: its anatomy is that of the T1
image voxel by voxel.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import itk
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from cnnmetric.command_line import Settings
from cnnmetric.command_line import parser_for
from cnnmetric.command_line import run_command
from cnnmetric.command_line import setting
from cnnmetric.command_line import settings_from
from cnnmetric.errors import DataError
from cnnmetric.images.files import read_image
from cnnmetric.images.files import read_labels
from shared import write_table

# From the tissue that is darkest in T1 to the brightest: fluid, grey matter, white matter.
MEANS = (1000.0, 560.0, 380.0)
TEXTURE = 0.5  # of the T1 image's deviation from its tissue's mean, relative to its contrast
PARTIAL_VOLUME = 0.7  # voxels
BIAS, BIAS_LENGTH = 0.1, 40.0  # relative; voxels
NOISE = 15.0


@dataclass(frozen=True, kw_only=True)
class SyntheticSettings(Settings):
    """Whose T2 images to make."""

    subjects: Path = setting(positional=True, help_text="folder with a folder for each subject")
    out: Path = setting(help_text="folder to write into")
    number: int = setting(10, help_text="how many subjects, the last by name", minimum=2)
    seed: int = setting(1, help_text="of bias field and noise", minimum=0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = parser_for(SyntheticSettings, "Synthetic T2 images for labelled T1 images.")
    return run_command("synthetic_t2", lambda: run(settings_from(parser.parse_args(arguments))))


def run(settings: SyntheticSettings) -> None:
    """Write images and tables."""
    folders = sorted(file.parent for file in settings.subjects.glob("*/tissues.nii.gz"))
    folders = folders[-settings.number :]
    if len(folders) < 2:
        msg = f"{settings.subjects} has fewer than two folders with a tissues.nii.gz"
        raise DataError(msg)
    settings.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, folder in enumerate(folders):
        t1 = read_image(folder / "T1.nii.gz")
        tissues = itk.array_from_image(read_labels(folder / "tissues.nii.gz"))
        generator = np.random.default_rng([settings.seed, number])
        t2 = itk.image_from_array(synthetic_t2(itk.array_from_image(t1), tissues, generator))
        t2.CopyInformation(t1)
        file = (settings.out / f"{folder.name}-T2.nii.gz").resolve()
        itk.imwrite(t2, str(file))
        source = folder.resolve()
        rows.append([folder.name, source / "T1.nii.gz", file, source / "labels.nii.gz"])
    write_table(settings.out / "subjects.csv", ["subject", "T1", "T2", "labels"], rows)
    names = [row[0] for row in rows]
    write_table(
        settings.out / "registrations.csv",
        ["fixed_subject", "fixed_modality", "moving_subject", "moving_modality"],
        [[a, "T1", b, "T2"] for a, b in zip(names, names[1:] + names[:1], strict=True)],
    )
    print(f"wrote {len(rows)} subjects and registrations to {settings.out}")


def synthetic_t2(
    t1: NDArray[np.float32], tissues: NDArray[np.int16], generator: np.random.Generator
) -> NDArray[np.float32]:
    """Return a T2 image ``(nz, ny, nx)`` for a T1 image with its tissues."""
    found = [int(label) for label in np.unique(tissues) if label]
    if len(found) != len(MEANS):
        msg = f"the tissue map has the labels {found} beside 0; three tissues are needed"
        raise DataError(msg)
    found.sort(key=lambda label: float(t1[tissues == label].mean()))
    centre = {label: float(t1[tissues == label].mean()) for label in found}
    contrast = centre[found[-1]] - centre[found[0]]
    values = np.zeros(t1.shape)
    for label, mean in zip(found, MEANS, strict=True):
        share = gaussian_filter((tissues == label).astype(float), PARTIAL_VOLUME)
        deviation = np.clip((t1 - centre[label]) / contrast, -0.5, 0.5)
        values += share * (mean - TEXTURE * deviation * (MEANS[0] - MEANS[-1]))
    bias = gaussian_filter(generator.standard_normal(t1.shape), BIAS_LENGTH)
    values *= 1 + BIAS * bias / np.abs(bias).max()
    noise = generator.normal(0, NOISE, (2, *t1.shape))
    # Rician, as in magnitude images; the background was taken away with the skull.
    noisy = np.hypot(values + noise[0], noise[1])
    result: NDArray[np.float32] = np.where(tissues > 0, noisy, 0).astype(np.float32)
    return result


if __name__ == "__main__":
    sys.exit(main())
