# SPDX-License-Identifier: Apache-2.0
"""``cnnmetric transform``: apply a saved result to an image, a label map or points."""

from __future__ import annotations

import sys
from dataclasses import asdict
from dataclasses import dataclass
from pathlib import Path

from cnnmetric.command_line import Settings
from cnnmetric.command_line import setting
from cnnmetric.commands.command import Command


@dataclass(frozen=True, kw_only=True)
class TransformSettings(Settings):
    """What to transform by what, and where to."""

    result: Path = setting(
        help_text="folder that `cnnmetric register` has written", positional=True
    )
    input: Path = setting(
        help_text="image, or points by their name: .txt and .pts (elastix), .mrk.json and .fcsv "
        "(3D Slicer), .csv with the columns x, y, z in mm (LPS, as ITK)",
        positional=True,
    )
    out: Path = setting(
        help_text="file for the result; points may change their format", aliases=("-o",)
    )
    labels: bool = setting(
        False, help_text="the image is a label map: nearest neighbour, whole numbers"
    )
    inverse: bool = setting(
        False,
        help_text="images from the fixed to the moving space, points from moving to fixed; without "
        "it, images from moving to fixed and points from fixed to moving",
    )
    overwrite: bool = setting(False, help_text="replace the file if it exists")
    json: bool = setting(False, help_text="print what was done as JSON")


def run(settings: TransformSettings) -> None:
    """Transform, and say what was written."""
    from cnnmetric.files.output import json_text
    from cnnmetric.registration.saved import load_transform
    from cnnmetric.registration.transform_file import transform_file

    transform = load_transform(settings.result)
    done = transform_file(
        transform.inverse() if settings.inverse else transform,
        settings.input,
        settings.out,
        labels=settings.labels,
        overwrite=settings.overwrite,
    )
    if done.outside:
        print(
            f"cnnmetric transform: {done.outside} of {done.points} points lie outside of the "
            "fixed image, where only the linear part of the transform acts",
            file=sys.stderr,
        )
    if settings.json:
        print(json_text({**asdict(done), "file": str(done.file)}))
    else:
        print(done.file)


COMMANDS = {
    "": Command(
        settings=TransformSettings,
        run=run,
        description="""Apply the result of a registration. Images and label maps go from the moving
space to the grid of the fixed image; points go the other way, from the fixed to the moving image.
With --inverse, both turn round.""",
        examples=(
            (
                "A label map of the moving image onto the fixed image",
                "cnnmetric transform out/ T2_labels.nii.gz -o labels.nii.gz --labels",
            ),
            (
                "Landmarks of the fixed image, to the moving image",
                "cnnmetric transform out/ landmarks.mrk.json -o on_moving.mrk.json",
            ),
            (
                "Landmarks of the moving image, to the fixed image",
                "cnnmetric transform out/ landmarks.fcsv -o on_fixed.fcsv --inverse",
            ),
        ),
    )
}
