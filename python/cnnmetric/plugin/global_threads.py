# SPDX-License-Identifier: Apache-2.0
"""ITK's numbers of threads for the whole process, which elastix sets and leaves behind.

An elastix that is told a number of threads makes it the largest and the default of everything in
ITK, so that all that comes later in the process would have no more.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import itk

_lock = threading.Lock()
_running = 0  # registrations
_before = (0, 0)  # largest and default number, when the first of them started


@contextmanager
def kept() -> Iterator[None]:
    """Give ITK its numbers of threads back at the end of this block, or of the last at a time."""
    global _running, _before
    base = itk.MultiThreaderBase
    with _lock:
        if _running == 0:
            _before = (
                base.GetGlobalMaximumNumberOfThreads(),
                base.GetGlobalDefaultNumberOfThreads(),
            )
        _running += 1
    try:
        yield
    finally:
        with _lock:
            _running -= 1
            if _running == 0:
                base.SetGlobalMaximumNumberOfThreads(_before[0])
                base.SetGlobalDefaultNumberOfThreads(_before[1])
