# SPDX-License-Identifier: Apache-2.0
"""``cnnmetric plausibility``: the metric's value and derivative around an alignment."""

from __future__ import annotations

from cnnmetric.commands.command import Command
from cnnmetric.evaluation.plausibility.settings import PlausibilitySettings


def run(settings: PlausibilitySettings) -> None:
    """Draw."""
    from cnnmetric.evaluation.plausibility import command

    command.run(settings)


COMMANDS = {
    "": Command(
        settings=PlausibilitySettings,
        run=run,
        description="""Perturb a rotation, a translation, a scale and a B-spline control point of an
aligned pair and draw value and analytic derivative of the learned metric and of mutual information
(the paper's Figure 3), and what the network says place by place (its Figure 1).""",
        examples=(
            (
                "Of a T1 and a T2 image of one subject that lie on each other",
                "cnnmetric plausibility T1.nii.gz T2.nii.gz --out plausibility/",
            ),
        ),
    )
}
