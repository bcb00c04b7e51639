# SPDX-License-Identifier: Apache-2.0
"""One registration of many, from files to a record; run as a process of its own.

    python -m cnnmetric.registration.batch.job FOLDER PROCESS

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
from datetime import UTC
from datetime import datetime
from pathlib import Path
from typing import Any
from typing import Protocol

from cnnmetric.errors import CNNMetricError
from cnnmetric.files.output import atomic_path
from cnnmetric.plugin.start import start

JOB_FILE, RECORD_FILE = "job.pickle", "record.pickle"
FAILURE, FINISHED = "failure", "finished"
_LENGTH_SHOWN = 400
_PR_SET_PDEATHSIG = 1  # of linux/prctl.h


class Job(Protocol):
    """What a process is told; plain values, so that it can be sent to another machine."""

    @property
    def threads(self) -> int:
        """Of the process; 0 for what the machine has."""

    @property
    def key(self) -> tuple[str, ...]:
        """What tells one record from another."""

    def empty_record(self) -> dict[str, Any]:
        """Return a record without results; its ``failure`` is None."""

    def work(self, record: dict[str, Any], folder: Path) -> None:
        """Register, and put the results into the record, one after the other.

        Parameters
        ----------
        record
            As of `empty_record`.
        folder
            For temporary files, removed by the caller. What `leave` puts there counts where the
            process dies.
        """


def main(folder: Path, parent: int) -> None:
    """Do what the module says."""
    # A signal of Linux, so that no registration goes on for a process that was killed.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return
    start()  # not done by importing the package, as this is one of its commands
    job = pickle.loads((folder / JOB_FILE).read_bytes())
    leave(run(job, folder), folder)


def leave(record: dict[str, Any], folder: Path) -> None:
    """Leave a record, as far as it has come, for the process that has started this one."""
    with atomic_path(folder / RECORD_FILE) as file:
        file.write_bytes(pickle.dumps(record))


def run(job: Job, folder: Path) -> dict[str, Any]:
    """Do a job; whatever goes wrong is part of the record and not raised.

    Parameters
    ----------
    job
        What to do.
    folder
        For temporary files, removed by the caller.

    Returns
    -------
    dict
        The job's record. ``failure`` is None, or what went wrong; then the results that were
        found before are there, and the others are not.
    """
    record = job.empty_record()
    try:
        job.work(record, folder)
    except CNNMetricError as error:
        record[FAILURE] = str(error)
    except Exception as error:  # whatever another program raises
        record[FAILURE] = _in_short(error)
    record["host"] = platform.node()
    record[FINISHED] = datetime.now(UTC).isoformat(timespec="milliseconds")
    return record


def _in_short(error: Exception) -> str:
    # What ITK says is long: the reason stands at the end, or before the first empty line.
    text = f"{type(error).__name__}: {error}".split("\n\n")[0]
    return (
        text
        if len(text) <= _LENGTH_SHOWN
        else f"{text[: _LENGTH_SHOWN // 2]} ... {text[-_LENGTH_SHOWN // 2 :]}"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
