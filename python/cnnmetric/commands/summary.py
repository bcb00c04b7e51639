# SPDX-License-Identifier: Apache-2.0
"""What a registration found, in a few numbers."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING
from typing import Any

if TYPE_CHECKING:  # of ITK, which a help text does not need
    from cnnmetric.registration.result import RegistrationResult

# Iterations at each end whose median is told: single values vary with the patches.
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
    values = [finished.value for stage in result.stages for finished in stage.trace]
    start, end = (median(part) if part else None for part in (values[:_ENDS], values[-_ENDS:]))
    return {
        "files": [str(file) for file in files],
        "seconds": round(seconds, 1),
        "device": result.log["device"],
        "notes": result.log["notes"],
        "dissimilarity": {"start": start, "end": end},
        "improved": start is not None and end is not None and end < start,
        "folded": result.jacobian().folded,
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
    """Return in one line how a registration went, of a :func:`summary`."""
    start, end = found["dissimilarity"]["start"], found["dissimilarity"]["end"]
    change = "no iteration" if start is None else f"dissimilarity {start:.4f} -> {end:.4f}"
    if not found["improved"]:
        change += ", which is no improvement: look at the images before you use the result"
    folded = f"{found['folded']:.2%} of the voxels fold" if found["folded"] else "no folding"
    return f"done in {found['seconds']:.0f} s; {change}; {folded}"
