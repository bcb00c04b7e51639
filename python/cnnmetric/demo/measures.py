# SPDX-License-Identifier: Apache-2.0
"""How well a registration did, measured against what is known about the pair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cnnmetric.demo.cases import Case
from cnnmetric.images import warping
from cnnmetric.images.overlap import Overlap
from cnnmetric.images.overlap import overlap
from cnnmetric.types import Transform


@dataclass(frozen=True)
class Measures:
    """Quality after one step; what cannot be measured for a case is None.

    Attributes
    ----------
    step
        For example ``"before"`` or ``"CNN, B-spline"``.
    overlap
        Dice and Jaccard per label.
    errors
        Target registration error ``|T(x_fixed) - x_moving|`` of every landmark, mm.
    seconds
        Wall-clock time of the step.
    """

    step: str
    overlap: Overlap | None
    errors: npt.NDArray[np.float64] | None
    seconds: float | None

    def record(self) -> dict[str, Any]:
        """Return the numbers as plain values for JSON."""
        return {
            "step": self.step,
            "dice_mean": self.overlap and self.overlap.mean_dice,
            "dice_per_label": self.overlap and self.overlap.dice,
            "target_registration_error_mean_mm": _rounded(self.errors, np.mean),
            "target_registration_error_sd_mm": _rounded(self.errors, np.std),
            "seconds": self.seconds,
        }


def measure(
    case: Case, step: str, *, transform: Transform | None = None, seconds: float | None = None
) -> Measures:
    """Measure ``case`` under ``transform``, or as its headers place it if there is none."""
    compared = None
    if case.fixed_labels is not None:
        warped = warping.resample_labels(case.moving_labels, case.fixed_labels, transform)
        compared = overlap(case.fixed_labels, warped, labels=case.labels)
    errors = None
    if case.fixed_points is not None and case.moving_points is not None:
        mapped = case.fixed_points
        if transform is not None:
            mapped = warping.map_points(transform, case.fixed_points)
        errors = np.linalg.norm(mapped - case.moving_points, axis=1)
    return Measures(step, compared, errors, seconds)


def table(rows: list[Measures], case: Case) -> str:
    """Return the measures as a text table, one line per step."""
    names = case.label_names or {}
    head = f"{'':<18}{'Dice mean (SD)':>17}"
    head += "".join(f"{_short(name):>11}" for name in names.values())
    head += f"{'TRE mean (SD)':>19}{'time':>9}"
    lines = [head]
    for row in rows:
        line = f"{row.step:<18}{_dice_text(row):>17}"
        if row.overlap is not None:
            line += "".join(f"{row.overlap.dice[label]:>11.3f}" for label in names)
        line += f"{_error_text(row):>19}"
        line += f"{row.seconds:>7.0f} s" if row.seconds is not None else ""
        lines.append(line.rstrip())
    return "\n".join(lines)


def _short(name: str) -> str:
    return {
        "cortical grey matter": "cortex",
        "white matter": "white m.",
        "deep grey matter": "deep grey",
    }.get(name, name)


def _dice_text(row: Measures) -> str:
    if row.overlap is None:
        return "-"
    values = np.array(list(row.overlap.dice.values()))
    return f"{row.overlap.mean_dice:.3f} ({np.nanstd(values):.3f})"


def _error_text(row: Measures) -> str:
    if row.errors is None:
        return "-"
    return f"{row.errors.mean():.2f} ({row.errors.std():.2f}) mm"


def _rounded(errors: npt.NDArray[np.float64] | None, summary: Any) -> float | None:
    return None if errors is None else round(float(summary(errors)), 4)
