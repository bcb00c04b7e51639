# SPDX-License-Identifier: Apache-2.0
"""The learning rate over a run."""

from __future__ import annotations

import math

from cnnmetric.training.settings import TrainingSettings

# One-cycle: the rate rises from peak / 25 during this share of the steps.
WARM_UP = 0.1
START_DIVISOR = 25.0


def learning_rate(settings: TrainingSettings, step: int) -> float:
    """Return the rate of a step (counted from 0); a pure function, so a resume needs no state."""
    peak = settings.learning_rate
    if settings.schedule == "constant":
        return peak
    done = (step + 0.5) / settings.steps
    if done < WARM_UP:
        start = peak / START_DIVISOR
        return start + (peak - start) * (1 - math.cos(math.pi * done / WARM_UP)) / 2
    return peak * (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP))) / 2
