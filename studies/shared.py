# SPDX-License-Identifier: Apache-2.0
"""What several studies do: register a pair by one method, and write tables in Markdown."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from collections.abc import Sequence
from pathlib import Path

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
