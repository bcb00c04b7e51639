# SPDX-License-Identifier: Apache-2.0
"""What a registration found, in a few numbers."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING
from typing import Any

from cnnmetric.plugin.iteration import Iteration

if TYPE_CHECKING:  # of ITK, which a help text does not need
    from cnnmetric.registration.result import RegistrationResult

# Iterations at each end of a level whose median is told, at most: single values vary with the
# patches.
_ENDS = 5


def summary(result: RegistrationResult, files: Sequence[Path], *, seconds: float) -> dict[str, Any]:
    """Return what was found, as values for JSON.

    Parameters
    ----------
    result, files
        Of the registration, and where it was written to.
    seconds
        That it took, reading and writing included.
    """
    falls = [fall for stage in result.stages for fall in _falls(stage.trace)]
    return {
        "files": [str(file) for file in files],
        "seconds": round(seconds, 1),
        "device": result.log["device"],
        "notes": result.log["notes"],
        "dissimilarity_fell_by": sum(falls) if falls else None,
        "folded": result.jacobian().folded,
        "quality": result.log.get("quality"),
        "stages": [
            {
                "name": stage.name,
                "seconds": round(stage.seconds, 1),
                "iterations": len(stage.trace),
                "dissimilarity": stage.trace[-1].value if stage.trace else None,
            }
            for stage in result.stages
        ],
    }


def verdict(found: Mapping[str, Any]) -> str:
    """Return how a registration went, of a :func:`summary`: a line, and one for each warning."""
    fell_by = found["dissimilarity_fell_by"]
    if fell_by is None:
        change = "too few iterations to see the dissimilarity fall"
    elif fell_by > 0:
        change = f"dissimilarity fell by {fell_by:.4f}"
    else:
        change = "dissimilarity did not fall: look at the images before you use the result"
    folded = f"{found['folded']:.2%} of the voxels fold" if found["folded"] else "no folding"
    lines = [f"done in {found['seconds']:.0f} s; {change}; {folded}"]
    quality = found.get("quality") or {"warnings": []}
    return "\n".join([*lines, *(f"warning: {text}" for text in quality["warnings"])])


def _falls(trace: Sequence[Iteration]) -> Iterator[float]:
    """Yield by how much the value falls on each level of more than one iteration.

    Levels differ in what their grids show.
    """
    for _, level in groupby(trace, key=lambda finished: finished.level):
        values = [finished.value for finished in level]
        ends = min(_ENDS, len(values) // 2)
        if ends:
            yield median(values[:ends]) - median(values[-ends:])
