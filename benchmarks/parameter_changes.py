# SPDX-License-Identifier: Apache-2.0
"""Settings of mutual information, the rival, next to those that we ship.

    python benchmarks/mutual_information_settings.py subjects.csv registrations.csv --labels 1-50

registers labelled subjects by ``mi+mask`` and ``mi`` with the shipped parameter files and with one
parameter of them changed at a time (or only some: ``--changes "64 bins;20,000 samples"``), and
prints the mean Dice and its mean difference from the shipped ones as a Markdown table.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from cnnmetric.command_line import parser_for
from cnnmetric.command_line import setting
from cnnmetric.command_line import settings_from
from cnnmetric.errors import CNNMetricError
from cnnmetric.errors import SettingsError
from cnnmetric.evaluation.job import read_pair
from cnnmetric.evaluation.methods.base import Task
from cnnmetric.evaluation.methods.elastix import MI
from cnnmetric.evaluation.methods.elastix import MIMask
from cnnmetric.evaluation.score import score
from cnnmetric.evaluation.settings import parse_labels
from cnnmetric.evaluation.tables import read_registrations

SHIPPED = "as shipped"
# Parameters by stage; of all stages that have them under "".
CHANGES: dict[str, dict[str, dict[str, str]]] = {
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
WITHOUT_EFFECT = {("mi", "masks eroded")}


@dataclass(frozen=True, kw_only=True)
class RivalSettings:
    """What to register."""

    subjects: Path = setting(positional=True, help_text="table of subjects")
    registrations: Path = setting(positional=True, help_text="table of registrations")
    changes: str = setting("all", help_text="which rows, separated by semicolons")
    labels: str = setting("all", help_text="labels to compare, for example 1-50,85")
    threads: int = setting(1, help_text="threads of a registration")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status: 0, or 1 after an error."""
    try:
        parser = parser_for(RivalSettings, "Settings of mutual information, compared.")
        settings = settings_from(parser.parse_args(arguments))
        chosen = parse_changes(settings.changes)
        print(table(run(settings, chosen), chosen))
    except CNNMetricError as error:
        print(f"mutual_information_settings: {error}", file=sys.stderr)
        return 1
    return 0


def parse_changes(text: str) -> list[str]:
    """Return the rows that are asked for, that of the shipped files first."""
    asked = list(CHANGES) if text == "all" else [name.strip() for name in text.split(";")]
    for name in asked:
        if name not in CHANGES:
            msg = f"--changes: there is no {name!r}; there are: {'; '.join(CHANGES)}"
            raise SettingsError(msg)
    return [SHIPPED, *(name for name in asked if name != SHIPPED)]


def changed(method: type[MI], change: dict[str, dict[str, str]]) -> MI:
    """Return a method with parameters of its own."""

    class Changed(method):  # type: ignore[misc, valid-type]
        def parameters(self, task: Task, stage: str) -> Any:
            found = super().parameters(task, stage)
            for name, value in {**change.get("", {}), **change.get(stage, {})}.items():
                if name in found.GetParameterMap(0):
                    found.SetParameter(name, value)
            return found

    return Changed()


def run(settings: RivalSettings, changes: Sequence[str]) -> pd.DataFrame:
    """Return Dice, a row for each registration and a column for each method and change."""
    labels = parse_labels(settings.labels)
    rows = []
    for registration in tqdm(read_registrations(settings.subjects, settings.registrations)):
        pair = read_pair(registration)
        row = {}
        for method in (MIMask, MI):
            for name in changes:
                if (method.name, name) in WITHOUT_EFFECT:
                    continue
                with tempfile.TemporaryDirectory() as folder:
                    task = Task(
                        fixed=pair.fixed,
                        moving=pair.moving,
                        fixed_modality=registration.fixed_modality,
                        moving_modality=registration.moving_modality,
                        preset="practical",
                        model="",
                        threads=settings.threads,
                        seed=1,
                        folder=Path(folder),
                    )
                    *_, last = changed(method, CHANGES[name]).register(task)
                row[method.name, name] = score(pair, last, labels)["dice"]
        rows.append(row)
    return pd.DataFrame(rows)


def table(dice: pd.DataFrame, changes: Sequence[str]) -> str:
    """Return means and mean differences as Markdown."""
    lines = ["| | `mi+mask` | difference | `mi` | difference |", "|---|---:|---:|---:|---:|"]
    for name in changes:
        cells = []
        for method in (MIMask.name, MI.name):
            if (method, name) in WITHOUT_EFFECT:
                cells += ["", ""]
                continue
            values, shipped = dice[method, name], dice[method, SHIPPED]
            difference = "" if name == SHIPPED else f"{(values - shipped).mean():+.4f}"
            cells += [f"{values.mean():.4f}", difference]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
