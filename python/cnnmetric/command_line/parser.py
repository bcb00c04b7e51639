# SPDX-License-Identifier: Apache-2.0
"""Command lines derived from settings dataclasses."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import shutil
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from typing import get_type_hints

from rich_argparse import RawDescriptionRichHelpFormatter

from cnnmetric.command_line.settings import Settings
from cnnmetric.command_line.settings import argument_type
from cnnmetric.command_line.settings import option_of
from cnnmetric.command_line.settings import shown

_SETTINGS_CLASS = "_settings_class"
_WIDEST = 100  # columns of a help text

Examples = Sequence[tuple[str, str]]
"""What to do, in words, and the command that does it."""


def parser_for(
    settings_class: type[Settings],
    description: str,
    *,
    prog: str | None = None,
    examples: Examples = (),
) -> argparse.ArgumentParser:
    """Build the command line of a settings dataclass.

    ``bool`` fields become ``--name`` / ``--no-name``, ``tuple[float, float]`` takes two values,
    ``tuple[str, ...]`` one or more, ``Optional`` fields may be left out, ``Path`` and ``Literal``
    are understood. ``@FILE`` stands for the options that a file holds, with comments from ``#`` to
    the end of a line. Bounds are in the help text, and :func:`settings_from` checks them.
    """
    parser = CommandParser(
        prog=prog, description=description, examples=examples, fromfile_prefix_chars="@"
    )
    add_settings(parser, settings_class)
    return parser


def add_settings(parser: argparse.ArgumentParser, settings_class: type[Settings]) -> None:
    """Give a parser the options of a settings dataclass, in their groups."""
    parser.set_defaults(**{_SETTINGS_CLASS: settings_class})
    hints = get_type_hints(settings_class)
    groups: dict[str, argparse._ArgumentGroup] = {}
    for field in dataclasses.fields(settings_class):
        if not field.init:
            continue
        title = field.metadata.get("group")
        if title and title not in groups:
            groups[title] = parser.add_argument_group(title)
        _add_argument(groups[title] if title else parser, field, hints[field.name])


def settings_from(args: argparse.Namespace) -> Any:
    """Return the dataclass that a parser of :func:`parser_for` was built from, filled in.

    Raises
    ------
    SettingsError
        If a value is not allowed, see :class:`Settings`.
    """
    settings_class = getattr(args, _SETTINGS_CLASS)
    values = {}
    for field in dataclasses.fields(settings_class):
        if field.init:
            value = getattr(args, field.name)
            values[field.name] = tuple(value) if isinstance(value, list) else value
    return settings_class(**values)


class CommandParser(argparse.ArgumentParser):
    """A parser whose help text has colours on a terminal, and examples at its end."""

    def __init__(self, *, description: str, examples: Examples = (), **options: Any) -> None:
        width = min(shutil.get_terminal_size().columns, _WIDEST)
        lines = [f"  # {what}\n  {command}" for what, command in examples]
        super().__init__(
            description=textwrap.fill(" ".join(description.split()), width),
            epilog="\n".join(["Examples:", *lines]) if lines else None,
            formatter_class=_Formatter,
            # An option that is added later would change what an abbreviation means.
            allow_abbrev=False,
            **options,
        )

    def convert_arg_line_to_args(self, arg_line: str) -> list[str]:
        """Take a line of a file as a shell does."""
        try:
            return shlex.split(arg_line, comments=True)
        except ValueError as error:
            self.error(f"cannot read the line {arg_line!r} of a file of options: {error}")


class _Formatter(RawDescriptionRichHelpFormatter):
    """Of rich-argparse, without its markup: brackets in our texts are brackets."""

    text_markup = False
    help_markup = False
    group_name_formatter = str.capitalize


class _Advise(argparse.Action):
    """Answer an option that users of another program know by what to write here."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        parser.error(f"give {self.metavar} by its place, without {option_string}")


class _Collect(argparse.Action):
    """Take all values of an option that is given several times; a default is a tuple."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        before = getattr(namespace, self.dest)
        setattr(namespace, self.dest, [*(before if isinstance(before, list) else ()), *values])


def _add_argument(
    parser: argparse._ActionsContainer, field: dataclasses.Field[Any], annotation: Any
) -> None:
    default = _default_of(field)
    required = default is dataclasses.MISSING
    metadata = field.metadata
    kind, choices, nargs = argument_type(annotation)
    options: dict[str, Any] = {"help": _help_text(field, default)}
    if kind is bool:
        options["action"] = argparse.BooleanOptionalAction if default else "store_true"
        if not default:
            # Takes back what a file of options says; in a help text it would be noise.
            parser.add_argument(
                "--no-" + option_of(field).removeprefix("--"),
                action="store_false",
                dest=field.name,
                default=default,
                help=argparse.SUPPRESS,
            )
    else:
        options["type"] = kind
        options["nargs"] = 1 if metadata.get("separate") else nargs
        options["choices"] = metadata.get("choices") or choices
        if metadata.get("repeatable"):
            options["action"] = _Collect
        if not options["choices"] and not metadata.get("positional"):
            options["metavar"] = metadata.get("metavar") or _METAVARS[kind]
    if not required:
        options["default"] = default
    aliases = metadata.get("aliases", ())
    if metadata.get("positional"):
        if not required:
            options["nargs"] = "?" if nargs is None else "*" if nargs == "+" else nargs
        if not options["choices"]:
            options["metavar"] = field.name.upper()
        parser.add_argument(field.name, **options)
        for alias in aliases:
            parser.add_argument(
                alias,
                action=_Advise,
                metavar=field.name.upper(),
                dest=argparse.SUPPRESS,
                help=argparse.SUPPRESS,
            )
    else:
        names = [*aliases, option_of(field)]
        parser.add_argument(*names, dest=field.name, required=required, **options)


# What stands for a value in a help text.
_METAVARS: dict[Any, str] = {Path: "FILE", str: "TEXT", int: "N", float: "X"}


def _default_of(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _help_text(field: dataclasses.Field[Any], default: Any) -> str:
    text = str(field.metadata.get("help") or field.name.replace("_", " "))
    details = []
    if field.metadata.get("unit"):
        details.append(f"in {field.metadata['unit']}")
    if field.metadata.get("bounds"):
        details.append(str(field.metadata["bounds"]))
    if default is not False and default not in (dataclasses.MISSING, None, (), ""):
        details.append(f"default: {shown(default)}")
    if field.metadata.get("source"):
        details.append(f"source: {field.metadata['source']}")
    if details:
        text += f" ({'; '.join(details)})"
    return text.replace("%", "%%")  # argparse formats help texts with the % operator
