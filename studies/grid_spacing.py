# SPDX-License-Identifier: Apache-2.0
"""Which voxel size of the finest grid suits which brains (cnnmetric/registration/grid.py).

    python studies/grid_spacing.py subjects.csv registrations.csv --spacings 0.7 1.0 --out out.csv

registers every pair of the tables by `cnnmetric.register` with every voxel size, and appends one
row per registration to a CSV file as soon as it is done; run again, it goes on where it was. Prints
mean and SD of Dice over the registrations, and what the rule would have chosen.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from typing import Literal

import itk

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
from cnnmetric.plugin.package_data import DEFAULT_MODEL
from cnnmetric.registration.grid import choose_grid
from shared import append_row
from shared import check_made_with
from shared import dice_table
from shared import read_rows

COLUMNS = (
    *("registration", "deformation", "spacing", "rule", "dice", "folded", "seconds"),
    *("labels", "seed"),
)


@dataclass(frozen=True, kw_only=True)
class GridSettings(Settings):
    """Which registrations to run, and where to note the results."""

    subjects: Path = setting(positional=True, help_text="CSV, as for cnnmetric.evaluate")
    registrations: Path = setting(positional=True, help_text="CSV, as for cnnmetric.evaluate")
    spacings: tuple[float, ...] = setting(
        (0.7, 1.0), help_text="voxel sizes of the finest level", unit="mm", above=0
    )
    deformation: Literal["field", "bspline"] = setting("field", help_text="as for register")
    labels: str = setting("all", help_text="labels to compare, for example 1-50; all but 0: all")
    out: Path = setting(help_text="CSV of results, which a further run continues")
    threads: int = setting(1, help_text="of a registration", minimum=0)
    seed: int = setting(1, help_text="of a registration", minimum=0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = parser_for(GridSettings, "Dice against the voxel size of the finest grid.")

    def command() -> None:
        run(settings_from(parser.parse_args(arguments)))

    return run_command("grid_spacing", command, interrupted="the same command goes on")


def run(settings: GridSettings) -> None:
    """Run what has no result yet, and print the table."""
    rows = read_rows(settings.out)
    check_made_with(settings.out, rows, _shared(settings))
    done = {(row["registration"], row["deformation"], float(row["spacing"])) for row in rows}
    registrations = read_registrations(settings.subjects, settings.registrations)
    for registration in registrations:
        for spacing in settings.spacings:
            if (registration.name, settings.deformation, spacing) not in done:
                rows.append(_row(settings, registration, spacing))
                append_row(settings.out, COLUMNS, rows[-1])
    names = {registration.name for registration in registrations}
    # The file may hold those of other tables and of the other kind of deformation, too.
    shown = [
        row
        for row in rows
        if row["registration"] in names and row["deformation"] == settings.deformation
    ]
    _print_table(settings.spacings, shown)


def _shared(settings: GridSettings) -> dict[str, Any]:
    return {"labels": settings.labels, "seed": settings.seed}


def _print_table(spacings: Sequence[float], rows: Sequence[dict[str, Any]]) -> None:
    groups = [
        ((f"{spacing:g}",), [row for row in rows if float(row["spacing"]) == spacing])
        for spacing in spacings
    ]
    print(dice_table(("spacing, mm",), groups))
    chosen = sorted({str(row["rule"]) for row in rows})
    print(f"\nThe rule chooses {' or '.join(chosen)} mm.")


def _row(settings: GridSettings, registration: Registration, spacing: float) -> dict[str, Any]:
    pair = read_pair(registration)
    result = cnnmetric.register(
        pair.fixed,
        pair.moving,
        fixed_modality=registration.fixed_modality,
        deformation=settings.deformation,
        grid_spacing=spacing,
        threads=settings.threads,
        seed=settings.seed,
    )
    seconds = sum(stage.seconds for stage in result.stages)
    displacement = itk.array_from_image(result.displacement)
    alignment = Alignment(step="deformable", displacement=displacement, seconds=seconds)
    found = score(pair, alignment, parse_labels(settings.labels))
    rule = choose_grid(pair.fixed, pair.moving, cnnmetric.DissimilarityNetwork(DEFAULT_MODEL))
    return {
        "registration": registration.name,
        "deformation": settings.deformation,
        "spacing": spacing,
        "rule": rule.spacing,
        "dice": round(found["dice"], 5),
        "folded": round(found["folded"], 6),
        "seconds": found["seconds"],
        **_shared(settings),
    }


if __name__ == "__main__":
    sys.exit(main())
