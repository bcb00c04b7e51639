# SPDX-License-Identifier: Apache-2.0
"""How a command ends: its exit status, and one line of what went wrong."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable

from cnnmetric.errors import CNNMetricError

# Of the environment: shows errors with their traceback.
DEBUG = "CNNMETRIC_DEBUG"


def run_command(
    program: str, command: Callable[[], int | None], *, interrupted: str = "interrupted"
) -> int:
    """Run a command and return its exit status; errors and warnings are lines on standard error.

    Parameters
    ----------
    program
        What the line begins with, for example ``"cnnmetric.train"``.
    command
        Reads the command line and does the work. Returns the exit status, or None for 0.
    interrupted
        What to tell after Ctrl-C.

    Returns
    -------
    int
        That of the command; 1 after a `CNNMetricError` or an error of the system or of a library,
        such as a full disk, and 130 after Ctrl-C. With the environment variable
        ``CNNMETRIC_DEBUG``, errors are raised, to be seen with their traceback.
    """
    try:
        with warnings.catch_warnings():  # puts back what is changed
            _show_in_one_line(program)
            return command() or 0
    except (CNNMetricError, OSError, RuntimeError, MemoryError, UnicodeError) as error:
        # Python derives these two from RuntimeError, which libraries raise for what users can mend.
        # They are faults of the program, and a report of one needs the traceback.
        if os.environ.get(DEBUG) or isinstance(error, (NotImplementedError, RecursionError)):
            raise
        print(f"{program}: {_one_line(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{program}: {interrupted}", file=sys.stderr)
        return 130


def _show_in_one_line(program: str) -> None:
    """Show what users are warned of without the place in the code that it comes from."""
    show = warnings.showwarning

    def ours(message, category, *rest, **more) -> None:  # type: ignore[no-untyped-def]
        if issubclass(category, (UserWarning, RuntimeWarning)):
            print(f"{program}: warning: {message}", file=sys.stderr)
        else:
            show(message, category, *rest, **more)

    warnings.showwarning = ours


def _one_line(error: BaseException) -> str:
    """Return what an error says in a line; of one that is not ours, also what it is of."""
    if isinstance(error, CNNMetricError):
        return " ".join(str(error).splitlines())
    if isinstance(error, OSError) and error.strerror:
        names = [str(name) for name in (error.filename, error.filename2) if name is not None]
        return f"{error.strerror}: {' and '.join(names)}" if names else error.strerror
    text = " ".join(str(error).split())
    return f"{text or 'no message'} ({type(error).__name__}; {DEBUG}=1 shows where)"
