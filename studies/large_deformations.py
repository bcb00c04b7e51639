# SPDX-License-Identifier: Apache-2.0
"""What the discrete search is worth, between images that are further and further apart.

    python studies/large_deformations.py subjects.csv registrations.csv --amplitudes 0 20 \
        --labels 1-50 --out out.csv

aligns every pair of the tables by the linear stages of `cnnmetric.register`, adds a smooth random
deformation of the given largest length to what they found, and goes on by the displacement field
without and with a search. Appends a row per registration to a CSV file as soon as it is done; run
again, it goes on where it was. Prints mean and SD of Dice over the registrations.
"""

from __future__ import annotations

import sys
import time
import zlib
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
from cnnmetric.evaluation.alignment import Alignment
from cnnmetric.evaluation.job import read_pair
from cnnmetric.evaluation.score import score
from cnnmetric.evaluation.settings import parse_labels
from cnnmetric.evaluation.tables import Registration
from cnnmetric.evaluation.tables import read_registrations
from cnnmetric.images import warping
from shared import append_row
from shared import check_made_with
from shared import dice_table
from shared import read_rows

COLUMNS = (
    *("registration", "amplitude", "search", "dice", "folded", "seconds"),
    *("labels", "seed", "width"),
)
SEARCHES = {"no": None, "yes": cnnmetric.DiscreteSearch()}


@dataclass(frozen=True, kw_only=True)
class LargeSettings(Settings):
    """Which registrations to run, and where to note the results."""

    subjects: Path = setting(positional=True, help_text="CSV, as for cnnmetric.evaluate")
    registrations: Path = setting(positional=True, help_text="CSV, as for cnnmetric.evaluate")
    amplitudes: tuple[float, ...] = setting(
        (0.0, 20.0), help_text="largest lengths of the random deformation", unit="mm", minimum=0
    )
    width: float = setting(20.0, help_text="SD of its Gaussian", unit="mm", above=0)
    labels: str = setting("all", help_text="labels to compare, for example 1-50; all but 0: all")
    out: Path = setting(help_text="CSV of results, which a further run continues")
    threads: int = setting(1, help_text="of a registration", minimum=0)
    seed: int = setting(1, help_text="of registration and deformation", minimum=0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = parser_for(LargeSettings, "Dice with and without a discrete search.")

    def command() -> None:
        run(settings_from(parser.parse_args(arguments)))

    return run_command("large_deformations", command, interrupted="the same command goes on")


def run(settings: LargeSettings) -> None:
    """Run what has no result yet, and print the table."""
    rows = read_rows(settings.out)
    check_made_with(settings.out, rows, _shared(settings))
    done = {(row["registration"], float(row["amplitude"]), row["search"]) for row in rows}
    variants = [(amplitude, search) for amplitude in settings.amplitudes for search in SEARCHES]
    registrations = read_registrations(settings.subjects, settings.registrations)
    for registration in registrations:
        missing = [variant for variant in variants if (registration.name, *variant) not in done]
        if missing:
            for row in _rows(settings, registration, missing):
                rows.append(row)
                append_row(settings.out, COLUMNS, row)
    names = {registration.name for registration in registrations}  # the file may hold others, too
    groups = [
        (
            (f"{amplitude:g}", search),
            [
                row
                for row in rows
                if (float(row["amplitude"]), row["search"]) == (amplitude, search)
                and row["registration"] in names
            ],
        )
        for amplitude, search in variants
    ]
    print(dice_table(("largest, mm", "search"), groups))


def _shared(settings: LargeSettings) -> dict[str, Any]:
    return {"labels": settings.labels, "seed": settings.seed, "width": settings.width}


def _rows(
    settings: LargeSettings, registration: Registration, variants: Sequence[tuple[float, str]]
) -> Iterator[dict[str, Any]]:
    """Yield the row of every largest length with and without a search, as soon as it is there."""
    pair = read_pair(registration)
    linear = cnnmetric.register(
        pair.fixed,
        pair.moving,
        fixed_modality=registration.fixed_modality,
        deformation="affine",
        threads=settings.threads,
        seed=settings.seed,
    )
    # By the name, as the place in a table may change from run to run.
    seed = [settings.seed, zlib.crc32(registration.name.encode())]
    for amplitude, name in variants:
        away = random_deformation(pair.fixed, amplitude, settings.width, seed)
        started = time.process_time()
        field = cnnmetric.register_displacement_field(
            pair.fixed,
            pair.moving,
            initial=warping.composite_transform([linear.transform, away], 3),
            fixed_modality=registration.fixed_modality,
            search=SEARCHES[name],
            number_of_threads=settings.threads,
            seed=settings.seed,
        )
        seconds = time.process_time() - started
        alignment = Alignment(
            step="deformable", displacement=itk.array_from_image(field), seconds=seconds
        )
        scores = score(pair, alignment, parse_labels(settings.labels))
        yield {
            "registration": registration.name,
            "amplitude": amplitude,
            "search": name,
            "dice": round(scores["dice"], 5),
            "folded": round(scores["folded"], 6),
            "seconds": round(seconds, 1),
            **_shared(settings),
        }


def random_deformation(fixed: Any, amplitude: float, width: float, seed: Sequence[int]) -> Any:
    """Return a transform of smooth random displacements, of which the longest is `amplitude`."""
    shape = itk.array_view_from_image(fixed).shape
    sigma = width / np.array(fixed.GetSpacing())[::-1]
    random = np.random.default_rng(seed)
    parts = [gaussian_filter(random.standard_normal(shape), sigma) for _ in range(3)]
    displacement = np.stack(parts, axis=-1)
    displacement *= amplitude / np.linalg.norm(displacement, axis=-1).max()
    return warping.displacement_transform(displacement, fixed)


if __name__ == "__main__":
    sys.exit(main())
