# SPDX-License-Identifier: Apache-2.0
"""Many registrations at once: tables of pairs, a cluster on this machine, stopped commands."""

from __future__ import annotations

import contextlib
import csv
import signal
import subprocess
import time
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from pathlib import Path

import psutil
from distributed import LocalCluster

PATIENCE = 150.0  # seconds; for machines that do other work, too


@contextlib.contextmanager
def cluster(*, workers: int) -> Iterator[str]:
    """Give the address of a Dask cluster on this machine."""
    with LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        dashboard_address="127.0.0.1:0",
        memory_limit=0,
    ) as found:
        yield str(found.scheduler_address)


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait, and fail if it is in vain."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.2)


def stopped(
    command: Sequence[str], number: signal.Signals, *, works: Callable[[int], bool]
) -> tuple[int, str]:
    """Run a command, send it a signal while it works, and see that its processes end with it.

    Parameters
    ----------
    command
        Program and arguments.
    number
        The signal.
    works
        Whether the process of this number has begun what is to be stopped.

    Returns
    -------
    tuple
        Exit status, and what was written to standard error.
    """
    # Away from the terminal's group, where Ctrl-C would reach the registrations by itself.
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, encoding="utf-8", start_new_session=True
    )
    children: list[psutil.Process] = []
    try:
        wait_until(lambda: works(process.pid) or process.poll() is not None)
        children = psutil.Process(process.pid).children(recursive=True)
        assert children
        process.send_signal(number)
        _, errors = process.communicate(timeout=PATIENCE)
        _, alive = psutil.wait_procs(children, timeout=10)
        assert not alive
    finally:
        process.kill()
        for child in children:
            with contextlib.suppress(psutil.Error):
                child.kill()
    return process.returncode, errors


def write_pairs(file: Path, *rows: str, header: str = "name,fixed,moving") -> Path:
    """Write a table of pairs and give its file back."""
    file.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return file


def rows_of(out: Path) -> dict[str, dict[str, str]]:
    """Give the rows of the table that a run has left, by the names of the pairs."""
    with (out / "results.csv").open(encoding="utf-8", newline="") as stream:
        return {row["name"]: row for row in csv.DictReader(stream)}
