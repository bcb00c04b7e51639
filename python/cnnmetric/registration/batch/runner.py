# SPDX-License-Identifier: Apache-2.0
"""Many registrations at once: on this machine, or on a Dask cluster.

Each registration is a process of its own (`job`), so that one that crashes takes nothing with it,
and so that a Dask worker can answer its scheduler meanwhile, whatever holds Python's lock. It leads
a session of its own, with whatever it starts, and is ended with this process, however that ends.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from collections.abc import Generator
from collections.abc import Iterator
from collections.abc import Sequence
from concurrent.futures import Executor
from concurrent.futures import Future
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import as_completed
from contextlib import ExitStack
from contextlib import contextmanager
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import IO
from typing import Any

from cnnmetric.errors import CompatibilityError
from cnnmetric.errors import RegistrationError
from cnnmetric.errors import SettingsError
from cnnmetric.registration.batch import job as job_module
from cnnmetric.registration.batch.job import Job

CONNECT_SECONDS = 20
_THREADS = (
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
    "MKL_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
)
_LINES_SHOWN = 3
_STOP_SECONDS = 3.0
_Submit = Callable[[Job], Future[dict[str, Any]]]


class _Children:
    """The processes of the registrations of one run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def run(self, command: list[str], environment: dict[str, str], out: IO[str]) -> int:
        """Run a process that leads a session of its own, and return its exit status."""
        with self._lock:
            if self._stopped:
                msg = "the run has been stopped"
                raise RegistrationError(msg)
            process = subprocess.Popen(
                command,
                env=environment,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._running.add(process)
        try:
            return process.wait()
        finally:
            with self._lock:
                self._running.discard(process)

    def stop(self) -> None:
        """End all processes that run, with those that they have started, and start no more."""
        with self._lock:
            self._stopped = True
            running = [process for process in self._running if process.poll() is None]
        # In a friendly way at first, in which programs may remove their files.
        for number in (signal.SIGTERM, signal.SIGKILL):
            for process in running:
                with suppress(ProcessLookupError):  # nobody is left
                    os.killpg(process.pid, number)
            end = time.monotonic() + _STOP_SECONDS
            for process in running:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(max(0.0, end - time.monotonic()))


def run_all(
    jobs: Sequence[Job], *, workers: int, scheduler: str
) -> Generator[dict[str, Any], None, None]:
    """Run jobs and yield the record of each when it is done, in no particular order.

    Parameters
    ----------
    jobs
        What to do.
    workers
        Number of processes at a time on this machine.
    scheduler
        Address of a Dask scheduler whose workers are to be used instead, for example
        ``tcp://node:8786``; empty for none.

    Raises
    ------
    SettingsError
        If no scheduler answers at the address.
    CompatibilityError
        If Dask is needed and not installed.
    """
    with ExitStack() as stack:
        submit = _cluster(scheduler, stack) if scheduler else _this_machine(workers, stack)
        futures = {submit(job): job for job in jobs}
        for future in as_completed(futures):
            try:
                record = future.result()
            except Exception as error:  # of Dask, for example a worker without cnnmetric
                record = futures[future].empty_record()
                record[job_module.FAILURE] = f"the registration could not be started: {error}"
            yield record


def run_in_process(job: Job, children: _Children | None = None) -> dict[str, Any]:
    """Run a job in a new process; return its record, or that of a failure if the process died.

    Parameters
    ----------
    job
        What to do.
    children
        Those that the process is ended with; None for none.
    """
    threads = dict.fromkeys(_THREADS, str(job.threads)) if job.threads else {}
    environment = {**os.environ, **threads}
    with (
        tempfile.TemporaryDirectory() as name,
        (Path(name) / "output.txt").open("w+", encoding="utf-8", errors="replace") as out,
    ):
        folder = Path(name)
        (folder / job_module.JOB_FILE).write_bytes(pickle.dumps(job))
        command = [sys.executable, "-m", job_module.__name__, name, str(os.getpid())]
        status = (children or _Children()).run(command, environment, out)
        record = _left_record(folder) or job.empty_record()
        if status == 0 and job_module.FINISHED in record:
            return record
        out.seek(0)
        last = " / ".join(out.read().strip().splitlines()[-_LINES_SHOWN:])
    cause = f"signal {signal.Signals(-status).name}" if status < 0 else f"status {status}"
    record[job_module.FAILURE] = (
        f"the process of the registration died ({cause}): {last or 'no message'}"
    )
    return record


def _left_record(folder: Path) -> dict[str, Any] | None:
    """Return the record that a process has left, as far as it had come; None if there is none."""
    file = folder / job_module.RECORD_FILE
    record: dict[str, Any] | None = pickle.loads(file.read_bytes()) if file.is_file() else None
    return record


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Make SIGTERM and SIGHUP stop what is inside as Ctrl-C does, so that nothing goes on alone."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield  # Python leaves signals to the main thread
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def default_workers(threads: int) -> int:
    """Return how many processes of so many threads the machine has cores for; of 0 threads, one."""
    return max(1, len(os.sched_getaffinity(0)) // threads) if threads else 1


def _this_machine(workers: int, stack: ExitStack) -> _Submit:
    executor = ThreadPoolExecutor(workers)
    children = _Children()
    # In reverse order: those that wait are not begun, those that run are ended and waited for.
    stack.callback(executor.shutdown)
    stack.callback(children.stop)
    stack.callback(executor.shutdown, wait=False, cancel_futures=True)
    return lambda job: executor.submit(run_in_process, job, children)


def _cluster(scheduler: str, stack: ExitStack) -> _Submit:
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        msg = (
            f"a cluster needs the package {error.name}: pip install distributed, here and where "
            "the workers run, or leave --scheduler out"
        )
        raise CompatibilityError(msg) from error
    try:
        client = stack.enter_context(Client(scheduler, timeout=CONNECT_SECONDS))
        client.wait_for_workers(1, timeout=CONNECT_SECONDS)
    except (OSError, ValueError) as error:  # TimeoutError is an OSError
        msg = (
            f"no Dask scheduler with workers answers at {scheduler} ({error}); start one with "
            "`dask scheduler` and workers with `dask worker`, or leave --scheduler out"
        )
        raise SettingsError(msg) from error
    executor: Executor = client.get_executor(pure=False)
    return lambda job: executor.submit(run_in_process, job)
