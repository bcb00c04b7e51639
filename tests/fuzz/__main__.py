# SPDX-License-Identifier: Apache-2.0
"""``python -m fuzz``: run many cases, or one again."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory

from fuzz import materials
from fuzz.harness import run_cases
from fuzz.harness import trial_of
from fuzz.kinds import KINDS
from fuzz.kinds import numbers_of
from fuzz.oracles import judge
from fuzz.trial import Materials
from fuzz.warm_up import warm_up


def main() -> int:
    """Read the command line, run, and return the exit status: 1 if there is a fault."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("kinds", nargs="*", choices=[*KINDS, []], help="all where left out")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cases", type=int, default=1000, help="of all kinds together")
    parser.add_argument("--case", type=int, help="this one alone, in this process")
    parser.add_argument("--journal", type=Path, default=Path("build/fuzz/journal"))
    options = parser.parse_args()
    kinds = options.kinds or list(KINDS)
    with materials.written() as made:
        if options.case is not None:
            return _again(kinds[0], options.seed, options.case, made)
        warm_up()
        options.journal.parent.mkdir(parents=True, exist_ok=True)
        numbers = {kind: range(options.cases // len(kinds)) for kind in options.kinds}
        started = time.monotonic()
        outcomes: Counter[str] = Counter()
        known: Counter[str] = Counter()
        with options.journal.open("w", encoding="utf-8") as journal:
            for kind, chosen in (numbers or numbers_of(options.cases)).items():
                for outcome in run_cases(kind, options.seed, chosen, made, journal):
                    outcomes[outcome.status] += 1
                    known[outcome.known] += bool(outcome.known)
                    if outcome.status == "fault":
                        print(outcome.again, outcome.what, outcome.text, sep="\n  ", flush=True)
    print(_figure(outcomes, +known), f"{time.monotonic() - started:.0f} s")
    return int(outcomes["fault"] > 0)


def _again(kind: str, seed: int, number: int, made: Materials) -> int:
    """Do a case in this process, which it may end."""
    with TemporaryDirectory(prefix="cnnmetric-fuzz-") as folder, chdir(folder):
        trial = trial_of(kind, seed, number, made)
        print(trial.what, f"expected: {trial.expected or 'either'}", sep="\n", flush=True)
        status, text = judge(trial)
    print(status, text, sep=": ")
    return int(status == "fault")


def _figure(outcomes: Counter[str], known: Counter[str]) -> str:
    listed = "".join(f", {number} times {name}" for name, number in known.items())
    return (
        f"{outcomes.total()} cases: {outcomes['success']} successes, {outcomes['refused']} "
        f"refusals, {outcomes['elastix']} refusals of elastix's own, {outcomes['known']} known "
        f"faults{listed}, {outcomes['fault']} faults;"
    )


if __name__ == "__main__":
    sys.exit(main())
