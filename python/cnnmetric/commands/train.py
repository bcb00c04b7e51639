# SPDX-License-Identifier: Apache-2.0
"""``cnnmetric train``: from a table of aligned images to a model file."""

from __future__ import annotations

from cnnmetric.commands.command import Command
from cnnmetric.training.settings import TrainingSettings


def run(settings: TrainingSettings) -> int:
    """Train, and say where the model is and how good it is; return the exit status."""
    from cnnmetric.training import command

    return command.run(settings, program="cnnmetric train")


COMMANDS = {
    "": Command(
        settings=TrainingSettings,
        run=run,
        description="Train the metric on aligned image pairs and export it as one .onnx file.",
        examples=(
            (
                "On the pairs that a table names, one subject a row",
                "cnnmetric train pairs.csv --modalities T1,T2 --out t1t2.onnx",
            ),
            (
                "Go on after an interruption",
                "cnnmetric train pairs.csv --modalities T1,T2 --out t1t2.onnx --resume",
            ),
        ),
    )
}
