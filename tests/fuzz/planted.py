# SPDX-License-Identifier: Apache-2.0
"""Faults that are planted, to see whether they are noticed; and other checks of the harness."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from typing import NoReturn

from cnnmetric.errors import MetricError
from fuzz import materials
from fuzz import processes
from fuzz.harness import trial_of
from fuzz.kinds import KINDS
from fuzz.known_faults import KNOWN_FAULTS
from fuzz.known_faults import shows
from fuzz.oracles import check_same
from fuzz.oracles import judge
from fuzz.processes import Tell
from fuzz.trial import Trial

_ELASTIX = RuntimeError("Internal elastix error, of which its log says: no such optimizer")
_NO_REASON = RuntimeError("Internal elastix error: See elastix log (use LogToConsoleOn())")


def main() -> None:
    """Print what becomes of everything below, in JSON."""
    found = {
        "known": {fault.name: shows(fault, Path(".")) for fault in KNOWN_FAULTS},
        "cases": _cases(),
        "judged": {name: judge(trial)[0] for name, trial in _trials().items()},
    }
    processes.PROCESSOR_SECONDS, processes.WALL_SECONDS = 1, 5.0
    found["endings"] = {name: _ending(work) for name, work in _WORKS.items()}
    json.dump(found, sys.stdout)


def _cases() -> list[list[str]]:
    """Return the inputs of some cases, each made twice."""
    with materials.written() as made:
        return [
            [trial_of(kind, seed, number, made).what for _ in range(2)]
            for kind in KINDS
            for seed in (1, 2)
            for number in range(20)
        ]


def _trials() -> dict[str, Trial]:
    """Return what has to be judged as its name begins."""
    clear = _raises(MetricError("the grid is too fine"))
    faults: dict[str, Callable[[], object]] = {
        "NaN": lambda: [1.0, {"a": (float("nan"),)}],
        "another exception": _raises(TypeError("an integer is required")),
        "a text of C++": _raises(MetricError("std::bad_alloc while it runs")),
        "a text without advice": _raises(MetricError("failed")),
        "elastix's, of an input of ours": _raises(_ELASTIX),
        "the end of the process": _raises(SystemExit(0)),
        "a difference": lambda: check_same("moved", 1.0, 1.1),
        "memory": lambda: bytearray(2**42),
    }
    trials = {f"fault: {name}": Trial(what="", run=run) for name, run in faults.items()}
    return trials | {
        "fault: no reason": Trial(what="", run=_raises(_NO_REASON), elastix_may_refuse=True),
        "fault: accepted in silence": Trial(what="", run=lambda: 1.0, expected="refusal"),
        "fault: refused though right": Trial(what="", run=clear, expected="success"),
        "refused": Trial(what="", run=clear),
        "elastix": Trial(what="", run=_raises(_ELASTIX), elastix_may_refuse=True),
        "success": Trial(what="", run=lambda: 1.0, expected="success"),
    }


def _raises(error: BaseException) -> Callable[[], NoReturn]:
    def run() -> NoReturn:
        raise error

    return run


def _ending(work: Callable[[Tell], object]) -> str:
    try:
        return " ".join(processes.in_child(work, Path(".")))
    except processes.EndedError as ended:
        return str(ended)


def _compute(_: Tell) -> None:
    while True:
        pass


def _fail(_: Tell) -> None:
    raise ValueError("of the harness")


def _write(_: Tell) -> Any:
    return Path("large").write_bytes(bytes(processes.FILE_SIZE + 1))


_WORKS: dict[str, Callable[[Tell], object]] = {
    "crash": lambda _: os.kill(os.getpid(), signal.SIGSEGV),
    "leave": lambda _: os._exit(3),
    "fail": _fail,
    "compute": _compute,
    "wait": lambda _: time.sleep(60),
    "write": _write,
    "finish": lambda tell: tell("done"),
}
