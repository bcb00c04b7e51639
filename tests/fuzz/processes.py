# SPDX-License-Identifier: Apache-2.0
"""Do something in a forked process with limits, and hear of it line by line."""

from __future__ import annotations

import os
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

MEMORY = 3 * 2**30  # bytes beyond those that the process has when it is forked
FILE_SIZE = 2**28  # bytes of a file
PROCESSOR_SECONDS = 20  # between two lines
WALL_SECONDS = 60.0  # between two lines; ends what waits and does not compute

Tell = Callable[[str], None]


class EndedError(Exception):
    """A process ended before its work did; the text says how."""


def in_child(work: Callable[[Tell], object], folder: Path) -> Iterator[str]:
    """Fork, do something in the child, and yield the lines that it tells.

    Parameters
    ----------
    work
        Called in the child with a function that tells a line.
    folder
        The child's working folder; what it prints goes to ``output.txt`` there.

    Raises
    ------
    EndedError
        If the child dies by a signal, says nothing for too long, or its work raises.
    """
    # Threads do not survive a fork, and whoever waits for one waits forever.
    assert len(os.listdir("/proc/self/task")) == 1, "this process has started threads"
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _work(work, writing, folder)
    os.close(writing)
    silent = closed = False
    try:
        with os.fdopen(reading, "rb", buffering=0) as stream:
            for line in _lines(stream.fileno()):
                if line is None:
                    silent = True
                    break
                yield line
        closed = not silent
    finally:
        if not closed:
            os.kill(child, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if silent:
        raise EndedError(f"hangs: nothing for {WALL_SECONDS:g} s")
    if status == -signal.SIGXCPU:
        raise EndedError(f"hangs: more than {PROCESSOR_SECONDS} s of the processor")
    if status < 0:
        raise EndedError(f"crashes: {signal.Signals(-status).name}{_last_words(folder)}")
    if status:
        raise EndedError(f"ends the process with status {status}{_last_words(folder)}")


def _lines(stream: int) -> Iterator[str | None]:
    """Yield lines until the other end is closed; None where none comes in time."""
    held = b""
    while True:
        if not select.select([stream], [], [], WALL_SECONDS)[0]:
            yield None
            return
        read = os.read(stream, 1 << 16)
        if not read:
            return
        *lines, held = (held + read).split(b"\n")
        yield from (line.decode() for line in lines)


def _work(work: Callable[[Tell], object], writing: int, folder: Path) -> NoReturn:
    status = 1
    try:
        output = os.open(folder / "output.txt", os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.chdir(folder)
        _limit()

        def tell(line: str) -> None:
            os.write(writing, line.encode() + b"\n")
            _limit_processor()

        work(tell)
        status = 0
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        # At once: the libraries' own clean-up is none of the work.
        os._exit(status)


def _limit() -> None:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    held = pages * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_SIZE, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # an error of the write
    _limit_processor()


def _limit_processor() -> None:
    used = int(time.process_time())
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (used + PROCESSOR_SECONDS, hard))


def _last_words(folder: Path) -> str:
    text = (folder / "output.txt").read_text(encoding="utf-8", errors="replace").strip()
    return f", and writes: {' | '.join(text.splitlines()[-4:])[-400:]}" if text else ""
