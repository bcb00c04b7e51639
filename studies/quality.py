# SPDX-License-Identifier: Apache-2.0
"""Which figures tell a failed registration from a right one, without labels.

    python studies/quality.py $CNNMETRIC_DATA/dev/alberts/subjects.csv --out quality.csv

registers pairs of subjects that fit, and pairs that cannot fit or are given wrongly, and appends
the figures of `cnnmetric/report/quality.py` to a CSV file, a row per registration; run again, it
goes on where it was. The limits in `cnnmetric/report/judgement.py` are chosen on such rows.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import itk
import numpy as np
from scipy.ndimage import gaussian_filter

import cnnmetric
from cnnmetric.command_line import Settings
from cnnmetric.command_line import parser_for
from cnnmetric.command_line import run_command
from cnnmetric.command_line import setting
from cnnmetric.command_line import settings_from
from cnnmetric.errors import DataError
from cnnmetric.files.tables import read_table
from cnnmetric.images.arrays import image_like
from cnnmetric.images.files import read_image
from cnnmetric.report.quality import Quality
from cnnmetric.types import Deformation
from cnnmetric.types import Image
from shared import append_row
from shared import read_rows

COLUMNS = (
    *("case", "model", "deformation", "before", "value", "rise", "agreement", "overlap"),
    *("swapped", "flipped", "correlation", "folded", "warnings"),
)


@dataclass(frozen=True, kw_only=True)
class QualitySettings(Settings):
    """Which subjects to register, and how."""

    subjects: Path = setting(positional=True, help_text="CSV, as for cnnmetric.evaluate")
    out: Path = setting(help_text="CSV of figures, which a further run continues")
    model: str = setting("t1t2-fast", help_text="as for register")
    deformation: Deformation = setting("affine", help_text="as for register")
    only: str = setting("", help_text="beginning of the names of the cases to run; empty for all")
    threads: int = setting(1, help_text="of a registration", minimum=0)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A pair to register, and what is wrong with it, which its name begins with."""

    name: str
    fixed: Image
    moving: Image
    fixed_modality: str = "T1"
    initial: Any = None


def cases(subjects: Sequence[dict[str, Path]]) -> Iterator[tuple[str, Callable[[], Case]]]:
    """Yield name and maker of every case: right ones between all neighbours, then wrong ones.

    Parameters
    ----------
    subjects
        Images by ``T1`` and ``T2``; at least two.
    """

    def case(kind: str, one: int, other: int) -> tuple[str, Callable[[], Case]]:
        name = f"{kind} {one} {other}"
        return name, lambda: _case(name, kind, subjects[one], subjects[other])

    number = len(subjects)
    for one in range(number):
        yield case("right", one, (one + 1) % number)
    yield case("right-T2", 0, min(2, number - 1))
    yield case("right-same", 0, 0)
    for one in (0, 1):
        for kind in ("swapped", "organ", "flip", "noise", "start", "upside-down", "alike"):
            yield case(kind, one, (one + 1) % number)
    yield case("flip-same", 0, 0)
    yield case("noise-smooth", 0, 0)


def noise(grid: Image, *, seed: int, smoothing: float = 0.0) -> Image:
    """Return noise on the grid of an image, smoothed by a deviation in voxels."""
    values = np.random.default_rng(seed).random(itk.array_view_from_image(grid).shape)
    values = gaussian_filter(values, smoothing)
    return image_like(((values - values.min()) / np.ptp(values)).astype(np.float32), grid)


def organ(grid: Image, *, seed: int) -> Image:
    """Return ellipsoids of random place, size and intensity in a large one, and some noise."""
    shape = itk.array_view_from_image(grid).shape
    random = np.random.default_rng(seed)
    axes = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    places = np.stack(axes, axis=-1)
    body = ((places / np.array([0.8, 0.55, 0.7])) ** 2).sum(axis=-1) < 1
    values = np.where(body, 0.4, 0.0)
    for _ in range(12):
        centre, half_axes = random.uniform(-0.5, 0.5, 3), random.uniform(0.1, 0.35, 3)
        inside = (((places - centre) / half_axes) ** 2).sum(axis=-1) < 1
        values[inside] = random.uniform(0.1, 1.0)
    values = gaussian_filter(values * body, 1.0) + 0.02 * random.normal(size=shape) * body
    return image_like(values.astype(np.float32), grid)


def mirrored(image: Image, *, axis: int = 0) -> Image:
    """Return an image mirrored along a patient's axis (0 is left to right), its header kept."""
    along = int(np.abs(itk.array_from_matrix(image.GetDirection()))[axis].argmax())
    array = itk.array_from_image(image)
    return image_like(np.flip(array, array.ndim - 1 - along), image)


def wrong_start(fixed: Image, moving: Image) -> Any:
    """Return a transform that lays the centres 27 mm apart, turned by 70 and 60 degrees."""
    middles = [
        np.array(image.TransformIndexToPhysicalPoint([int(n) // 2 for n in itk.size(image)]))
        for image in (fixed, moving)
    ]
    transform = itk.Euler3DTransform[itk.D].New()
    transform.SetRotation(*np.deg2rad([70.0, 0.0, 60.0]).tolist())
    transform.SetCenter(middles[0].tolist())
    transform.SetTranslation((middles[1] - middles[0] + np.array([10.0, 20.0, -15.0])).tolist())
    return transform


def _case(name: str, kind: str, one: dict[str, Path], other: dict[str, Path]) -> Case:
    t2_fixed = kind == "right-T2"
    fixed = read_image(one["T2" if t2_fixed else "T1"])
    moving = read_image(other["T1" if t2_fixed or kind == "alike" else "T2"])
    seed = int(name.split()[1])
    if kind == "organ":
        moving = organ(read_image(one["T2"]), seed=seed)
    elif kind.startswith("noise"):
        smoothing = 3.0 if kind == "noise-smooth" else 0.0
        moving = noise(read_image(one["T2"]), seed=seed, smoothing=smoothing)
    elif kind.startswith("flip"):
        moving = mirrored(moving)
    elif kind == "upside-down":
        moving = mirrored(moving, axis=2)
    return Case(
        name=name,
        fixed=fixed,
        moving=moving,
        fixed_modality="T2" if t2_fixed or kind == "swapped" else "T1",
        initial=wrong_start(fixed, moving) if kind == "start" else None,
    )


def row_of(name: str, quality: Quality, settings: QualitySettings) -> dict[str, Any]:
    """Return the figures of a registration as a row of the table."""
    record = quality.record()
    values = {column: record[column] for column in COLUMNS[3:-1]}
    return {
        "case": name,
        "model": settings.model,
        "deformation": settings.deformation,
        **values,
        "warnings": " ".join(quality.warnings),
    }


def run(settings: QualitySettings) -> None:
    """Run what has no row yet."""
    rows = read_rows(settings.out)
    done = {(row["case"], row["model"], row["deformation"]) for row in rows}
    subjects = _subjects(settings.subjects)
    for name, make in cases(subjects):
        wanted = name.startswith(settings.only)
        if not wanted or (name, settings.model, settings.deformation) in done:
            continue
        case = make()
        result = cnnmetric.register(
            case.fixed,
            case.moving,
            fixed_modality=case.fixed_modality,
            model=settings.model,
            deformation=settings.deformation,
            initial=case.initial,
            threads=settings.threads,
        )
        append_row(settings.out, COLUMNS, row_of(name, result.quality, settings))
        print(f"{name}: agreement {result.quality.agreement:.2f}", flush=True)


def _subjects(table: Path) -> list[dict[str, Path]]:
    """Return the images of all subjects that have both."""
    both = ("T1", "T2")
    rows = read_table(table, role="subjects", columns=both)
    found = [
        {name: table.parent / row[name] for name in both}
        for row in rows
        if all(row[name] for name in both)
    ]
    if len(found) < 2:
        msg = f"{table} has T1 and T2 of {len(found)} subjects; two or more are needed"
        raise DataError(msg)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = parser_for(QualitySettings, "Figures of right and of failed registrations.")

    def command() -> None:
        run(settings_from(parser.parse_args(arguments)))

    return run_command("quality", command, interrupted="the same command goes on")


if __name__ == "__main__":
    sys.exit(main())
