# SPDX-License-Identifier: Apache-2.0
"""Say what is being done and for how long already."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_INTERVAL = 1.0  # s
_WIDTH = 52


@contextmanager
def step(what: str) -> Iterator[None]:
    """Print ``what`` and, when it is done, how long it took; on a terminal the seconds run."""
    started = time.perf_counter()
    finished = threading.Event()
    label = f"{what} ".ljust(_WIDTH, ".")

    def tick() -> None:
        while not finished.wait(_INTERVAL):
            _write(f"\r{label} {time.perf_counter() - started:4.0f} s")

    _write(label)
    # elastix works in C++ and says nothing meanwhile; a thread of its own keeps the clock going.
    clock = threading.Thread(target=tick, daemon=True)
    if sys.stdout.isatty():
        clock.start()
    try:
        yield
    finally:
        finished.set()
        if clock.is_alive():
            clock.join()
            _write(f"\r{label}")
        _write(f" {time.perf_counter() - started:4.0f} s\n")


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
