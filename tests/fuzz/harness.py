# SPDX-License-Identifier: Apache-2.0
"""Run cases in processes of their own, so that a crash or a hang ends one case and no other."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import asdict
from dataclasses import dataclass
from dataclasses import replace
from pathlib import Path
from typing import IO

import numpy as np

from fuzz import known_faults
from fuzz.kinds import KINDS
from fuzz.oracles import judge
from fuzz.processes import EndedError
from fuzz.processes import Tell
from fuzz.processes import in_child
from fuzz.trial import Materials
from fuzz.trial import Trial

BATCH = 40  # cases a process: a fork costs as much as some cases


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a case.

    Attributes
    ----------
    kind, seed, number
        The case.
    status
        As of `oracles.judge`, or ``"known"``: a fault that `known_faults` lists.
    what
        The input.
    text
        The error, or what is wrong.
    seconds
        That it took.
    known
        Name of the known fault.
    """

    kind: str
    seed: int
    number: int
    status: str = ""
    what: str = ""
    text: str = ""
    seconds: float = 0.0
    known: str = ""

    @property
    def again(self) -> str:
        """Return the command that does this case alone."""
        return f"python -m fuzz {self.kind} --case {self.number} --seed {self.seed}"


def trial_of(kind: str, seed: int, number: int, materials: Materials) -> Trial:
    """Return a case: the same for the same three."""
    random = np.random.default_rng([seed, number, *kind.encode()])
    trial = KINDS[kind](random, materials)
    return replace(trial, what=materials.named(trial.what))


def run_cases(
    kind: str, seed: int, numbers: Sequence[int], materials: Materials, journal: IO[str]
) -> Iterator[Outcome]:
    """Run cases of a kind and yield what becomes of each.

    Parameters
    ----------
    kind, seed, numbers
        The cases.
    materials
        Of `materials.written`.
    journal
        Gets a line before each case and one after it.
    """
    left = list(numbers)
    while left:
        for outcome in _run_batch(kind, seed, left[:BATCH], materials, journal):
            left.pop(0)
            yield outcome


def _run_batch(
    kind: str, seed: int, batch: Sequence[int], materials: Materials, journal: IO[str]
) -> Iterator[Outcome]:
    """Run cases in one process; those behind a crash are left."""
    folder = Path(tempfile.mkdtemp(prefix="cnnmetric-fuzz-"))

    def work(tell: Tell) -> None:
        for number in batch:
            begun = Outcome(kind=kind, seed=seed, number=number)
            tell(json.dumps(asdict(begun)))
            trial = trial_of(kind, seed, number, materials)
            begun = replace(begun, what=trial.what)
            tell(json.dumps(asdict(begun)))
            started = time.perf_counter()
            status, text = judge(trial)
            seconds = round(time.perf_counter() - started, 4)
            tell(json.dumps(asdict(replace(begun, status=status, text=text, seconds=seconds))))

    current = Outcome(kind=kind, seed=seed, number=batch[0])
    try:
        for line in in_child(work, folder):
            current = Outcome(**json.loads(line))
            if current.status:
                current = _looked_up(current)
            _write(journal, current)
            if current.status:
                yield current
    except EndedError as ended:
        current = _looked_up(replace(current, status="fault", text=str(ended)))
        _write(journal, current)
        yield current
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _looked_up(outcome: Outcome) -> Outcome:
    if outcome.status != "fault":
        return outcome
    known = known_faults.name_of(outcome.kind, outcome.what, outcome.text)
    return replace(outcome, status="known", known=known) if known else outcome


def _write(journal: IO[str], outcome: Outcome) -> None:
    journal.write(f"{json.dumps(asdict(outcome))}\n")
    journal.flush()
