# SPDX-License-Identifier: Apache-2.0
"""The command line of ``cnnmetric``: find the subcommand, read its options, do it."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from cnnmetric.command_line import parser_for
from cnnmetric.command_line import run_command
from cnnmetric.command_line import settings_from
from cnnmetric.command_line.parser import CommandParser
from cnnmetric.commands.command import Command
from cnnmetric.plugin import compatibility
from cnnmetric.plugin.start import start

PROGRAM = "cnnmetric"
DESCRIPTION = """Register images of different modalities by a learned similarity metric."""
EXAMPLES = (
    ("A T2 image onto a T1 image", f"{PROGRAM} register T1.nii.gz T2.nii.gz -o out/"),
    ("What is wrong here?", f"{PROGRAM} doctor"),
    ("What does a subcommand take?", f"{PROGRAM} register --help"),
)
STATUS = "Exit status: 0 done, 1 failed, 2 not understood, 130 interrupted."


@dataclass(frozen=True)
class Entry:
    """How a subcommand is listed; its module is read when it is called.

    Attributes
    ----------
    summary
        For the list of subcommands.
    interrupted
        What to tell after Ctrl-C.
    """

    summary: str
    interrupted: str = "interrupted"


# By name, which is that of the module in this room.
NAMES = {
    "register": Entry(
        "register two images, or all pairs of a table",
        interrupted="interrupted; with --table, the same command goes on",
    ),
    "transform": Entry("apply a saved result to images, label maps and points"),
    "models": Entry("list the installed models, or add one"),
    "train": Entry(
        "train a model on aligned pairs of images",
        interrupted="interrupted; --resume goes on from the last checkpoint, if there is one",
    ),
    "evaluate": Entry(
        "compare registration methods on labelled images",
        interrupted="interrupted; the same command goes on",
    ),
    "plausibility": Entry("draw the metric around an aligned pair of images"),
    "demo": Entry("register a pair of brain images and draw the result"),
    "doctor": Entry("say what is installed, what is wrong, and what to do"),
    "completion": Entry("print what makes a shell complete this command"),
}


def main(arguments: Sequence[str] | None = None, *, program: str = PROGRAM) -> int:
    """Run the command line and return the exit status.

    Parameters
    ----------
    arguments
        The words after the program's name; None for those that Python was started with.
    program
        What it is called in help texts.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words and words[0] in NAMES:
        return run(words[0], words[1:], program=f"{program} {words[0]}")
    parser, _ = parser_of_names(program)
    if not words:
        parser.print_help()
        return 2
    parser.parse_args(words)  # prints help, version or what is wrong, and exits
    return 2


def run(name: str, arguments: Sequence[str] | None = None, *, program: str) -> int:
    """Run a subcommand and return the exit status.

    Parameters
    ----------
    name
        One of `NAMES`.
    arguments
        The words after the subcommand; None for those that Python was started with.
    program
        What help texts call it.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    return run_command(
        f"{PROGRAM} {name}",
        lambda: _run(name, words, program),
        interrupted=NAMES[name].interrupted,
    )


def _run(name: str, words: list[str], program: str) -> int | None:
    commands = commands_of(name)
    if words and words[0] in commands:
        command = commands[words[0]]
        program = f"{program} {words.pop(0)}"
    else:
        command = commands[""]
    parser = parser_for(
        command.settings, command.description, prog=program, examples=command.examples
    )
    settings = settings_from(parser.parse_intermixed_args(words))
    if command.loads:
        start()
    return command.run(settings)


def commands_of(name: str) -> dict[str, Command]:
    """Return what a subcommand is, and the words that may follow it.

    Raises
    ------
    CompatibilityError
        If a package that it needs is not installed.
    """
    found: dict[str, Command] = importlib.import_module(f"cnnmetric.commands.{name}").COMMANDS
    return found


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(PROGRAM, compatibility.installed_version(PROGRAM))
        parser.exit()


def parser_of_names(
    program: str = PROGRAM,
) -> tuple[CommandParser, dict[str, CommandParser]]:
    """Return the parser that knows the subcommands by name, and theirs, still without options."""
    parser = CommandParser(prog=program, description=f"{DESCRIPTION} {STATUS}", examples=EXAMPLES)
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    listed = parser.add_subparsers(title="subcommands", metavar="SUBCOMMAND", required=True)
    found = {
        name: listed.add_parser(name, help=entry.summary, description=entry.summary)
        for name, entry in NAMES.items()
    }
    return parser, found
