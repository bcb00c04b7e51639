# SPDX-License-Identifier: Apache-2.0
"""``cnnmetric models``: list the installed models."""

from __future__ import annotations

from dataclasses import dataclass

from cnnmetric.command_line import Settings
from cnnmetric.command_line import setting
from cnnmetric.commands.command import Command


@dataclass(frozen=True, kw_only=True)
class ListSettings(Settings):
    """How the list is printed."""

    json: bool = setting(False, help_text="print JSON")


def list_models(settings: ListSettings) -> None:
    """Print the list."""
    from cnnmetric.plugin.package_data import folder

    for file in sorted(folder("models").glob("*.onnx")):
        print(file.stem)


COMMANDS = {
    "": Command(settings=ListSettings, run=list_models, description="List the installed models.")
}
