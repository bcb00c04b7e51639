# SPDX-License-Identifier: Apache-2.0
"""``cnnmetric train``: from a table of aligned images to a model file."""

from __future__ import annotations

from cnnmetric.commands.command import Command
from cnnmetric.training.settings import TrainingSettings


def run(settings: TrainingSettings) -> None:
    """Train, and say where the model is."""
    from cnnmetric.training.loop import train

    progress = train(settings)
    print(
        f"wrote {settings.out} after {progress.step} steps "
        f"({progress.seconds:.0f} s of training) and its record {settings.record}"
    )


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
