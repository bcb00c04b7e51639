# SPDX-License-Identifier: Apache-2.0
"""The paper's Table 1 and its test: methods compared over the same registrations."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from cnnmetric.errors import DataError
from cnnmetric.errors import SettingsError
from cnnmetric.evaluation.alignment import STEPS

DEFAULT_BASELINE = "mi+mask"
# Up to which two measurements of the same overlap differ.
ROUNDING = 1e-6
NOTE = """Mean (SD) over registrations of the mean over labels. A method that failed leaves images
as they were: it counts with its overlap before registration. improved: registrations with higher
Dice than before. folded: share of voxels with det J <= 0. s: seconds of registration. Counted are
registrations that every method of the preset has been run on."""
NOTE_ON_TESTS = """wins: registrations with higher Dice than with {baseline}. p: one-sided, paired
tests that Dice is higher than with {baseline}."""


class Summary:
    """The table of results.

    Parameters
    ----------
    records
        Of `cnnmetric.evaluation.job.Job`.
    baseline
        Name of the method that the others are tested against; empty for :data:`DEFAULT_BASELINE`
        where it has results, and no tests where it has not.

    Raises
    ------
    DataError
        If there is nothing to compare.
    SettingsError
        If the baseline has no results.

    Attributes
    ----------
    baseline
        The method that the others are tested against, empty for none.
    table
        One row for each preset and method, in the order in which they were first run.
    registrations
        One row for each preset, method and registration, those included that not all have run.
    """

    def __init__(self, records: Sequence[dict[str, Any]], *, baseline: str) -> None:
        runs = frame(records)
        if not baseline and DEFAULT_BASELINE in set(runs["method"]):
            baseline = DEFAULT_BASELINE
        self.baseline = baseline
        if baseline and baseline not in set(runs["method"]):
            found = ", ".join(runs["method"].unique())
            msg = f"the baseline {baseline} has no results; there are {found}: give --baseline"
            raise SettingsError(msg)
        self.registrations = runs
        rows = []
        for preset, of_preset in runs.groupby("preset", sort=False):
            common = in_common(of_preset)
            against = common[common["method"] == baseline].set_index("registration")
            for method, runs_of_method in common.groupby("method", sort=False):
                compared = None if method == baseline or against.empty else against
                rows.append({"preset": preset, "method": method, **_row(runs_of_method, compared)})
        if not rows:
            msg = "no registration has been run by all methods of a preset yet"
            raise DataError(msg)
        self.table = pd.DataFrame(rows)

    def markdown(self) -> str:
        """Return the table as Markdown, with a note on what it says."""
        columns = {
            "preset": self.table["preset"],
            "method": self.table["method"],
            "n (failed)": [f"{n} ({f})" for n, f in _pairs(self.table, "n", "failed")],
            "Dice before": _mean_and_sd(self.table, "dice_before"),
            "linear": _mean_and_sd(self.table, "dice_linear"),
            "deformable": _mean_and_sd(self.table, "dice"),
            "median": _formatted(self.table["dice_median"], ".3f"),
            "Jaccard": _mean_and_sd(self.table, "jaccard"),
            "improved": self.table["improved"],
            "wins": ["" if np.isnan(w) else f"{w:.0f}" for w in self.table["wins"]],
            "p (t)": _formatted(self.table["p_t"], ".1e"),
            "p (Wilcoxon)": _formatted(self.table["p_wilcoxon"], ".1e"),
            "folded": _formatted(self.table["folded"], ".2%"),
            "s": _formatted(self.table["seconds"], ".0f"),
        }
        cells = [list(columns), ["---"] * 2 + ["---:"] * (len(columns) - 2)]
        cells += [[str(value) for value in row] for row in zip(*columns.values(), strict=True)]
        lines = [f"| {' | '.join(row)} |" for row in cells]
        tests = NOTE_ON_TESTS.format(baseline=self.baseline) if self.baseline else ""
        return "\n".join([*lines, "", NOTE, tests]).rstrip()

    def save(self, folder: Path) -> None:
        """Write ``summary.md``, ``summary.csv`` and ``summary-registrations.csv``."""
        (folder / "summary.md").write_text(self.markdown() + "\n", encoding="utf-8")
        self.table.to_csv(folder / "summary.csv", index=False)
        by_name = self.registrations.sort_values(["preset", "method", "registration"])
        by_name.to_csv(folder / "summary-registrations.csv", index=False, float_format="%.6g")


def frame(records: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Return one row per record: overlap after every step, with failures as not registered."""
    rows = []
    for record in with_before(records):
        failed = bool(record["failure"])
        steps = {step: record["before"] if failed else record.get(step) for step in STEPS}
        last = steps["deformable"] or steps["linear"] or record["before"]
        rows.append(
            {
                "preset": record["preset"],
                "method": record["method"],
                "registration": record["registration"],
                "failed": failed,
                **{f"dice_{step}": s["dice"] if s else np.nan for step, s in steps.items()},
                "dice": last["dice"],
                "jaccard": last["jaccard"],
                "folded": np.nan if failed else _number(last.get("folded")),
                "seconds": np.nan if failed else _seconds(record),
            }
        )
    if not rows:
        msg = "no registration has a result"
        if records:
            msg += f"; {len(records)} failed, the first one: {records[0]['failure']}"
        raise DataError(msg)
    return pd.DataFrame(rows)


def with_before(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the records with the overlap before registration.

    It is the same for all methods: one whose process died before it was measured has that of the
    others. Left out are the registrations that no method has it of, whose images cannot be read.

    Raises
    ------
    DataError
        If it is not: images, label maps or tables were changed between two runs.
    """
    known: dict[str, dict[str, Any]] = {}
    for record in records:
        if "before" not in record:
            continue
        name = record["registration"]
        first = known.setdefault(name, record)
        if not _same(first["before"], record["before"]):
            msg = (
                f"the results of {name} are not comparable: before registration, its overlap is "
                f"another one for {record['method']} than for {first['method']}, so label maps or "
                f"tables were changed in between; take another --out, or remove the lines of "
                f"{name} from results.jsonl and run it again"
            )
            raise DataError(msg)
    return [
        {"before": known[record["registration"]]["before"], **record}
        for record in records
        if record["registration"] in known
    ]


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Tell whether two overlaps are the same, label by label, up to rounding."""

    def values(overlaps: dict[str, Any]) -> pd.Series[float]:
        found = {"all": overlaps["dice"], **overlaps.get("dice_of_label", {})}
        return pd.Series(found, dtype=float)

    first, second = values(one), values(other)
    return set(first.index) == set(second.index) and np.allclose(
        first, second[first.index], rtol=0, atol=ROUNDING, equal_nan=True
    )


def in_common(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the registrations that all methods have been run on."""
    methods = runs["method"].nunique()
    done = runs.groupby("registration")["method"].nunique()
    return runs[runs["registration"].isin(done[done == methods].index)]


def better_than(values: NDArray[np.float64], baseline: NDArray[np.float64]) -> tuple[float, float]:
    """Return p of the one-sided paired t-test and of Wilcoxon's, that `values` are higher.

    NaN where a test says nothing: fewer than two pairs, or no difference.
    """
    if values.size < 2 or np.array_equal(values, baseline):
        return float("nan"), float("nan")
    with warnings.catch_warnings():
        # Of SciPy, where all differences are the same.
        warnings.simplefilter("ignore", RuntimeWarning)
        p_t = stats.ttest_rel(values, baseline, alternative="greater").pvalue
    p_wilcoxon = stats.wilcoxon(values, baseline, alternative="greater").pvalue
    return float(p_t), float(p_wilcoxon)


def _row(runs: pd.DataFrame, baseline: pd.DataFrame | None) -> dict[str, Any]:
    row: dict[str, Any] = {"n": len(runs), "failed": int(runs["failed"].sum())}
    for name in ("dice_before", "dice_linear", "dice", "jaccard"):
        row[f"{name}_mean"] = runs[name].mean()
        row[f"{name}_sd"] = runs[name].std(ddof=1)
    row["dice_median"] = runs["dice"].median()
    row["improved"] = int((runs["dice"] > runs["dice_before"]).sum())
    row |= {"wins": np.nan, "p_t": np.nan, "p_wilcoxon": np.nan}
    if baseline is not None:
        dice = runs.set_index("registration")["dice"]
        other = baseline["dice"].loc[dice.index]
        row["wins"] = int((dice > other).sum())
        row["p_t"], row["p_wilcoxon"] = better_than(dice.to_numpy(), other.to_numpy())
    row["folded"] = runs["folded"].mean()
    row["seconds"] = runs["seconds"].mean()
    return row


def _number(value: float | None) -> float:
    return np.nan if value is None else value


def _seconds(record: dict[str, Any]) -> float:
    return float(sum(record[step]["seconds"] for step in STEPS[1:] if step in record))


def _pairs(table: pd.DataFrame, first: str, second: str) -> list[tuple[Any, Any]]:
    return list(zip(table[first], table[second], strict=True))


def _mean_and_sd(table: pd.DataFrame, name: str) -> list[str]:
    return [
        "" if np.isnan(mean) else f"{mean:.3f}" if np.isnan(sd) else f"{mean:.3f} ({sd:.3f})"
        for mean, sd in _pairs(table, f"{name}_mean", f"{name}_sd")
    ]


def _formatted(values: Any, form: str) -> list[str]:
    return ["" if np.isnan(value) else format(value, form) for value in values]
