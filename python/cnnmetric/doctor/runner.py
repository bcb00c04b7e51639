# SPDX-License-Identifier: Apache-2.0
"""Run probes in processes of their own, which may crash or hang."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from cnnmetric.doctor import tasks as tasks_module

# Loading ITK from a cold disk takes tens of seconds.
SECONDS = 300.0


def run_probes(tasks: Sequence[str], *, seconds: float = SECONDS) -> dict[str, dict[str, Any]]:
    """Do the tasks of `cnnmetric.doctor.tasks` and return the result of each.

    All run in one process, as loading ITK takes long. If that ends early, the task it was at has
    failed, and the others are done in another one.

    Parameters
    ----------
    tasks
        Names of tasks, with ``=`` and an argument where they need one.
    seconds
        After which a process is ended.

    Returns
    -------
    dict
        By task: ``"ok"``, and either ``"reason"`` or what the task found.
    """
    results: dict[str, dict[str, Any]] = {}
    remaining = list(tasks)
    while remaining:
        command = [sys.executable, "-m", tasks_module.__name__, *remaining]
        try:
            run = subprocess.run(
                command, capture_output=True, text=True, errors="replace", timeout=seconds
            )
            output, reason = run.stdout, _reason(run.returncode, run.stderr)
        except subprocess.TimeoutExpired as error:
            output = (error.stdout or b"").decode(errors="replace")
            reason = f"it did not end within {seconds:g} s"
        for line in output.splitlines():
            if line.startswith(tasks_module.MARK):
                result = json.loads(line.removeprefix(tasks_module.MARK))
                results[result.pop("task")] = result
        remaining = [task for task in remaining if task not in results]
        if remaining:
            results[remaining.pop(0)] = {"ok": False, "reason": reason}
    return results


def _reason(status: int, errors: str) -> str:
    if status < 0:
        return f"the process crashed with {signal.Signals(-status).name}"
    last = errors.strip().rpartition("\n")[2]
    return f"the process ended with status {status}: {last}"
