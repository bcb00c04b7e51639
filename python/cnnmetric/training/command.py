# SPDX-License-Identifier: Apache-2.0
"""What ``python -m cnnmetric.train`` does: train, and say how good the model is."""

from __future__ import annotations

import sys

from cnnmetric.training.interruption import Interrupted
from cnnmetric.training.loop import train
from cnnmetric.training.outcome import describe
from cnnmetric.training.processes import is_first
from cnnmetric.training.settings import TrainingSettings


def run(settings: TrainingSettings, *, program: str) -> int:
    """Train and print the outcome; return the exit status.

    Parameters
    ----------
    settings
        Of the run.
    program
        What messages on standard error begin with.

    Returns
    -------
    int
        0, or 128 and the signal's number after Ctrl-C or SIGTERM.

    Raises
    ------
    CNNMetricError
        As `train`.
    """
    try:
        progress = train(settings)
    except Interrupted as stopped:
        if is_first():
            print(f"{program}: {stopped}", file=sys.stderr)
        return 128 + stopped.signal
    if not is_first():
        return 0
    print(
        f"wrote {settings.out} after {progress.step} steps ({progress.seconds:.0f} s of training) "
        f"and its record {settings.record}"
    )
    print(*describe(settings, progress), sep="\n")
    return 0
