# SPDX-License-Identifier: Apache-2.0
"""Negatives that are the positive, slightly moved: how far, and what they are taught as."""

from __future__ import annotations

from typing import Any

from cnnmetric.training.loss import ALIGNED
from cnnmetric.training.loss import MISALIGNED
from cnnmetric.training.settings import TrainingSettings

# The least offset of a near miss that is taught as misaligned, in patch voxels.
LEAST = 1.0


def near_miss_lengths(settings: TrainingSettings) -> tuple[float, float]:
    """Return the least and the largest offset in patch voxels."""
    least = 0.0 if settings.near_miss_labels == "graded" else LEAST
    return least, settings.near_miss_offset


def grade(lengths: Any, settings: TrainingSettings) -> Any:
    """Return labels that grow with the offset, from aligned to misaligned at the largest one.

    Parameters
    ----------
    lengths
        Offsets in patch voxels: an array, or a tensor.
    settings
        Of the run.
    """
    return ALIGNED + (MISALIGNED - ALIGNED) * lengths / settings.near_miss_offset
