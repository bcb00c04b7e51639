# SPDX-License-Identifier: Apache-2.0
"""Command lines and run records derived from settings dataclasses.

A command describes its settings once, as a frozen dataclass whose fields are made with
:func:`setting`; its ``--options``, its help text and the JSON record of a run all follow from that.
"""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from typing import Literal
from typing import Union
from typing import get_args
from typing import get_origin
from typing import get_type_hints

_SETTINGS_CLASS = "_settings_class"


def setting(
    default: Any = dataclasses.MISSING,
    *,
    help_text: str,
    unit: str | None = None,
    source: str | None = None,
    positional: bool = False,
    choices: Sequence[Any] | None = None,
    repeatable: bool = False,
) -> Any:
    """Describe one field of a settings dataclass.

    Parameters
    ----------
    default
        Value used when the user gives none; without it the setting is required.
    help_text
        What the setting does, one sentence.
    unit
        Physical unit or count, for example ``"mm"``.
    source
        Where the default comes from, for example ``"paper, Section 2.2"``.
    positional
        Give the value by its place on the command line and not by ``--name``.
    choices
        The values allowed; a ``Literal`` type says the same.
    repeatable
        Of several values: giving the option again adds to them, and does not replace them.

    Returns
    -------
    Any
        A dataclass field (typed ``Any`` so that it may stand for a value of the annotated type).
    """
    metadata = {
        "help": help_text,
        "unit": unit,
        "source": source,
        "positional": positional,
        "choices": None if choices is None else tuple(choices),
        "repeatable": repeatable,
    }
    return dataclasses.field(default=default, metadata=metadata)


def parser_for(
    settings_class: type[Any], description: str, *, prog: str | None = None
) -> argparse.ArgumentParser:
    """Build the command line of a settings dataclass.

    ``bool`` fields become ``--name`` / ``--no-name``, ``tuple[float, float]`` takes two values,
    ``tuple[str, ...]`` one or more, ``Optional`` fields may be left out, ``Path`` and ``Literal``
    are understood. ``@FILE`` stands for the options that a file holds, with comments from ``#`` to
    the end of a line. A value that the dataclass itself refuses is reported by
    :func:`settings_from`.
    """
    parser = _Parser(prog=prog, description=description, fromfile_prefix_chars="@")
    parser.set_defaults(**{_SETTINGS_CLASS: settings_class})
    hints = get_type_hints(settings_class)
    for field in dataclasses.fields(settings_class):
        if field.init:
            _add_argument(parser, field, hints[field.name])
    return parser


def settings_from(args: argparse.Namespace) -> Any:
    """Return the dataclass that a parser of :func:`parser_for` was built from, filled in.

    Raises
    ------
    SettingsError
        Whatever the ``__post_init__`` of the dataclass raises.
    """
    settings_class = getattr(args, _SETTINGS_CLASS)
    values = {}
    for field in dataclasses.fields(settings_class):
        if field.init:
            value = getattr(args, field.name)
            values[field.name] = tuple(value) if isinstance(value, list) else value
    return settings_class(**values)


def to_record(settings: Any) -> dict[str, Any]:
    """Return a settings dataclass as a dictionary that ``json.dump`` accepts."""
    return {
        field.name: _plain(getattr(settings, field.name)) for field in dataclasses.fields(settings)
    }


class _Parser(argparse.ArgumentParser):
    def convert_arg_line_to_args(self, arg_line: str) -> list[str]:
        """Take a line of a file as a shell does."""
        return shlex.split(arg_line, comments=True)


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
    parser: argparse.ArgumentParser, field: dataclasses.Field[Any], annotation: Any
) -> None:
    default = _default_of(field)
    required = default is dataclasses.MISSING
    metadata = field.metadata
    kind, choices, nargs = _argument_type(annotation)
    options: dict[str, Any] = {"help": _help_text(field, default)}
    if kind is bool:
        options["action"] = argparse.BooleanOptionalAction
    else:
        options["type"] = kind
        options["nargs"] = nargs
        options["choices"] = metadata.get("choices") or choices
        if metadata.get("repeatable"):
            options["action"] = _Collect
        if not options["choices"] and nargs is None and not metadata.get("positional"):
            options["metavar"] = kind.__name__.upper()
    if not required:
        options["default"] = default
    if metadata.get("positional"):
        if not required:
            options["nargs"] = "?" if nargs is None else "*" if nargs == "+" else nargs
        parser.add_argument(field.name, **options)
    else:
        name = "--" + field.name.replace("_", "-")
        parser.add_argument(name, dest=field.name, required=required, **options)


def _argument_type(annotation: Any) -> tuple[Any, tuple[Any, ...] | None, int | str | None]:
    """Return (type of one value, allowed values, number of values) of a field's annotation."""
    origin = get_origin(annotation)
    arguments = get_args(annotation)
    if origin in (Union, types.UnionType):
        alternatives = [a for a in arguments if a is not type(None)]
        if len(alternatives) == 1:
            return _argument_type(alternatives[0])
    elif origin is Literal:
        return type(arguments[0]), arguments, None
    elif origin is tuple and arguments:
        kind, choices, _ = _argument_type(arguments[0])
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return kind, choices, "+"
        if all(a == arguments[0] for a in arguments):
            return kind, choices, len(arguments)
    elif annotation in (bool, int, float, str, Path):
        return annotation, None, None
    msg = (
        f"a settings field of type {annotation} has no command-line form; use bool, int, float, "
        "str, Path, Literal, Optional of one of them, or a tuple of one of them"
    )
    raise TypeError(msg)


def _default_of(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _help_text(field: dataclasses.Field[Any], default: Any) -> str:
    text = str(field.metadata.get("help") or field.name.replace("_", " "))
    details = []
    if field.metadata.get("unit"):
        details.append(f"in {field.metadata['unit']}")
    if default is not dataclasses.MISSING and default not in (None, ()):
        shown = " ".join(map(str, default)) if isinstance(default, tuple) else default
        details.append(f"default: {shown}")
    if field.metadata.get("source"):
        details.append(f"source: {field.metadata['source']}")
    if details:
        text += f" ({'; '.join(details)})"
    return text.replace("%", "%%")  # argparse formats help texts with the % operator


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_record(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return value
