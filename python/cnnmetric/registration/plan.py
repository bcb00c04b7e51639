# SPDX-License-Identifier: Apache-2.0
"""What a registration is going to do, and how long the rest of it takes."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass

from cnnmetric.plugin.iteration import Iteration

# Of elastix, where a parameter map does not say.
_RESOLUTIONS, _ITERATIONS = 3, 500
# More than a registration makes sense of; without a bound, a slip of the user fills the memory with
# levels before elastix sees it.
_MOST_LEVELS = 1000
# Of cnnmetric likewise: blocks of an evaluation, and the edge that theirs are near to, in voxels.
_BLOCKS, _BLOCK_EDGE = 8, 33


@dataclass(frozen=True, kw_only=True)
class PlannedLevel:
    """One level of resolution.

    Attributes
    ----------
    iterations
        The most that it may have.
    work
        Of one iteration, in voxels that the network sees.
    """

    iterations: int
    work: float


@dataclass(frozen=True, kw_only=True)
class PlannedStage:
    """One stage: its name, its number from 0, how many stages there are, and its levels.

    Attributes
    ----------
    levels
        Of a parameter map with more than a thousand, the first thousand.
    reports
        Whether it tells of its iterations. elastix tells the metric only, so that a stage by mutual
        information, for instance, says nothing until it ends.
    """

    name: str
    number: int
    stages: int
    levels: tuple[PlannedLevel, ...]
    reports: bool = True

    def planned(self, level: int) -> int:
        """Return the number of a level, for those beyond the plan that of its last one."""
        return min(level, len(self.levels) - 1)


def levels_of(parameters: Mapping[str, Sequence[str]], dimension: int) -> tuple[PlannedLevel, ...]:
    """Return the levels of a parameter map of elastix, a thousand at most.

    Parameters
    ----------
    parameters
        The map; of values that are no numbers, elastix's own are taken, which will say so.
    dimension
        Of the images.
    """

    def numbers(name: str, default: int) -> list[int]:
        try:
            return [int(float(value)) for value in parameters.get(name, ())] or [default]
        except (ValueError, OverflowError):  # the latter at infinity
            return [default]

    iterations = numbers("MaximumNumberOfIterations", _ITERATIONS)
    blocks = numbers("CNNMetricNumberOfBlocks", _BLOCKS)
    return tuple(
        PlannedLevel(
            # A level without a value of its own has the first one.
            iterations=iterations[level if level < len(iterations) else 0],
            work=float(blocks[level if level < len(blocks) else 0] * _BLOCK_EDGE**dimension),
        )
        for level in range(min(numbers("NumberOfResolutions", _RESOLUTIONS)[0], _MOST_LEVELS))
    )


class Stopwatch:
    """Estimates the time that is left from how long the work that is done took.

    Parameters
    ----------
    plan
        All stages.
    """

    def __init__(self, plan: Sequence[PlannedStage]) -> None:
        self._plan = plan
        self._stage_started = 0.0

    def start_stage(self, seconds: float) -> None:
        """Note when a stage starts, in seconds since the first one did."""
        self._stage_started = seconds

    def seconds_left(self, finished: Iteration, seconds: float) -> float:
        """Return how long the rest takes if work goes on as fast as in this stage.

        Parameters
        ----------
        finished
            The last iteration.
        seconds
            Since the start of the first stage.
        """
        stage = self._plan[finished.stage_number]
        *before, current = stage.levels[: finished.level + 1]
        done = sum(level.iterations * level.work for level in before)
        done += (finished.number + 1) * current.work
        ahead = sum(
            level.iterations * level.work
            for of in self._plan[finished.stage_number :]
            for level in of.levels
        )
        return (seconds - self._stage_started) * max(ahead - done, 0.0) / done
