# SPDX-License-Identifier: Apache-2.0
"""The command ``python -m cnnmetric.doctor``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from cnnmetric.command_line import run_command
from cnnmetric.doctor.examination import examine

PROGRAM = "cnnmetric.doctor"
DESCRIPTION = """Say what is installed, whether a registration with CNNMetric can run here, and for
every problem what to do. The exit status is 0 if a registration can run and 1 otherwise."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(prog=f"python -m {PROGRAM}", description=DESCRIPTION)
    parser.add_argument("--json", action="store_true", help="print JSON, to go with a bug report")
    as_json = parser.parse_args(arguments).json
    return run_command(PROGRAM, lambda: _examine(as_json=as_json))


def _examine(*, as_json: bool) -> int:
    if not as_json:
        print("Loading ITK and the models, which may take a minute.", file=sys.stderr)
    report = examine()
    print(json.dumps(report.record(), indent=2) if as_json else report.text())
    return 0 if report.registration_can_run else 1


if __name__ == "__main__":
    sys.exit(main())
