# SPDX-License-Identifier: Apache-2.0
"""How well training pairs are aligned, and those that are not, aligned anew.

    python studies/pair_alignment.py pairs.csv --modalities T1 T2
    python studies/pair_alignment.py pairs.csv --modalities T1 T2 --realign met00110 --out realigned

registers the second image of every pair to the first by a rigid transform and mutual information,
from where the headers put it, and prints by how many mm that moves the anatomy on average, beside
the sharpness by which training judges pairs, as a Markdown table. With ``--realign``, the second
images of these subjects are written where the registration puts them, and a table of the pairs.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import itk
import numpy as np
from tqdm import tqdm

import cnnmetric  # noqa: F401  (puts the plug-in into elastix)
from cnnmetric.command_line import Settings
from cnnmetric.command_line import parser_for
from cnnmetric.command_line import run_command
from cnnmetric.command_line import setting
from cnnmetric.command_line import settings_from
from cnnmetric.errors import SettingsError
from cnnmetric.images.files import read_image
from cnnmetric.images.warping import displacement_of
from cnnmetric.images.warping import resample_image
from cnnmetric.images.writing import write_image
from cnnmetric.registration import elastix_transforms
from cnnmetric.registration import parameter_files
from cnnmetric.registration.stages import run_stage
from cnnmetric.training.data.misalignment import measure
from cnnmetric.training.data.pairs import PairFiles
from cnnmetric.training.data.pairs import load_pair
from cnnmetric.training.data.pairs import read_pairs
from cnnmetric.training.settings import TrainingSettings
from cnnmetric.types import Image
from cnnmetric.types import Transform
from shared import table_head
from shared import table_row

# Of the brightest voxels' intensity: what is anatomy.
ANATOMY = 0.05
# Instead of those of the shipped similarity transform.
RIGID = {"Transform": "EulerTransform", "AutomaticTransformInitialization": "false"}


@dataclass(frozen=True, kw_only=True)
class AlignmentSettings(Settings):
    """Which pairs."""

    table: Path = setting(positional=True, help_text="table of pairs, as for training")
    modalities: tuple[str, ...] = setting(("T1", "T2"), help_text="two columns of the table")
    realign: tuple[str, ...] = setting((), help_text="subjects whose second image is written")
    out: Path | None = setting(None, help_text="folder of these images and of their table")

    def broken_rules(self) -> Iterator[str]:
        """Yield the rules that are broken."""
        if len(self.modalities) != 2:
            yield "--modalities must be two columns"
        if self.realign and self.out is None:
            yield "--realign needs --out"


def rigid(first: Image, second: Image) -> Transform:
    """Return the rigid transform from points of the first to those of the second image."""
    parameters = parameter_files.read("mi", "similarity", RIGID)
    found = run_stage(first, second, parameters, name="rigid", threads=1).parameters
    (transform,) = elastix_transforms.to_itk(found, first)
    return transform


def distance(transform: Transform, image: Image) -> float:
    """Return by how many mm a transform moves the anatomy of an image, on average."""
    array = itk.array_view_from_image(image)
    inside = array > ANATOMY * np.quantile(array, 0.999)
    moved = np.linalg.norm(displacement_of(transform, image), axis=-1)
    return float(moved[inside].mean())


def report(settings: AlignmentSettings) -> None:
    """Measure, print and write."""
    first, second = settings.modalities
    listed = read_pairs(settings.table, (first, second))
    unknown = set(settings.realign) - {files.subject for files in listed}
    if unknown:
        msg = f"--realign {', '.join(sorted(unknown))}: {settings.table} has no such subject"
        raise SettingsError(msg)
    training = TrainingSettings(
        pairs=settings.table, modalities=f"{first},{second}", out=Path("unused.onnx")
    )
    print(table_head(["pair", "moved by [mm]", "sharpness"]))
    rows = []
    for files in tqdm(listed, unit="pair", disable=None):
        one, other = (read_image(path) for path in files.paths)
        transform = rigid(one, other)
        judged = measure(load_pair(files, training))
        sharpness = f"{judged.sharpness:.2f}" if judged else ""
        print(table_row([files.subject, f"{distance(transform, one):.2f}", sharpness]), flush=True)
        if files.subject in settings.realign:
            rows.append(_write(settings, files, resample_image(other, one, transform)))
    if rows and settings.out is not None:
        with (settings.out / "pairs.csv").open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows([["subject", first, second], *rows])


def _write(settings: AlignmentSettings, files: PairFiles, image: Image) -> list[str]:
    """Write a second image and return the pair's row of the table."""
    assert settings.out is not None
    settings.out.mkdir(parents=True, exist_ok=True)
    name = f"{files.subject}_{settings.modalities[1]}.nii.gz"
    write_image(image, settings.out / name)
    return [files.subject, str(files.paths[0].resolve()), name]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = parser_for(AlignmentSettings, __doc__ or "")
    return run_command(
        "pair_alignment", lambda: report(settings_from(parser.parse_args(arguments)))
    )


if __name__ == "__main__":
    sys.exit(main())
