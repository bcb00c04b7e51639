# SPDX-License-Identifier: Apache-2.0
"""``cnnmetric doctor``: say what is installed, what is wrong, and what to do."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass

from cnnmetric.command_line import Settings
from cnnmetric.command_line import setting
from cnnmetric.commands.command import Command
from cnnmetric.doctor.examination import examine


@dataclass(frozen=True, kw_only=True)
class DoctorSettings(Settings):
    """How the examination is reported."""

    json: bool = setting(False, help_text="print JSON, to go with a bug report")


def run(settings: DoctorSettings) -> int:
    """Examine and report."""
    if not settings.json:
        print("Loading ITK and the models, which may take a minute.", file=sys.stderr)
    report = examine()
    print(json.dumps(report.record(), indent=2) if settings.json else report.text())
    return 0 if report.registration_can_run else 1


COMMANDS = {
    "": Command(
        settings=DoctorSettings,
        run=run,
        description="""Say what is installed, whether a registration with CNNMetric can run here,
and for every problem what to do. The exit status is 0 if a registration can run and 1
otherwise.""",
        examples=(
            ("What is wrong here?", "cnnmetric doctor"),
            ("For a bug report", "cnnmetric doctor --json > doctor.json"),
        ),
        loads=False,
    )
}
