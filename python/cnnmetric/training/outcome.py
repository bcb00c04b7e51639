# SPDX-License-Identifier: Apache-2.0
"""How good a trained model is, in a few lines, and what to do next."""

from __future__ import annotations

import shlex
import statistics
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

from cnnmetric.metric.modalities import ANY
from cnnmetric.training.checkpoint import Progress
from cnnmetric.training.record import WINDOW
from cnnmetric.training.settings import TrainingSettings

# Accuracy below which a network has hardly learned anything: of decisions between two classes, and
# of a choice among about a thousand patches.
CHANCE = {True: 0.05, False: 0.6}


def describe(settings: TrainingSettings, progress: Progress) -> list[str]:
    """Return what to tell at the end of a run, one sentence a line.

    The first line says how good the model is, the second what to do next.
    """
    return [f"{settings.out}: {_quality(settings, progress)}", f"next: {_next(settings, progress)}"]


def _quality(settings: TrainingSettings, progress: Progress) -> str:
    if progress.validations:
        number, name = len(progress.held_out), progress.held_out[0]
        of = f"{number} held-out pairs" if number > 1 else f"the held-out pair {name}"
        accuracy = f"accuracy {_accuracy(progress):.3f} on {of}"
    else:
        why = progress.not_held_out or "it was stopped before its first validation"
        accuracy = (
            f"accuracy {_accuracy(progress):.3f} on what it was trained on; no held-out figure "
            f"exists, since {why}"
        )
    return f"{accuracy}; {_minima(settings, progress)}"


def _minima(settings: TrainingSettings, progress: Progress) -> str:
    if not progress.curves:
        why = "no images were read" if settings.export_only else "no real pair is large enough"
        return f"the metric was not tried around an alignment, since {why}"
    words = []
    for axis, curves in _by_axis(progress.curves).items():
        right = sum(curve["minimum_at_zero"] for curve in curves)
        share = f"{right} of {len(curves)}" if len(curves) > 1 else ("yes" if right else "no")
        words.append(f"{axis} {share}")
    return f"minimum at zero shift along {', '.join(words)} (curves in {settings.curve})"


def _next(settings: TrainingSettings, progress: Progress) -> str:
    faults = list(_faults(settings, progress))
    if faults:
        return "; ".join(faults)
    first = settings.modality_names[0]
    modality = "" if first == ANY else f" --fixed-modality {first}"
    return (
        f"register two images with it: cnnmetric register FIXED MOVING -o OUT --model "
        f"{shlex.quote(str(settings.out))}{modality}"
    )


def _faults(settings: TrainingSettings, progress: Progress) -> Iterator[str]:
    """Yield what to change, if the model is no good."""
    if _accuracy(progress) < CHANCE[settings.self_similar]:
        yield (
            f"it has hardly learned anything: look at the pairs, one image over the other, and "
            f"train longer (--steps {2 * settings.steps})"
        )
    wrong = {
        axis: min(curves[0]["shifts"], key=lambda shift: _mean_at(curves, shift))
        for axis, curves in _by_axis(progress.curves).items()
        if sum(curve["minimum_at_zero"] for curve in curves) <= len(curves) / 2
    }
    if wrong:
        places = ", ".join(f"{shift:+d} voxels along {axis}" for axis, shift in wrong.items())
        yield (
            f"do not use it yet: its minimum is at {places}. See whether the pair of the curves is "
            f"aligned to a voxel; then add pairs or train longer (--steps {2 * settings.steps})"
        )


def _mean_at(curves: Sequence[dict[str, Any]], shift: int) -> float:
    return statistics.fmean(curve["values"][curve["shifts"].index(shift)] for curve in curves)


def _by_axis(curves: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    return {
        axis: found
        for axis in "xyz"
        if (found := [curve for curve in curves if curve["axis"] == axis])
    }


def _accuracy(progress: Progress) -> float:
    """Return that of the exported weights on held-out pairs, or of the last steps."""
    if progress.validations:
        return next(
            accuracy for step, _, accuracy in progress.validations if step == progress.best_step
        )
    return statistics.fmean(progress.accuracies[-WINDOW:])
