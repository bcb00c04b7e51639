# SPDX-License-Identifier: Apache-2.0
"""Write docs/reference/commands.md from the settings of the commands.

`python scripts/write_commands_page.py` writes it; a test compares it with what this would write.
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterator
from pathlib import Path

from cnnmetric.command_line import parser_for
from cnnmetric.commands.command import Command
from cnnmetric.commands.main import NAMES
from cnnmetric.commands.main import commands_of

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "commands.md"
WIDTH = 100
HEAD = """# Commands

`cnnmetric SUBCOMMAND` and `python -m cnnmetric SUBCOMMAND` are the same. `cnnmetric --help` lists
the subcommands, `cnnmetric SUBCOMMAND --help` explains one, `cnnmetric --version` says which
release this is. Words, units and defaults are those of [Python](python.md).

| exit status | meaning |
|---:|---|
| 0 | done |
| 1 | failed, for a reason that one line on standard error says |
| 2 | the command line was not understood |
| 130 | interrupted by Ctrl-C |

`@FILE` among the words stands for the options in a file, with comments from `#` to the end of a
line. With `CNNMETRIC_DEBUG=1` in the environment, an error shows its traceback. This page is
written by `python scripts/write_commands_page.py`.
"""


def page() -> str:
    """Return the page."""
    parts = [HEAD]
    for name in NAMES:
        for word, command in commands_of(name).items():
            if word != "run":  # of the evaluation, which is the same without the word
                parts.append("\n".join(section(f"cnnmetric {name} {word}".strip(), command)))
    return "\n".join(parts)


def section(title: str, command: Command) -> Iterator[str]:
    """Yield the lines of a command."""
    yield f"## {title}\n"
    yield from textwrap.wrap(" ".join(command.description.split()), WIDTH, break_on_hyphens=False)
    yield ""
    for what, example in command.examples:
        yield f"    # {what}"
        yield f"    {example}"
    yield from ("",) if command.examples else ()
    yield "| option | meaning |"
    yield "|---|---|"
    parser = parser_for(command.settings, "")
    for action in parser._actions:
        if action.help is not argparse.SUPPRESS and action.dest != "help":
            meaning = str(action.help).replace("%%", "%").replace("|", "\\|")
            yield f"| {spelling(parser, action)} | {meaning}{needed(action)} |"
    yield ""


def spelling(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    """Return how an option is written."""
    # What argparse itself writes into a help text.
    formatter = argparse.HelpFormatter(parser.prog, max_help_position=100, width=1000)
    if not action.option_strings:
        return f"`{formatter._format_args(action, action.dest.upper())}`"
    value = "" if action.nargs == 0 else formatter._format_args(action, action.dest.upper())
    *others, last = action.option_strings
    names = [f"`{name}`" for name in others] + [f"`{f'{last} {value}'.strip()}`"]
    return ", ".join(names).replace("|", "\\|")


def needed(action: argparse.Action) -> str:
    """Return the word for an option without which the command does not run."""
    return "; required" if action.option_strings and action.required else ""


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
