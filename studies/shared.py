# SPDX-License-Identifier: Apache-2.0
"""What several studies do: register a pair by one method, and write tables in Markdown."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import itk
import numpy as np
from numpy.typing import NDArray

from cnnmetric.errors import SettingsError
from cnnmetric.evaluation.alignment import Alignment
from cnnmetric.evaluation.methods import Method
from cnnmetric.evaluation.methods import Task
from cnnmetric.types import Image


def last_alignment(
    method: Method,
    *,
    fixed: Image,
    moving: Image,
    modalities: Sequence[str],
    model: str,
    threads: int,
    seed: int,
) -> Alignment:
    """Register with the shipped parameter files and return the alignment after the last stage.

    Parameters
    ----------
    method
        What to register by.
    fixed, moving
        ITK images of float, 3D.
    modalities
        What they show, in this order.
    model
        Of the learned metric, a name or an .onnx file.
    threads, seed
        Of the registration.
    """
    with tempfile.TemporaryDirectory() as folder:
        task = Task(
            fixed=fixed,
            moving=moving,
            fixed_modality=modalities[0],
            moving_modality=modalities[1],
            preset="practical",
            model=model,
            threads=threads,
            seed=seed,
            folder=Path(folder),
        )
        *_, last = method.register(task)
    return last


def table_head(names: Sequence[str], *, texts: int = 1) -> str:
    """Return the first two lines of a table, whose first columns are texts, the others numbers."""
    alignments = ["---"] * texts + ["---:"] * (len(names) - texts)
    return f"{table_row(names)}\n|{'|'.join(alignments)}|"


def table_row(cells: Iterable[str]) -> str:
    """Return a line of a table."""
    return f"| {' | '.join(cells)} |"


def read_rows(file: Path) -> list[dict[str, Any]]:
    """Return the rows of a table of results; none if it is not there yet."""
    if not file.is_file():
        return []
    with file.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def append_row(file: Path, columns: Sequence[str], row: Mapping[str, Any]) -> None:
    """Append a row to a table of results, which begins with its columns; it takes no others."""
    there = []
    if file.is_file():
        with file.open(newline="", encoding="utf-8") as stream:
            there = next(csv.reader(stream), [])
    with file.open("a", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, there or columns, extrasaction="ignore")
        if not there:
            writer.writeheader()
        writer.writerow(row)


def check_made_with(
    file: Path, rows: Iterable[Mapping[str, Any]], settings: Mapping[str, Any]
) -> None:
    """Refuse to go on with a table of results that was made with other settings.

    A table without columns of these names is taken as it is.

    Parameters
    ----------
    file, rows
        The table and what is in it.
    settings
        Values by the names of options, which are the columns' names.

    Raises
    ------
    SettingsError
        If a row has another value.
    """
    for row in rows:
        for name, value in settings.items():
            if row.get(name) not in (None, "", str(value)):
                msg = (
                    f"{file} holds results with --{name} {row[name]}, and --{name} is {value}: "
                    "they would not be comparable; give the same, or another --out"
                )
                raise SettingsError(msg)


def dice_table(
    names: Sequence[str],
    groups: Iterable[tuple[Sequence[str], Sequence[Mapping[str, Any]]]],
    *,
    seconds: str = "s",
) -> str:
    """Return a table with a line for each group of results: their number, Dice, folding, time.

    Parameters
    ----------
    names
        Of the columns that tell groups apart.
    groups
        The cells of these columns, and the rows with ``dice``, ``folded`` and ``seconds``.
    seconds
        What the last column is called.
    """
    lines = [table_head((*names, "n", "Dice, mean (SD)", "folded", seconds), texts=len(names))]
    for cells, rows in groups:
        dice, folded, time = (
            [float(row[column]) for row in rows] for column in ("dice", "folded", "seconds")
        )
        deviation = f" ({np.std(dice, ddof=1):.4f})" if len(dice) > 1 else ""
        numbers = (f"{np.mean(dice):.4f}{deviation}", f"{np.mean(folded):.2%}")
        lines.append(table_row((*cells, str(len(dice)), *numbers, f"{np.mean(time):.0f}")))
    return "\n".join(lines)


def write_labels(labels: NDArray[np.int16], like: Image, file: Path) -> None:
    """Write a label map ``(nz, ny, nx)`` on the grid of an image."""
    image = itk.image_from_array(labels)
    image.CopyInformation(like)
    itk.imwrite(image, str(file))


def write_table(file: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Write a table as CSV."""
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(header)
        writer.writerows(rows)
