# SPDX-License-Identifier: Apache-2.0
"""Pictures of results: the paper's Figures 2 and 4, its Table 1, and overlap per label."""

from __future__ import annotations

import math
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cnnmetric.errors import DataError
from cnnmetric.evaluation.alignment import STEPS
from cnnmetric.evaluation.summary import Summary
from cnnmetric.evaluation.summary import frame
from cnnmetric.evaluation.summary import in_common
from cnnmetric.evaluation.summary import with_before

_COLUMNS = 4  # of panels
_PANEL, _TITLE, _AXIS_LABEL = 2.9, 0.3, 0.4  # inches
_DPI = 150
_COLOUR = "#1f6f8b"
_FAILED = "#c0392b"
_HEADS = {
    "method": "method",
    "dice_before": "Dice before",
    "dice_linear": "Dice, linear step",
    "dice": "Dice",
    "jaccard": "Jaccard",
    "p_t": "p (t-test)",
}


def draw_all(
    records: Sequence[dict[str, Any]], folder: Path, *, baseline: str, label_names: Path | None
) -> Iterator[Path]:
    """Write all pictures of all presets, and overlap per label, and yield the files' paths.

    Parameters
    ----------
    records
        Of `cnnmetric.evaluation.job.Job`.
    folder
        Made if it does not exist.
    baseline
        Of the tests in the table.
    label_names
        File with a label and its name per line, separated by a tab; without it labels are numbers.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = read_label_names(label_names) if label_names else {}
    runs = frame(records)
    found = Summary(records, baseline=baseline)
    table = found.table
    for preset, of_preset in runs.groupby("preset", sort=False):
        common = in_common(of_preset)
        if common.empty:
            continue
        rows = table[table["preset"] == preset]
        of_labels = dice_per_label(records, common)
        for name, figure in (
            ("before-after", before_and_after(common)),
            ("table", table_picture(rows, baseline=found.baseline)),
            ("labels", per_label(of_labels, names)),
        ):
            file = folder / f"{preset}-{name}.png"
            figure.savefig(file, dpi=_DPI)
            yield file
        file = folder / f"{preset}-labels.csv"
        mean_per_label(of_labels, names).to_csv(file, float_format="%.4f")
        yield file


def before_and_after(runs: pd.DataFrame) -> Figure:
    """Draw Dice after against Dice before, one panel per method (paper, Figures 2 and 4)."""
    methods = list(runs["method"].unique())
    columns = min(_COLUMNS, len(methods))
    rows = math.ceil(len(methods) / columns)
    figure = _figure(columns * _PANEL, rows * (_PANEL + _TITLE) + _AXIS_LABEL)
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    values = runs[["dice_before", "dice"]].to_numpy()
    limits = (float(values.min()) - 0.03, float(values.max()) + 0.03)
    for number, (panel, method) in enumerate(zip(axes.flat, methods, strict=False)):
        of_method = runs[runs["method"] == method]
        done, failed = of_method[~of_method["failed"]], of_method[of_method["failed"]]
        panel.plot(limits, limits, "--", color="0.6", linewidth=1)
        panel.plot(done["dice_before"], done["dice"], "o", color=_COLOUR, markersize=4, alpha=0.8)
        panel.plot(failed["dice_before"], failed["dice"], "x", color=_FAILED, markersize=6)
        better = int((of_method["dice"] > of_method["dice_before"]).sum())
        panel.set(xlim=limits, ylim=limits, aspect="equal")
        panel.set_title(f"{method}: {better} of {len(of_method)} better", fontsize=10)
        if number + columns >= len(methods):
            panel.tick_params(labelbottom=True)
    for panel in list(axes.flat)[len(methods) :]:
        panel.remove()
    figure.supxlabel("mean Dice before registration", fontsize=10)
    figure.supylabel("mean Dice after registration", fontsize=10)
    return figure


def per_label(dice: pd.DataFrame, names: Mapping[int, str]) -> Figure:
    """Draw Dice of every label over the registrations, one box per method.

    Parameters
    ----------
    dice
        Of :func:`dice_per_label`.
    names
        Of the labels.
    """
    labels, methods = sorted(dice["label"].unique()), list(dice["method"].unique())
    colours = dict(zip(methods, _colours(len(methods)), strict=True))
    half = math.ceil(len(labels) / 2)
    columns = [part for part in (labels[:half], labels[half:]) if part]
    height = 0.07 * (len(methods) + 1)  # inches per label
    figure = _figure(7.0 * len(columns), height * half + 1.2)
    panels = figure.subplots(1, len(columns), squeeze=False)[0]
    for axes, part in zip(panels, columns, strict=True):
        _boxes(axes, dice[dice["label"].isin(part)], part, colours)
        axes.set_yticklabels([names.get(label, str(label)) for label in part], fontsize=7)
        axes.set_ylim(half * (len(methods) + 1), -1)
    handles, texts = panels[0].get_legend_handles_labels()
    figure.legend(handles, texts, loc="outside upper center", ncols=len(methods), fontsize=8)
    return figure


def _boxes(
    axes: Axes, dice: pd.DataFrame, labels: Sequence[int], colours: Mapping[str, Any]
) -> None:
    step = len(colours) + 1  # from label to label, in boxes
    line = {"linewidth": 0.6}
    for number, (method, colour) in enumerate(colours.items()):
        values = dict(list(dice[dice["method"] == method].dropna().groupby("label")["dice"]))
        boxes = axes.boxplot(
            [values.get(label, ()) for label in labels],  # which a method need not have values of
            positions=[place * step + number for place in range(len(labels))],
            orientation="horizontal",
            widths=0.75,
            patch_artist=True,
            manage_ticks=False,
            boxprops={"facecolor": colour, "linewidth": 0.4},
            flierprops={"markersize": 1.5, "markeredgecolor": colour},
            medianprops={"color": "black", "linewidth": 0.8},
            whiskerprops=line,
            capprops=line,
        )
        boxes["boxes"][0].set_label(method)
    axes.set_yticks([place * step + (len(colours) - 1) / 2 for place in range(len(labels))])
    axes.set(xlabel="Dice after registration", xlim=(0, 1))
    axes.grid(axis="x", linewidth=0.4)


def table_picture(rows: pd.DataFrame, *, baseline: str) -> Figure:
    """Draw the paper's Table 1 of one preset for slides: mean and SD over registrations."""
    cells = [[_cell(row, column) for column in _HEADS] for _, row in rows.iterrows()]
    figure = _figure(9.0, 0.36 * (len(cells) + 2))
    axes: Axes = figure.subplots()
    axes.axis("off")
    table = axes.table(cells, colLabels=list(_HEADS.values()), loc="center", cellLoc="center")
    table.auto_set_font_size(False)
    table.set_fontsize(10)
    table.scale(1.0, 1.5)
    best = int(rows["dice_mean"].to_numpy().argmax())
    for (row, _), cell in table.get_celld().items():
        cell.set(linewidth=0, facecolor="#e3eef2" if row == 0 else "white")
        if row == best + 1:
            cell.set_text_props(weight="bold")
    number, preset = rows["n"].iloc[0], rows["preset"].iloc[0]
    title = f"{number} registrations, preset {preset}: mean (SD)"
    axes.set_title(f"{title}; p against {baseline}" if baseline else title, fontsize=10)
    return figure


def dice_per_label(records: Sequence[dict[str, Any]], runs: pd.DataFrame) -> pd.DataFrame:
    """Return method, label and final Dice for the registrations in `runs`.

    Labels that are in neither map have no value.
    """
    wanted = set(zip(runs["preset"], runs["method"], runs["registration"], strict=True))
    found = []
    for record in with_before(records):
        if (record["preset"], record["method"], record["registration"]) in wanted:
            steps = [record[step] for step in STEPS if step in record]
            last = steps[0] if record["failure"] else steps[-1]
            found += [
                {"method": record["method"], "label": int(label), "dice": dice}
                for label, dice in last["dice_of_label"].items()
            ]
    return pd.DataFrame(found).astype({"dice": float})


def mean_per_label(dice: pd.DataFrame, names: Mapping[int, str]) -> pd.DataFrame:
    """Return mean Dice over the registrations, one row per label and one column per method."""
    means = dice.pivot_table(index="label", columns="method", values="dice", sort=False)
    means = means[list(dice["method"].unique())].sort_index()
    means.insert(0, "name", [names.get(label, "") for label in means.index])
    return means


def read_label_names(file: Path) -> dict[int, str]:
    """Read a label and its name per line, separated by a tab.

    Raises
    ------
    DataError
        If the file cannot be read or a line has another form.
    """
    found = {}
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"cannot read the names of the labels from {file}: {error}"
        raise DataError(msg) from error
    for number, line in enumerate(lines, start=1):
        label, tab, name = line.partition("\t")
        if not (tab and label.strip().isdigit()):
            msg = f"{file}, line {number}: {line!r} is not a label, a tab and a name"
            raise DataError(msg)
        found[int(label)] = name.strip()
    return found


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _colours(number: int) -> list[Any]:
    """Return colours that can be told apart, of up to 20 methods."""
    name = "tab10" if number <= 10 else "tab20"
    return [colormaps[name](index % colormaps[name].N) for index in range(number)]


def _cell(row: pd.Series[Any], column: str) -> str:
    if f"{column}_mean" in row:
        mean, sd = row[f"{column}_mean"], row[f"{column}_sd"]
        return "" if np.isnan(mean) else f"{mean:.3f}" + ("" if np.isnan(sd) else f" ({sd:.3f})")
    value = row[column]
    if isinstance(value, str):
        return value
    return "" if np.isnan(value) else f"{value:.1e}"
