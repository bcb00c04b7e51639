# SPDX-License-Identifier: Apache-2.0
"""One run at a time in an output folder."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cnnmetric.errors import SettingsError

LOCK = ".lock"
_TAKEN = (errno.EWOULDBLOCK, errno.EACCES)  # the latter on some network file systems


@contextmanager
def only_run(folder: Path) -> Iterator[None]:
    """Keep other runs out of a folder, in this process and in others, while what is inside runs.

    The operating system takes the lock back when this process ends, however that happens; the
    file that it is on stays, and means nothing by itself.

    Parameters
    ----------
    folder
        That the run writes to; it exists.

    Raises
    ------
    SettingsError
        If another run writes there, or the file of the lock cannot be opened.
    """
    file = folder / LOCK
    try:
        # For writing: network file systems lock no other files. Not inherited by registrations,
        # which would hold the lock after the run has been killed.
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        msg = f"{file} cannot be opened ({error.strerror}); remove it, or choose another --out"
        raise SettingsError(msg) from error
    try:
        _lock(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _TAKEN:
            return  # a file system without locks cannot tell, which is no reason not to run
        msg = (
            f"another run writes to {folder}; wait until it has ended, or stop it, or choose "
            "another --out"
        )
        raise SettingsError(msg) from error
