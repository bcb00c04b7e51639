# SPDX-License-Identifier: Apache-2.0
"""``python -m cnnmetric.evaluate``: compare registration methods on labelled subjects."""

from __future__ import annotations

import sys
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

from cnnmetric.command_line import Settings
from cnnmetric.command_line import parser_for
from cnnmetric.command_line import run_command
from cnnmetric.command_line import settings_from

PROGRAM = "cnnmetric.evaluate"
RUN = """Register labelled subjects by several methods, measure overlap, and go on where an earlier
run stopped. `python -m cnnmetric.evaluate summary --help` shows the tables of a folder of results,
`python -m cnnmetric.evaluate figures --help` draws them."""
SUMMARY = "Print the table of a folder of results, and save it and its rows by registration."
FIGURES = "Draw the paper's Figures 2 and 4, its Table 1 and overlap per label."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    return run_command(
        PROGRAM,
        lambda: _evaluate(list(sys.argv[1:] if arguments is None else arguments)),
        interrupted="interrupted; the same command goes on",
    )


def _evaluate(words: list[str]) -> None:
    # Imported here, so that a missing package is one line of advice and not a traceback.
    from cnnmetric.evaluation import commands
    from cnnmetric.evaluation import settings

    known: dict[str, tuple[type[Settings], str, Callable[[Any], None]]] = {
        "run": (settings.RunSettings, RUN, commands.run),
        "summary": (settings.SummarySettings, SUMMARY, commands.summary),
        "figures": (settings.FigureSettings, FIGURES, commands.figures),
    }
    command = words.pop(0) if words and words[0] in known else "run"
    settings_class, description, function = known[command]
    parser = parser_for(settings_class, description, prog=f"python -m {PROGRAM} {command}")
    function(settings_from(parser.parse_args(words)))


if __name__ == "__main__":
    sys.exit(main())
