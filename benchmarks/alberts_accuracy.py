# SPDX-License-Identifier: Apache-2.0
"""Accuracy of the shipped parameter files on labelled subjects (paper, Section 3.1).

    python benchmarks/alberts_accuracy.py --data $CNNMETRIC_DATA/dev/alberts --methods cnn mi

registers pairs listed in the folder's ``registrations.csv`` by similarity transform and B-spline,
and prints mean Dice of labels 1 to 50 as a Markdown table. Every registration is appended to a file
of JSON lines when it is done; run again, the script goes on where it was. ``+mask`` restricts the
fixed image to voxels above 0.01 of its maximum, as the paper does for its baseline MI+M.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnmetric import pipeline
from cnnmetric.command_line import parser_for
from cnnmetric.command_line import setting
from cnnmetric.command_line import settings_from
from cnnmetric.errors import CNNMetricError
from cnnmetric.errors import DataError
from cnnmetric.errors import SettingsError
from cnnmetric.overlap import overlap

LABELS = range(1, 51)
METHODS = ("cnn", "cnn+mask", "mi", "mi+mask")
STEPS = ("initial", *pipeline.STAGES)


@dataclass(frozen=True, kw_only=True)
class AccuracySettings:
    """Which registrations to run, and where to note the results."""

    data: Path = setting(help_text="folder with subjects.csv and registrations.csv")
    methods: tuple[str, ...] = setting(("cnn", "mi"), help_text=f"of {', '.join(METHODS)}")
    registrations: tuple[str, ...] = setting(
        ("all",), help_text="as 03:T1:13:T2 (fixed subject and modality, moving ...), or all"
    )
    results: Path = setting(
        Path("alberts_accuracy.jsonl"), help_text="file of JSON lines to continue"
    )
    model: str = setting("t1t2", help_text="model of the learned metric")
    threads: int = setting(0, help_text="threads of elastix, 0 = all cores", unit="threads")

    def __post_init__(self) -> None:
        """Check the names of the methods."""
        unknown = sorted(set(self.methods) - set(METHODS))
        if unknown:
            msg = f"unknown method {', '.join(unknown)}; there are {', '.join(METHODS)}"
            raise SettingsError(msg)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status: 0, or 1 after an error."""
    try:
        parser = parser_for(AccuracySettings, "Dice of the shipped parameter files.")
        settings = settings_from(parser.parse_args(arguments))
        registrations = chosen_registrations(settings)
        results = finished(settings.results)
        for registration in registrations:
            for method in settings.methods:
                if (registration, method) not in results:
                    result = register(settings, registration, method)
                    results[registration, method] = result
                    with settings.results.open("a") as file:
                        file.write(json.dumps(result) + "\n")
                    print(f"{registration} {method}: {summary(result)}", file=sys.stderr)
    except CNNMetricError as error:
        print(f"alberts_accuracy: {error}", file=sys.stderr)
        return 1
    print(table(registrations, settings.methods, results))
    return 0


def chosen_registrations(settings: AccuracySettings) -> list[str]:
    """Return the registrations asked for, which must be in the folder's table."""
    columns = ("fixed_subject", "fixed_modality", "moving_subject", "moving_modality")
    known = [":".join(row[c] for c in columns) for row in read_table(settings, "registrations.csv")]
    if settings.registrations == ("all",):
        return known
    unknown = sorted(set(settings.registrations) - set(known))
    if unknown:
        msg = f"no registration {', '.join(unknown)} in registrations.csv; one is {known[0]}"
        raise DataError(msg)
    return list(settings.registrations)


def read_table(settings: AccuracySettings, name: str) -> list[dict[str, str]]:
    """Return the rows of a table of the data folder."""
    file = settings.data / name
    if not file.is_file():
        msg = f"there is no {file}; --data is the folder that holds it"
        raise DataError(msg)
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def finished(file: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the results of earlier runs by registration and method."""
    lines = file.read_text().splitlines() if file.is_file() else []
    results = [json.loads(line) for line in lines]
    return {(result["registration"], result["method"]): result for result in results}


def register(settings: AccuracySettings, registration: str, method: str) -> dict[str, Any]:
    """Run one registration; a failure is noted and not raised."""
    fixed_subject, fixed_modality, moving_subject, moving_modality = registration.split(":")
    subjects = {row["subject"]: row for row in read_table(settings, "subjects.csv")}
    fixed = pipeline.read_image(settings.data / subjects[fixed_subject][fixed_modality])
    moving = pipeline.read_image(settings.data / subjects[moving_subject][moving_modality])
    fixed_labels = pipeline.read_labels(settings.data / subjects[fixed_subject]["labels"])
    moving_labels = pipeline.read_labels(settings.data / subjects[moving_subject]["labels"])
    metric, _, mask = method.partition("+")
    learned = {"CNNMetricModel": settings.model, "CNNMetricFixedModality": fixed_modality}

    unmoved = pipeline.on_grid_of(moving_labels, fixed_labels)
    dice = {"initial": overlap(fixed_labels, unmoved, labels=LABELS).dice}
    result: dict[str, Any] = {"registration": registration, "method": method, "dice": dice}
    seconds = 0.0
    try:
        for stage in pipeline.register(
            fixed,
            moving,
            method=metric,
            overrides=learned if metric == "cnn" else {},
            fixed_mask=pipeline.foreground_mask(fixed) if mask else None,
            threads=settings.threads,
        ):
            seconds += stage.seconds
            warped = pipeline.warp_labels(moving_labels, stage.transform)
            dice[stage.name] = overlap(fixed_labels, warped, labels=LABELS).dice
            result["folded_share"] = pipeline.folded_share(moving, stage.transform)
    except RuntimeError as error:
        result["failure"] = str(error)
    return {**result, "seconds": round(seconds, 1)}


def mean_dice(result: dict[str, Any], step: str) -> float:
    """Return mean Dice over the labels, NaN where a failed registration did not get so far."""
    return float(np.nanmean(list(result["dice"].get(step, {0: np.nan}).values())))


def summary(result: dict[str, Any]) -> str:
    """Return one line on a registration."""
    if "failure" in result:
        return f"failed: {result['failure'].splitlines()[-1]}"
    values = " -> ".join(f"{mean_dice(result, step):.3f}" for step in STEPS)
    return f"Dice {values}, {result['seconds']:.0f} s"


def table(
    registrations: Sequence[str],
    methods: Sequence[str],
    results: dict[tuple[str, str], dict[str, Any]],
) -> str:
    """Return the Markdown table: mean and SD over the registrations that succeeded."""
    lines = [
        f"| method | registrations (failed) | {' | '.join(STEPS)} | det J <= 0 | s |",
        "|---|---:|" + "---:|" * (len(STEPS) + 2),
    ]
    for method in methods:
        all_runs = [results[registration, method] for registration in registrations]
        runs = [run for run in all_runs if "failure" not in run]
        cells = [method, f"{len(all_runs)} ({len(all_runs) - len(runs)})"]
        if runs:
            dice = np.array([[mean_dice(run, step) for step in STEPS] for run in runs])
            cells += [mean_and_sd(column) for column in dice.T]
            cells += [f"{np.mean([run['folded_share'] for run in runs]):.2%}"]
            cells += [f"{np.mean([run['seconds'] for run in runs]):.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def mean_and_sd(values: NDArray[np.float64]) -> str:
    """Return for example ``0.677 (0.023)``."""
    spread = values.std(ddof=1) if values.size > 1 else 0.0
    return f"{values.mean():.3f} ({spread:.3f})"


if __name__ == "__main__":
    sys.exit(main())
