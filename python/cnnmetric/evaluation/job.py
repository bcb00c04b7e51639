# SPDX-License-Identifier: Apache-2.0
"""One registration by one method, from files to a record; run as a process of its own.

    python -m cnnmetric.evaluation.job FOLDER PROCESS

takes the `Job` in the folder's ``job.pickle`` and leaves ``record.pickle`` there. It ends when the
process that has started it does, whose number is the second argument.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import platform
import signal
import sys
from dataclasses import dataclass
from datetime import UTC
from datetime import datetime
from pathlib import Path
from typing import Any

from cnnmetric.errors import CNNMetricError
from cnnmetric.evaluation import methods
from cnnmetric.evaluation.score import LabelledPair
from cnnmetric.evaluation.score import score
from cnnmetric.evaluation.score import score_before
from cnnmetric.evaluation.tables import Registration
from cnnmetric.images.files import read_image
from cnnmetric.images.files import read_labels

JOB_FILE, RECORD_FILE = "job.pickle", "record.pickle"
_LENGTH_SHOWN = 400
_PR_SET_PDEATHSIG = 1  # of linux/prctl.h


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a process is told; plain values, so that it can be sent to another machine."""

    registration: Registration
    method: str
    own: tuple[str, ...]
    preset: str
    model: str
    labels: tuple[int, ...] | None
    threads: int
    seed: int

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells one record from another: preset, method and registration."""
        return self.preset, self.method, self.registration.name


def main(folder: Path, parent: int) -> None:
    """Do what the module says."""
    # A signal of Linux, so that no registration goes on for a process that was killed.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return
    job = pickle.loads((folder / JOB_FILE).read_bytes())
    (folder / RECORD_FILE).write_bytes(pickle.dumps(run(job, folder)))


def run(job: Job, folder: Path) -> dict[str, Any]:
    """Register and measure; whatever goes wrong is part of the record and not raised.

    Parameters
    ----------
    job
        What to do.
    folder
        For files of the method, removed by the caller.

    Returns
    -------
    dict
        See docs/guide/evaluate.md. ``failure`` is None, or what went wrong; then the steps that
        were done are there, and the others are not.
    """
    record = empty_record(job)
    try:
        _register(job, folder, record)
    except CNNMetricError as error:
        record["failure"] = str(error)
    except Exception as error:  # whatever a rival raises
        record["failure"] = _in_short(error)
    record["host"] = platform.node()
    record["finished"] = datetime.now(UTC).isoformat(timespec="milliseconds")
    return record


def read_pair(registration: Registration) -> LabelledPair:
    """Read the images and label maps of a registration.

    Raises
    ------
    DataError
        If a file is missing, cannot be read, or is not 3D.
    """
    return LabelledPair(
        fixed=read_image(registration.fixed),
        moving=read_image(registration.moving),
        fixed_labels=read_labels(registration.fixed_labels),
        moving_labels=read_labels(registration.moving_labels),
    )


def empty_record(job: Job) -> dict[str, Any]:
    """Return a record without results."""
    registration = job.registration
    return {
        "preset": job.preset,
        "method": job.method,
        "registration": registration.name,
        "fixed_subject": registration.fixed_subject,
        "fixed_modality": registration.fixed_modality,
        "moving_subject": registration.moving_subject,
        "moving_modality": registration.moving_modality,
        "threads": job.threads,
        "seed": job.seed,
        "failure": None,
    }


def _in_short(error: Exception) -> str:
    # What ITK says is long: the reason stands at the end, or before the first empty line.
    text = f"{type(error).__name__}: {error}".split("\n\n")[0]
    return (
        text
        if len(text) <= _LENGTH_SHOWN
        else f"{text[: _LENGTH_SHOWN // 2]} ... {text[-_LENGTH_SHOWN // 2 :]}"
    )


def _register(job: Job, folder: Path, record: dict[str, Any]) -> None:
    registration = job.registration
    pair = read_pair(registration)
    record["before"] = score_before(pair, job.labels)
    task = methods.Task(
        fixed=pair.fixed,
        moving=pair.moving,
        fixed_modality=registration.fixed_modality,
        moving_modality=registration.moving_modality,
        preset=job.preset,
        model=job.model,
        threads=job.threads,
        seed=job.seed,
        folder=folder,
    )
    for alignment in methods.find(job.method, job.own).register(task):
        record[alignment.step] = score(pair, alignment, job.labels)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
