# SPDX-License-Identifier: Apache-2.0
"""Shipped parameter files with one parameter changed at a time.

    python studies/parameter_changes.py subjects.csv registrations.csv --methods mi+mask,mi

registers labelled subjects with the shipped parameter files of the methods and with each change
that there is for them (or only some: ``--changes "64 bins;20,000 samples"``), and prints the mean
Dice and its mean difference from the shipped ones as a Markdown table. The methods are ``cnn``, and
``mi`` and ``mi+mask``, the rivals, which are tuned as carefully.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from cnnmetric.command_line import Settings
from cnnmetric.command_line import parser_for
from cnnmetric.command_line import run_command
from cnnmetric.command_line import setting
from cnnmetric.command_line import settings_from
from cnnmetric.errors import SettingsError
from cnnmetric.evaluation.job import read_pair
from cnnmetric.evaluation.methods.base import Task
from cnnmetric.evaluation.methods.elastix import CNN
from cnnmetric.evaluation.methods.elastix import MI
from cnnmetric.evaluation.methods.elastix import ElastixMethod
from cnnmetric.evaluation.methods.elastix import MIMask
from cnnmetric.evaluation.score import score
from cnnmetric.evaluation.settings import parse_labels
from cnnmetric.evaluation.tables import read_registrations
from cnnmetric.plugin.package_data import DEFAULT_MODEL
from cnnmetric.types import ParameterObject
from shared import last_alignment
from shared import table_head
from shared import table_row

SHIPPED = "as shipped"
METHODS: dict[str, type[ElastixMethod]] = {method.name: method for method in (CNN, MI, MIMask)}
# Parameters by stage; under "" of all stages that have them.
Change = dict[str, dict[str, str]]
MI_CHANGES: dict[str, Change] = {
    SHIPPED: {},
    "masks eroded": {"": {"ErodeMask": "true"}},
    "control points every 13 mm": {"bspline": {"FinalGridSpacingInPhysicalUnits": "13.0"}},
    "control points every 16 mm": {"bspline": {"FinalGridSpacingInPhysicalUnits": "16.0"}},
    "fine control points every 4 mm": {"bspline_fine": {"FinalGridSpacingInPhysicalUnits": "4.0"}},
    "fine control points every 5 mm": {"bspline_fine": {"FinalGridSpacingInPhysicalUnits": "5.0"}},
    "fine stage with 500 iterations": {"bspline_fine": {"MaximumNumberOfIterations": "500"}},
    "64 bins": {"": {"NumberOfHistogramBins": "64"}},
    "20,000 samples": {"": {"NumberOfSpatialSamples": "20000"}},
}
SHORT = {"MaximumNumberOfIterations": "150"}
CNN_CHANGES: dict[str, Change] = {
    SHIPPED: {},
    "fine stage with 150 iterations": {"bspline_fine": SHORT},
    "fine stage with 500 iterations": {"bspline_fine": {"MaximumNumberOfIterations": "500"}},
    "20 blocks in the fine stage": {"bspline_fine": {"CNNMetricNumberOfBlocks": "20"}},
    "fine steps of 1 mm": {"bspline_fine": {"MaximumStepLength": "1.0"}},
    "fine control points every 4 mm": {"bspline_fine": {"FinalGridSpacingInPhysicalUnits": "4.0"}},
    "cubic interpolation in the fine stage": {
        "bspline_fine": {"Interpolator": "BSplineInterpolator"}
    },
    "images not smoothed in the fine stage": {"bspline_fine": {"ImagePyramidSchedule": "0 0 0"}},
    "fine grid of 1 mm": {"bspline_fine": {"CNNMetricGridSpacing": "1.0"}},
    "fine grid of 1 mm, fine control points every 3.5 mm": {
        "bspline_fine": {"CNNMetricGridSpacing": "1.0", "FinalGridSpacingInPhysicalUnits": "3.5"}
    },
    "150 iterations, fine grid of 1 mm": {"bspline_fine": {"CNNMetricGridSpacing": "1.0", **SHORT}},
    "150 iterations, fine grid of 0.5 mm": {
        "bspline_fine": {"CNNMetricGridSpacing": "0.5", **SHORT}
    },
    "150 iterations, fine control points every 4 mm": {
        "bspline_fine": {"FinalGridSpacingInPhysicalUnits": "4.0", **SHORT}
    },
    "150 iterations, grids of 2 and 0.7 mm before": {
        "bspline": {"CNNMetricGridSpacing": "2.0 0.7"},
        "bspline_fine": SHORT,
    },
}
CHANGES = {"mi": MI_CHANGES, "mi+mask": MI_CHANGES, "cnn": CNN_CHANGES}
WITHOUT_EFFECT = {("mi", "masks eroded")}


@dataclass(frozen=True, kw_only=True)
class ChangeSettings(Settings):
    """What to register."""

    subjects: Path = setting(positional=True, help_text="table of subjects")
    registrations: Path = setting(positional=True, help_text="table of registrations")
    methods: str = setting("cnn", help_text=f"of {', '.join(METHODS)}, separated by commas")
    model: str = setting(DEFAULT_MODEL, help_text="model of the learned metric")
    changes: str = setting("all", help_text="which rows, separated by semicolons")
    labels: str = setting("all", help_text="labels to compare, for example 1-50,85")
    threads: int = setting(1, help_text="threads of a registration", minimum=1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = parser_for(ChangeSettings, "Shipped parameter files with one change at a time.")

    def command() -> None:
        settings = settings_from(parser.parse_args(arguments))
        columns = chosen(settings)
        print(table(run(settings, columns), columns))

    return run_command("parameter_changes", command)


def chosen(settings: ChangeSettings) -> dict[str, list[str]]:
    """Return the changes that are asked for by method, that of the shipped files first."""
    methods = [name.strip() for name in settings.methods.split(",")]
    for name in methods:
        if name not in METHODS:
            msg = f"--methods: there is no {name!r}; there are: {', '.join(METHODS)}"
            raise SettingsError(msg)
    known = list(dict.fromkeys(name for method in methods for name in CHANGES[method]))
    asked = known if settings.changes == "all" else settings.changes.split(";")
    asked = [name.strip() for name in asked]
    for name in asked:
        if name not in known:
            msg = f"--changes: there is no {name!r}; there are: {'; '.join(known)}"
            raise SettingsError(msg)
    rows = [SHIPPED, *(name for name in asked if name != SHIPPED)]
    return {
        method: [
            name
            for name in rows
            if name in CHANGES[method] and (method, name) not in WITHOUT_EFFECT
        ]
        for method in methods
    }


def changed(method: type[ElastixMethod], change: Change) -> ElastixMethod:
    """Return a method with parameters of its own."""

    class Changed(method):  # type: ignore[misc, valid-type]
        def parameters(self, task: Task, stage: str) -> ParameterObject:
            found = super().parameters(task, stage)
            everywhere = change.get("", {})
            there = {name: everywhere[name] for name in everywhere if found.HasParameter(0, name)}
            for name, value in {**there, **change.get(stage, {})}.items():
                found.SetParameter(name, value.split())
            return found

    return Changed()


def run(settings: ChangeSettings, columns: dict[str, list[str]]) -> pd.DataFrame:
    """Return Dice, a row for each registration and a column for each method and change."""
    labels = parse_labels(settings.labels)
    rows = []
    for registration in tqdm(read_registrations(settings.subjects, settings.registrations)):
        pair = read_pair(registration)
        row = {}
        for method, name in [(of, name) for of, names in columns.items() for name in names]:
            last = last_alignment(
                changed(METHODS[method], CHANGES[method][name]),
                fixed=pair.fixed,
                moving=pair.moving,
                modalities=(registration.fixed_modality, registration.moving_modality),
                model=settings.model,
                threads=settings.threads,
                seed=1,
            )
            row[method, name] = score(pair, last, labels)["dice"]
        rows.append(row)
    return pd.DataFrame(rows)


def table(dice: pd.DataFrame, columns: dict[str, list[str]]) -> str:
    """Return means and mean differences as Markdown."""
    heads = [head for method in columns for head in (f"`{method}`", "difference")]
    lines = [table_head(["", *heads])]
    for name in dict.fromkeys(name for names in columns.values() for name in names):
        cells = []
        for method, names in columns.items():
            if name not in names:
                cells += ["", ""]
                continue
            values, shipped = dice[method, name], dice[method, SHIPPED]
            difference = "" if name == SHIPPED else f"{(values - shipped).mean():+.4f}"
            cells += [f"{values.mean():.4f}", difference]
        lines.append(table_row([name, *cells]))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
