# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C and SIGTERM during training: finish the step, so that nothing is lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from collections.abc import Iterable
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any
from typing import TypeVar

Item = TypeVar("Item")

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """Training was stopped by a signal, after a checkpoint was written; the text says where.

    Attributes
    ----------
    signal
        Its number.
    """

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.signal = number


class StopRequest:
    """Whether a signal has asked to stop.

    Attributes
    ----------
    signal
        Its number; 0 as long as none came.
    """

    signal: int = 0


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Take the first Ctrl-C or SIGTERM within the block as a request; a second one acts at once.

    Outside of the main thread, where Python takes no signals, nothing changes.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before: dict[int, Any] = {number: signal.getsignal(number) for number in SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def take(number: int, frame: FrameType | None) -> None:
        request.signal = number
        restore()

    for number in SIGNALS:
        signal.signal(number, take)
    try:
        yield request
    finally:
        restore()


def unless_stopped(batches: Iterable[Item], request: StopRequest) -> Generator[Item]:
    """Yield batches; end early where a signal has ended processes that had only begun to load."""
    iterator = iter(batches)
    while True:
        try:
            batch = next(iterator)
        except StopIteration:
            return
        except RuntimeError:
            if request.signal:
                return
            raise
        yield batch


def leave_signals(worker: int) -> None:
    """Leave Ctrl-C and SIGTERM to the process that trains, in one that loads data.

    Terminals and queues send them to all processes. PyTorch makes an error of a loading process
    that ends, at whatever the training one does at that time.

    Parameters
    ----------
    worker
        Number of the process that loads data, as PyTorch gives it.
    """
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
