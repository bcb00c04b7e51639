# SPDX-License-Identifier: Apache-2.0
"""``python -m cnnmetric.evaluate``: compare registration methods on labelled subjects."""

from __future__ import annotations

import sys
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

from cnnmetric.command_line import Settings
from cnnmetric.command_line import parser_for
from cnnmetric.command_line import settings_from
from cnnmetric.errors import CNNMetricError

RUN = """Register labelled subjects by several methods, measure overlap, and go on where an earlier
run stopped. `python -m cnnmetric.evaluate summary --help` shows the tables of a folder of results,
`python -m cnnmetric.evaluate figures --help` draws them."""
SUMMARY = "Print the table of a folder of results, and save it and its rows by registration."
FIGURES = "Draw the paper's Figures 2 and 4, its Table 1 and overlap per label."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status: 0, 1 after an error, 130 after Ctrl-C."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
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
        program = f"python -m cnnmetric.evaluate {command}"
        parser = parser_for(settings_class, description, prog=program)
        function(settings_from(parser.parse_args(words)))
    except CNNMetricError as error:
        print(f"cnnmetric.evaluate: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("cnnmetric.evaluate: interrupted; the same command goes on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
