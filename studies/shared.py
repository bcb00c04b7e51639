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
    """Append a row to a table of results, which begins with its columns."""
    new = not file.is_file()
    with file.open("a", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns)
        if new:
            writer.writeheader()
        writer.writerow(row)


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
