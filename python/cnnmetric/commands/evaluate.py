# SPDX-License-Identifier: Apache-2.0
"""``cnnmetric evaluate``: compare registration methods on labelled subjects."""

from __future__ import annotations

from cnnmetric.commands.command import Command
from cnnmetric.evaluation.settings import FigureSettings
from cnnmetric.evaluation.settings import RunSettings
from cnnmetric.evaluation.settings import SummarySettings


def run(settings: RunSettings) -> None:
    """Register and measure."""
    from cnnmetric.evaluation import commands

    commands.run(settings)


def summary(settings: SummarySettings) -> None:
    """Print and save the table."""
    from cnnmetric.evaluation import commands

    commands.summary(settings)


def figures(settings: FigureSettings) -> None:
    """Draw."""
    from cnnmetric.evaluation import commands

    commands.figures(settings)


_RUN = Command(
    settings=RunSettings,
    run=run,
    description="""Register labelled subjects by several methods, measure overlap, and go on where
an earlier run stopped. The words `summary` and `figures` after it show and draw a folder of
results; each has its own --help.""",
    examples=(
        (
            "Learned metric against mutual information",
            "cnnmetric evaluate --subjects subjects.csv --registrations registrations.csv "
            "--methods cnn,mi --out results/",
        ),
        ("The table of what is done so far", "cnnmetric evaluate summary --out results/"),
        ("Figures and tables of the paper", "cnnmetric evaluate figures --out results/"),
    ),
)
COMMANDS = {
    "": _RUN,
    "run": _RUN,
    "summary": Command(
        settings=SummarySettings,
        run=summary,
        description="""Print the table of a folder of results, and save it and its rows by
registration.""",
    ),
    "figures": Command(
        settings=FigureSettings,
        run=figures,
        description="Draw the paper's Figures 2 and 4, its Table 1 and overlap per label.",
    ),
}
