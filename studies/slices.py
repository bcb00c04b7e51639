# SPDX-License-Identifier: Apache-2.0
"""Cut axial slices out of aligned pairs, to train and to register images of 2D.

    python studies/slices.py $CNNMETRIC_DATA/train/pairs.csv --modalities T1 T2 \
        --subjects ms07 ms19 --out slices

writes the slices of the first modality, and those of the second at the same places, and
``pairs.csv`` for ``python -m cnnmetric.train --dimension 2`` and for
``studies/known_deformations.py``. Slices are taken every ``--distance`` mm, where at least
``--filled`` of the largest one's foreground is left.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
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
from cnnmetric.images.arrays import placed
from cnnmetric.images.arrays import voxel_axes
from cnnmetric.images.files import read_image
from cnnmetric.images.masks import foreground_mask
from cnnmetric.images.warping import resample_image
from cnnmetric.training.data.pairs import read_pairs
from cnnmetric.types import Image
from shared import write_table

_AXIAL = 2  # of the axes x, y, z


@dataclass(frozen=True, kw_only=True)
class SlicesSettings(Settings):
    """Which slices of whom."""

    pairs: Path = setting(positional=True, help_text="table of aligned pairs, as for training")
    modalities: tuple[str, ...] = setting(("T1", "T2"), help_text="of fixed and moving image")
    subjects: tuple[str, ...] = setting(help_text="whose", metavar="NAME")
    out: Path = setting(help_text="folder to write into")
    distance: float = setting(4.0, help_text="between slices in mm", above=0)
    filled: float = setting(0.5, help_text="foreground, of that of the largest slice", minimum=0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = parser_for(SlicesSettings, "Axial slices of aligned pairs.")
    return run_command("slices", lambda: run(settings_from(parser.parse_args(arguments))))


def run(settings: SlicesSettings) -> None:
    """Write the slices and their table."""
    known = {pair.subject: pair for pair in read_pairs(settings.pairs, settings.modalities)}
    missing = [name for name in settings.subjects if name not in known]
    if missing:
        msg = f"{settings.pairs} has no pair of {', '.join(missing)}; it has {', '.join(known)}"
        raise DataError(msg)
    settings.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for name in settings.subjects:
        fixed, moving = (read_image(path) for path in known[name].paths)
        for number in places(fixed, settings):
            row = [f"{name}-{number}"]
            for modality, image in zip(
                settings.modalities, (fixed, resample_image(moving, fixed)), strict=True
            ):
                row.append(f"{name}-{number}-{modality}.nii.gz")
                itk.imwrite(axial(image, number), str(settings.out / row[-1]))
            rows.append(row)
    write_table(settings.out / "pairs.csv", ["slice", *settings.modalities], rows)


def places(image: Image, settings: SlicesSettings) -> Iterator[int]:
    """Return the numbers of the slices to take.

    Raises
    ------
    DataError
        If the slices of the image are not axial.
    """
    axes = voxel_axes(image)
    if np.abs(axes).argmax(axis=0)[_AXIAL] != _AXIAL:
        msg = "the slices of an image are not axial; resample it"
        raise DataError(msg)
    area = itk.array_view_from_image(foreground_mask(image)).sum(axis=(1, 2), dtype=int)
    step = max(1, round(settings.distance / image.GetSpacing()[_AXIAL]))
    yield from (n for n in range(0, len(area), step) if area[n] >= settings.filled * area.max())


def axial(image: Image, number: int) -> Image:
    """Return a slice as image of 2D, with the voxels' size and the axes of the plane only."""
    x, y, _ = image.GetSpacing()
    return placed(itk.array_view_from_image(image)[number], spacing=(x, y))


if __name__ == "__main__":
    sys.exit(main())
