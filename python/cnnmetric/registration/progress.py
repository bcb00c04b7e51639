# SPDX-License-Identifier: Apache-2.0
"""Show how far a registration is: bars on a terminal, a line per level elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn
from rich.progress import Progress
from rich.progress import ProgressColumn
from rich.progress import Task
from rich.progress import TaskID
from rich.progress import TextColumn
from rich.text import Text

from cnnmetric.plugin.iteration import Iteration
from cnnmetric.registration.plan import PlannedStage
from cnnmetric.registration.plan import Stopwatch

_UPDATES = 4  # of the screen, per second
_SILENT = "another metric, no count"  # of its iterations


class Display(Protocol):
    """What shows the progress of a registration."""

    def start(self, plan: Sequence[PlannedStage]) -> None:
        """Take the stages there are going to be."""

    def start_stage(self, stage: PlannedStage) -> None:
        """Show a stage, from whose start to its first iteration seconds may pass."""

    def iteration(self, finished: Iteration) -> None:
        """Show a finished iteration."""

    def finish(self) -> None:
        """Leave the screen to others; also called after a failure."""


def display(*, lines: bool = False) -> Display:
    """Return what shows progress on standard error.

    Parameters
    ----------
    lines
        No bars, even on a terminal, because others print there meanwhile.
    """
    console = Console(stderr=True)
    if lines or not (console.is_terminal or console.is_jupyter):
        return Lines(console)
    return Bars(console)


class Lines:
    """A line at the start of each stage and at the end of each level."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last: Iteration | None = None
        self._started = time.perf_counter()

    def start(self, plan: Sequence[PlannedStage]) -> None:
        """Start the clock."""
        self._started = time.perf_counter()

    def start_stage(self, stage: PlannedStage) -> None:
        """Print its name."""
        self._print_level()
        silent = "" if stage.reports else f" ({_SILENT})"
        self._print(f"stage {stage.number + 1} of {stage.stages}: {stage.name}{silent}")

    def iteration(self, finished: Iteration) -> None:
        """Print the level before, if this is the first one of a level."""
        if self._last is not None and finished.level != self._last.level:
            self._print_level()
        self._last = finished

    def finish(self) -> None:
        """Print the last level."""
        self._print_level()

    def _print_level(self) -> None:
        if self._last is not None:
            done, self._last = self._last, None
            self._print(
                f"  level {done.level + 1} of {done.levels}: {done.number + 1} iterations, "
                f"{done.metric} {done.value:.4f}"
            )

    def _print(self, text: str) -> None:
        seconds = time.perf_counter() - self._started
        # As it is: a line that ends in the middle cannot be searched for in a log.
        self._console.print(
            f"{seconds:6.1f} s  {text}", markup=False, highlight=False, soft_wrap=True
        )


class Bars:
    """A bar for each stage, with level, iteration, the metric's value and the time that is left."""

    def __init__(self, console: Console) -> None:
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=12),
            TextColumn("{task.fields[place]}"),
            TextColumn("{task.fields[value]}"),
            _Elapsed(),
            TextColumn("{task.fields[left]}"),
            console=console,
            refresh_per_second=_UPDATES,
        )
        self._plan: Sequence[PlannedStage] = ()
        self._rows: list[TaskID] = []
        self._before: list[list[int]] = []
        self._started = 0.0

    def start(self, plan: Sequence[PlannedStage]) -> None:
        """Draw a bar for each stage, still empty."""
        self._plan = plan
        self._stopwatch = Stopwatch(plan)
        self._started = time.perf_counter()
        for stage in plan:
            iterations = [level.iterations for level in stage.levels]
            self._before.append([sum(iterations[:place]) for place in range(len(iterations))])
            row = self._bars.add_task(
                stage.name, total=sum(iterations), start=False, place="", value="", left=""
            )
            self._rows.append(row)
        self._bars.start()

    def start_stage(self, stage: PlannedStage) -> None:
        """Start its clock, and fill the bar of the stage before."""
        self._complete(stage.number)
        self._stopwatch.start_stage(time.perf_counter() - self._started)
        self._bars.start_task(self._rows[stage.number])
        self._bars.update(
            self._rows[stage.number], place="getting ready" if stage.reports else _SILENT
        )

    def iteration(self, finished: Iteration) -> None:
        """Note it; the screen is drawn by a thread of its own."""
        left = self._stopwatch.seconds_left(finished, time.perf_counter() - self._started)
        self._bars.update(
            self._rows[finished.stage_number],
            completed=self._before[finished.stage_number][finished.level] + finished.number + 1,
            place=f"level {finished.level + 1}/{finished.levels}, "
            f"{finished.number + 1}/{finished.iterations}",
            value=f"{finished.metric} {finished.value:.4f}",
            left=f"{_minutes(left)} left",
        )

    def finish(self) -> None:
        """Draw the bars a last time."""
        self._complete(len(self._rows))
        self._bars.stop()

    def _complete(self, number: int) -> None:
        for stage, row in zip(self._plan[:number], self._rows[:number], strict=True):
            task = self._bars.tasks[stage.number]
            # An optimizer may end before its last iteration.
            if task.started and not task.finished:
                self._bars.update(row, completed=task.total)
            self._bars.update(row, left="")


class _Elapsed(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Return how long the stage takes already."""
        return Text("" if task.elapsed is None else _minutes(task.elapsed))


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
