# SPDX-License-Identifier: Apache-2.0
"""``cnnmetric demo``: register a T1 and a T2 image of two subjects, and draw the result."""

from __future__ import annotations

from cnnmetric.commands.command import Command
from cnnmetric.demo.settings import DemoSettings


def run(settings: DemoSettings) -> None:
    """Register and draw."""
    from cnnmetric.demo import command

    command.run(settings)


COMMANDS = {
    "": Command(
        settings=DemoSettings,
        run=run,
        description="""Register a T1 and a T2 image of two subjects by cnnmetric.register, print how
well they fit before and after, and write a picture. Without arguments the pair is built from the
ICBM152 anatomy, so that the truth is known; where the environment variable CNNMETRIC_DATA names a
folder with real images, those are used; --fixed and --moving take your own.""",
        examples=(
            ("The pair that comes with it", "cnnmetric demo --output demo.png"),
            ("Compared with mutual information", "cnnmetric demo --compare-mi"),
        ),
    )
}
