# SPDX-License-Identifier: Apache-2.0
"""How well a known deformation is recovered between two modalities of the same subject, in mm.

    python studies/known_deformations.py pairs.csv --modalities T1 FLAIR --models any

needs no labels: the second image of every aligned pair, of 2D or 3D, is rotated, magnified and
deformed at random and registered to the first one. The error of a voxel is the distance between
where the registration maps it to and where it should, over all voxels of the fixed image above 0.01
of its maximum.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import itk
import numpy as np
from scipy.ndimage import map_coordinates

from cnnmetric.command_line import Settings
from cnnmetric.command_line import parser_for
from cnnmetric.command_line import run_command
from cnnmetric.command_line import setting
from cnnmetric.command_line import settings_from
from cnnmetric.demo.anatomy import Points
from cnnmetric.demo.deformation import Deformation
from cnnmetric.demo.deformation import random_deformation
from cnnmetric.demo.phantom import index_to_point
from cnnmetric.evaluation import methods
from cnnmetric.images.files import read_image
from cnnmetric.images.masks import foreground_mask
from cnnmetric.training.data.pairs import read_pairs
from cnnmetric.types import Image
from shared import last_alignment
from shared import table_head
from shared import table_row

ROTATION, SCALE = 5.0, 0.05  # standard deviations: degrees about each axis; relative


@dataclass(frozen=True, kw_only=True)
class DeformationSettings(Settings):
    """Which pairs, and by what to register them."""

    pairs: Path = setting(positional=True, help_text="table of aligned pairs, as for training")
    modalities: tuple[str, ...] = setting(("T1", "T2"), help_text="of fixed and moving image")
    models: tuple[str, ...] = setting(("any",), help_text="models of the learned metric")
    learned: tuple[str, ...] = setting(
        ("cnn",), help_text="methods that take the models: cnn, cnn+field or cnn+smooth"
    )
    methods: tuple[str, ...] = setting(("mi", "mi+mask"), help_text="rivals")
    own: tuple[str, ...] = setting(
        (),
        help_text="a rival of your own parameter files, as name=first.txt,second.txt; name it in "
        "--methods, too",
        repeatable=True,
    )
    seed: int = setting(1, help_text="of deformations and registrations", minimum=0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = parser_for(DeformationSettings, "Recover known deformations.")
    return run_command(
        "known_deformations", lambda: run(settings_from(parser.parse_args(arguments)))
    )


def run(settings: DeformationSettings) -> None:
    """Register every pair by every method and print a table in Markdown."""
    names = [(method, model) for method in settings.learned for model in settings.models]
    names += [(method, "") for method in settings.methods]
    head = [f"{method} {Path(model).stem}".strip() for method, model in names]
    print(table_head(["subject", "before", *head]), flush=True)
    rows = []
    for number, files in enumerate(read_pairs(settings.pairs, settings.modalities)):
        fixed, aligned = (read_image(path, dimensions=(2, 3)) for path in files.paths)
        rng = np.random.default_rng([settings.seed, number])
        deformation = draw(rng, fixed)
        moving = deformed(aligned, deformation)
        row = [error(fixed, deformation, 0)]
        for method, model in names:
            displacement = last_displacement(settings, fixed, moving, method, model)
            row.append(error(fixed, deformation, displacement))
        rows.append(row)
        print(table_row([files.subject, *(f"{e:.2f}" for e in row)]), flush=True)
    mean, deviation = np.mean(rows, axis=0), np.std(rows, axis=0, ddof=1 if len(rows) > 1 else 0)
    cells = [f"{m:.2f} ({d:.2f})" for m, d in zip(mean, deviation, strict=True)]
    print(table_row(["mean (SD)", *cells]))


def draw(rng: np.random.Generator, fixed: Image) -> Deformation:
    """Draw the map from the deformed image's places to the fixed image's."""
    size = np.array(itk.size(fixed))
    centre = index_to_point(fixed) @ np.append((size - 1) / 2, 1)
    rotation = tuple(rng.normal(0, ROTATION, 3 if len(size) == 3 else 1))
    scale = float(np.exp(rng.normal(0, SCALE)))
    return random_deformation(rng, centre=centre, target=centre, rotation=rotation, scale=scale)


def deformed(image: Image, deformation: Deformation) -> Any:
    """Return the image, on its own grid, with the intensity at x that it has at phi(x)."""
    to_point = index_to_point(image)
    voxels = itk.array_view_from_image(image)
    index = np.moveaxis(np.indices(voxels.shape)[::-1], 0, -1)  # x, y, z
    mapped = deformation(index @ to_point[:, :-1].T + to_point[:, -1])
    source = (mapped - to_point[:, -1]) @ np.linalg.inv(to_point[:, :-1]).T
    found = itk.image_from_array(
        map_coordinates(voxels, np.moveaxis(source[..., ::-1], -1, 0), order=1)
    )
    found.CopyInformation(image)
    return found


def last_displacement(
    settings: DeformationSettings, fixed: Image, moving: Image, method: str, model: str
) -> Any:
    """Register, and return ``T(x) - x`` in mm at the fixed image's voxels, components last."""
    last = last_alignment(
        methods.find(method, settings.own),
        fixed=fixed,
        moving=moving,
        modalities=("T1", "T2") if model.startswith("t1t2") else settings.modalities,
        model=model,
        threads=1,
        seed=settings.seed,
    )
    return last.displacement


def error(fixed: Image, deformation: Deformation, displacement: Any) -> float:
    """Return the mean of ``|phi(T(x)) - x|`` over the fixed image's foreground, in mm."""
    inside = itk.array_view_from_image(foreground_mask(fixed)) > 0
    to_point = index_to_point(fixed)
    points: Points = np.argwhere(inside)[:, ::-1] @ to_point[:, :-1].T + to_point[:, -1]
    moved = points + (displacement[inside] if np.ndim(displacement) else 0)
    return float(np.linalg.norm(deformation(moved) - points, axis=1).mean())


if __name__ == "__main__":
    sys.exit(main())
