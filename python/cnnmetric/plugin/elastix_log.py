# SPDX-License-Identifier: Apache-2.0
"""What elastix's log says of a failure, which its exception leaves out."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FILE_NAME = "elastix.log"
# What it says may have several lines, and ends before an empty one.
_OF_EXCEPTION = re.compile(
    r"^Description: (?:ITK ERROR: \S+:\s+)?(?:ERROR:\s)?(.*?)(?:\n\s*\n|\Z)",
    re.MULTILINE | re.DOTALL,
)
# Of what comes without an exception, the first tells the reason of the others.
_ERROR = re.compile(r"^ERROR:\s(.*?)(?:\n\s*\n|\Z)", re.MULTILINE | re.DOTALL)
# Names of types are for those who write C++.
_CAST = re.compile(r"You tried to cast (.*) from std::string to \w+")


def reason_in(log: Path) -> str | None:
    """Return what a log says of the failure that it ended with; None if it does not."""
    if not log.is_file():
        return None
    text = log.read_text(encoding="utf-8", errors="replace")
    found = _OF_EXCEPTION.findall(text)[-1:] or _ERROR.findall(text)[:1]
    words = [word for reason in found for word in _CAST.sub(r"It is \1.", reason).split()]
    return " ".join(words) or None


@contextmanager
def log_in(registration: Any) -> Iterator[Path]:
    """Let elastix write its log, and whatever else it writes, into a folder of this block alone.

    Parameters
    ----------
    registration
        An ``itk.ElastixRegistrationMethod``.

    Yields
    ------
    Path
        Of the log.
    """
    with tempfile.TemporaryDirectory() as folder:
        registration.SetOutputDirectory(folder)
        registration.SetLogToFile(True)
        registration.SetLogFileName(FILE_NAME)
        yield Path(folder) / FILE_NAME


def reason_of(registration: Any, repeat: Callable[[], object]) -> str | None:
    """Return why a registration has failed, from its log; without one, from that of doing it again.

    Parameters
    ----------
    registration
        An ``itk.ElastixRegistrationMethod``; where it writes is afterwards as before.
    repeat
        Registers with it.
    """
    folder, name = registration.GetOutputDirectory(), registration.GetLogFileName()
    if registration.GetLogToFile():
        return reason_in(Path(folder) / (name or FILE_NAME))
    try:
        with log_in(registration) as log:
            try:
                repeat()
            except RuntimeError:
                return reason_in(log)
            return None
    finally:
        registration.SetOutputDirectory(folder)
        registration.SetLogFileName(name)
        registration.SetLogToFile(False)
