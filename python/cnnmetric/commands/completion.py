# SPDX-License-Identifier: Apache-2.0
"""``cnnmetric completion``: what makes a shell complete subcommands, options and file names."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import shtab

from cnnmetric.command_line import Settings
from cnnmetric.command_line import setting
from cnnmetric.command_line.parser import add_settings
from cnnmetric.commands.command import Command
from cnnmetric.commands.main import PROGRAM
from cnnmetric.commands.main import commands_of
from cnnmetric.commands.main import parser_of_names
from cnnmetric.errors import CompatibilityError


@dataclass(frozen=True, kw_only=True)
class CompletionSettings(Settings):
    """For which shell."""

    shell: Literal["bash", "zsh", "tcsh"] = setting(
        help_text="the shell that is to complete", positional=True
    )


def run(settings: CompletionSettings) -> None:
    """Print the script."""
    parser, parsers = parser_of_names()
    for name, of_name in parsers.items():
        try:
            _add_options(of_name, commands_of(name))
        except CompatibilityError:
            continue  # of a subcommand that cannot be used here, the name is completed
    print(shtab.complete(parser, shell=settings.shell))


def _add_options(parser: argparse.ArgumentParser, commands: dict[str, Command]) -> None:
    """Give a parser the options of a subcommand, and of the words that may follow it."""
    add_settings(parser, commands[""].settings)
    for action in parser._actions:
        if action.type is Path:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    if len(commands) > 1 and not parser._get_positional_actions():
        words = parser.add_subparsers()
        for word, command in commands.items():
            if word:
                # shtab leaves out words without a help text.
                of_word = words.add_parser(
                    word, description=command.description, help=command.description
                )
                _add_options(of_word, {"": command})


COMMANDS = {
    "": Command(
        settings=CompletionSettings,
        run=run,
        description="Print what makes a shell complete subcommands, options and file names.",
        examples=(
            ("In this bash", f'eval "$({PROGRAM} completion bash)"'),
            (
                "In every bash",
                f"{PROGRAM} completion bash > ~/.local/share/bash-completion/completions/{PROGRAM}",
            ),
            ("In every zsh", f"{PROGRAM} completion zsh > ~/.zfunc/_{PROGRAM}"),
        ),
        loads=False,
    )
}
