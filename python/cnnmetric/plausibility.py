# SPDX-License-Identifier: Apache-2.0
"""``python -m cnnmetric.plausibility``: the metric's value and derivative around an alignment."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from cnnmetric.command_line import parser_for
from cnnmetric.command_line import run_command
from cnnmetric.command_line import settings_from

PROGRAM = "cnnmetric.plausibility"
DESCRIPTION = """Perturb a rotation, a translation, a scale and a B-spline control point of an
aligned pair and draw value and analytic derivative of the learned metric and of mutual information
(the paper's Figure 3), and what the network says place by place (its Figure 1)."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    return run_command(PROGRAM, lambda: _draw(arguments))


def _draw(arguments: Sequence[str] | None) -> None:
    # Imported here, so that a missing package is one line of advice and not a traceback.
    from cnnmetric.evaluation.plausibility.command import run
    from cnnmetric.evaluation.plausibility.settings import PlausibilitySettings

    parser = parser_for(PlausibilitySettings, DESCRIPTION, prog=f"python -m {PROGRAM}")
    run(settings_from(parser.parse_args(arguments)))


if __name__ == "__main__":
    sys.exit(main())
