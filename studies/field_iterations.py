# SPDX-License-Identifier: Apache-2.0
"""How many iterations the levels of the displacement field need, and whether the metric tells.

    python studies/field_iterations.py subjects.csv registrations.csv --labels 1-50 \
        --iterations 8,14,10 8,10,10 --tolerances 0.2 --out iterations.csv

aligns every pair of the tables by the linear stages of `cnnmetric.register`, and goes on by the
displacement field with every number of iterations. For a tolerance, a level ends where the mean of
the metric over four iterations is lower than over the four before by less than this share of what
the level has gained; the metric is that of the first numbers of iterations. Appends a row per
registration to a CSV file as soon as it is done; run again, it goes on where it was, and registers
by the first numbers once more if only a tolerance needs them. Prints mean and SD of Dice over the
registrations, and the processor time of the field.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from pathlib import Path
from typing import Any

import itk
import numpy as np

import cnnmetric
from cnnmetric.command_line import Settings
from cnnmetric.command_line import parser_for
from cnnmetric.command_line import run_command
from cnnmetric.command_line import setting
from cnnmetric.command_line import settings_from
from cnnmetric.evaluation.alignment import Alignment
from cnnmetric.evaluation.job import read_pair
from cnnmetric.evaluation.score import LabelledPair
from cnnmetric.evaluation.score import score
from cnnmetric.evaluation.settings import parse_labels
from cnnmetric.evaluation.tables import Registration
from cnnmetric.evaluation.tables import read_registrations
from cnnmetric.plugin.package_data import DEFAULT_MODEL
from cnnmetric.registration.field_level import levels_for
from cnnmetric.registration.grid import choose_grid
from cnnmetric.types import Image
from shared import append_row
from shared import check_made_with
from shared import dice_table
from shared import read_rows

COLUMNS = (
    *("registration", "variant", "iterations", "dice", "folded", "seconds"),
    *("labels", "seed"),
)
_CYCLE = 4  # iterations after which the places of the patch grid come round


@dataclass(frozen=True, kw_only=True)
class IterationsSettings(Settings):
    """Which registrations to run, and where to note the results."""

    subjects: Path = setting(positional=True, help_text="CSV, as for cnnmetric.evaluate")
    registrations: Path = setting(positional=True, help_text="CSV, as for cnnmetric.evaluate")
    iterations: tuple[str, ...] = setting(
        ("8,14,10",), help_text="of the levels, from coarse to fine"
    )
    tolerances: tuple[float, ...] = setting((), help_text="shares that end a level", above=0)
    labels: str = setting("all", help_text="labels to compare, for example 1-50; all but 0: all")
    out: Path = setting(help_text="CSV of results, which a further run continues")
    threads: int = setting(1, help_text="of a registration", minimum=0)
    seed: int = setting(1, help_text="of a registration", minimum=0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = parser_for(IterationsSettings, "Dice against the iterations of the field.")

    def command() -> None:
        run(settings_from(parser.parse_args(arguments)))

    return run_command("field_iterations", command, interrupted="the same command goes on")


def run(settings: IterationsSettings) -> None:
    """Run what has no result yet, and print the table."""
    rows = read_rows(settings.out)
    check_made_with(settings.out, rows, _shared(settings))
    variants = [*settings.iterations, *(f"{share:g}" for share in settings.tolerances)]
    done = {(row["registration"], row["variant"]) for row in rows}
    registrations = read_registrations(settings.subjects, settings.registrations)
    for registration in registrations:
        missing = [variant for variant in variants if (registration.name, variant) not in done]
        if missing:
            study = _Study(settings, registration)
            for variant in missing:
                rows.append(study.row(variant))
                append_row(settings.out, COLUMNS, rows[-1])
    names = {registration.name for registration in registrations}  # the file may hold others, too
    groups = [
        (
            (variant,),
            [row for row in rows if row["variant"] == variant and row["registration"] in names],
        )
        for variant in variants
    ]
    print(dice_table(("iterations",), groups, seconds="s of the field"))


def _shared(settings: IterationsSettings) -> dict[str, Any]:
    return {"labels": settings.labels, "seed": settings.seed}


class _Study:
    """One registration, by fields of different numbers of iterations."""

    def __init__(self, settings: IterationsSettings, registration: Registration) -> None:
        self._settings = settings
        self._registration = registration
        self._pair: LabelledPair = read_pair(registration)
        self._linear = cnnmetric.register(
            self._pair.fixed,
            self._pair.moving,
            fixed_modality=registration.fixed_modality,
            deformation="affine",
            threads=settings.threads,
            seed=settings.seed,
        )
        network = cnnmetric.DissimilarityNetwork(DEFAULT_MODEL)
        finest = choose_grid(self._pair.fixed, self._pair.moving, network).spacing
        levels = levels_for(network.spacing)
        self._levels = [
            replace(level, grid_spacing=max(level.grid_spacing, finest)) for level in levels[:-1]
        ]
        self._levels.append(replace(levels[-1], grid_spacing=finest))
        self._first = settings.iterations[0]
        self._values: list[list[float]] = []  # of the metric, at the levels of the first variant

    def row(self, variant: str) -> dict[str, Any]:
        """Register, and return the results."""
        iterations = self._iterations(variant)
        started = time.process_time()
        field, values = self._registered(iterations)
        seconds = time.process_time() - started
        if variant == self._first:
            self._values = values
        alignment = Alignment(
            step="deformable", displacement=itk.array_from_image(field), seconds=seconds
        )
        found = score(self._pair, alignment, parse_labels(self._settings.labels))
        return {
            "registration": self._registration.name,
            "variant": variant,
            "iterations": ",".join(map(str, iterations)),
            "dice": round(found["dice"], 5),
            "folded": round(found["folded"], 6),
            "seconds": round(seconds, 1),
            **_shared(self._settings),
        }

    def _iterations(self, variant: str) -> list[int]:
        """Return those of the levels; of a tolerance, by the metric under the first variant."""
        if "," in variant:
            return _numbers(variant)
        if not self._values:  # the row of the first variant is from an earlier run
            _, self._values = self._registered(_numbers(self._first))
        return [iterations_until(of, float(variant)) for of in self._values]

    def _registered(self, iterations: Sequence[int]) -> tuple[Image, list[list[float]]]:
        """Return the displacement field, and the metric after every iteration of every level."""
        values: list[list[float]] = [[] for _ in iterations]
        field = cnnmetric.register_displacement_field(
            self._pair.fixed,
            self._pair.moving,
            initial=self._linear.transform,
            fixed_modality=self._registration.fixed_modality,
            levels=[
                replace(level, iterations=number)
                for level, number in zip(self._levels, iterations, strict=True)
            ],
            number_of_threads=self._settings.threads,
            seed=self._settings.seed,
            on_iteration=lambda finished: values[finished.level].append(finished.value),
        )
        return field, values


def _numbers(variant: str) -> list[int]:
    return [int(number) for number in variant.split(",")]


def iterations_until(values: Sequence[float], tolerance: float) -> int:
    """Return after how many iterations the metric gains less than a share of what it has gained."""
    for number in range(2 * _CYCLE, len(values)):
        late, before = (
            float(np.mean(values[end - _CYCLE : end])) for end in (number, number - _CYCLE)
        )
        if before - late < tolerance * (values[0] - late):
            return number
    return len(values)


if __name__ == "__main__":
    sys.exit(main())
