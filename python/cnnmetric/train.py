# SPDX-License-Identifier: Apache-2.0
"""``python -m cnnmetric.train``: from a table of aligned images to a model file."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from cnnmetric.command_line import parser_for
from cnnmetric.command_line import run_command
from cnnmetric.command_line import settings_from

PROGRAM = "cnnmetric.train"
DESCRIPTION = "Train the metric on aligned image pairs and export it as one .onnx file."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    return run_command(
        PROGRAM,
        lambda: _train(arguments),
        interrupted="interrupted; --resume goes on from the last checkpoint, if there is one",
    )


def _train(arguments: Sequence[str] | None) -> int:
    # Imported here, so that a missing PyTorch is one line of advice and not a traceback.
    from cnnmetric.training.command import run
    from cnnmetric.training.settings import TrainingSettings

    parser = parser_for(TrainingSettings, DESCRIPTION, prog=f"python -m {PROGRAM}")
    return run(settings_from(parser.parse_args(arguments)), program=PROGRAM)


if __name__ == "__main__":
    sys.exit(main())
