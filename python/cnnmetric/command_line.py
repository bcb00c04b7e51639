# SPDX-License-Identifier: Apache-2.0
"""Command lines and run records derived from settings dataclasses.

A command describes its settings once, as a frozen dataclass derived from :class:`Settings` whose
fields are made with :func:`setting`; its ``--options``, its help text, the check of its values and
the JSON record of a run all follow from that.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import os
import shlex
import sys
import types
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from typing import Literal
from typing import Union
from typing import get_args
from typing import get_origin
from typing import get_type_hints

from cnnmetric.errors import CNNMetricError
from cnnmetric.errors import SettingsError

_SETTINGS_CLASS = "_settings_class"
# Of the environment: shows errors with their traceback.
DEBUG = "CNNMETRIC_DEBUG"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bounds:
    """What a number must keep to; NaN and infinity are never allowed.

    Attributes
    ----------
    minimum, maximum
        The smallest and the largest value allowed; None for none.
    above, below
        The same, but these values themselves are not allowed.
    """

    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    below: float | None = None

    def allow(self, value: float) -> bool:
        """Whether a value is within the bounds."""
        return (
            math.isfinite(value)
            and (self.minimum is None or value >= self.minimum)
            and (self.maximum is None or value <= self.maximum)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        """Return the bounds in words, such as ``0 to 1`` or ``more than 0``."""
        if self.minimum is not None and self.maximum is not None:
            return f"{self.minimum:g} to {self.maximum:g}"
        words = {
            "{:g} or more": self.minimum,
            "{:g} or less": self.maximum,
            "more than {:g}": self.above,
            "less than {:g}": self.below,
        }
        return " and ".join(word.format(end) for word, end in words.items() if end is not None)


@dataclasses.dataclass(frozen=True)
class Settings:
    """Base of every settings dataclass; refuses values that its fields do not allow.

    Raises
    ------
    SettingsError
        If a value is out of its bounds or no choice, or a rule of :meth:`broken_rules` is broken.
        The message names them all.

    Examples
    --------
    >>> @dataclass(frozen=True, kw_only=True)
    ... class ExampleSettings(Settings):
    ...     rate: float = setting(0.5, help_text="share of samples", minimum=0, maximum=1)
    >>> ExampleSettings(rate=2.0)
    Traceback (most recent call last):
    cnnmetric.errors.SettingsError: --rate is 2.0; give 0 to 1
    """

    def __post_init__(self) -> None:
        """Check the values."""
        broken = [*_broken_fields(self), *self.broken_rules()]
        if broken:
            msg = "; ".join(broken)
            raise SettingsError(msg)

    def broken_rules(self) -> Iterator[str]:
        """Yield a sentence for each rule that the fields break together; none by default."""
        yield from ()


def setting(
    default: Any = dataclasses.MISSING,
    *,
    help_text: str,
    unit: str | None = None,
    source: str | None = None,
    positional: bool = False,
    choices: Sequence[Any] | None = None,
    repeatable: bool = False,
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    below: float | None = None,
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
    minimum, maximum, above, below
        Of a number, or of each of several: its :class:`Bounds`.

    Returns
    -------
    Any
        A dataclass field (typed ``Any`` so that it may stand for a value of the annotated type).
    """
    bounds = Bounds(minimum=minimum, maximum=maximum, above=above, below=below)
    metadata = {
        "help": help_text,
        "unit": unit,
        "source": source,
        "positional": positional,
        "choices": None if choices is None else tuple(choices),
        "repeatable": repeatable,
        "bounds": None if bounds == Bounds() else bounds,
    }
    return dataclasses.field(default=default, metadata=metadata)


def parser_for(
    settings_class: type[Settings], description: str, *, prog: str | None = None
) -> argparse.ArgumentParser:
    """Build the command line of a settings dataclass.

    ``bool`` fields become ``--name`` / ``--no-name``, ``tuple[float, float]`` takes two values,
    ``tuple[str, ...]`` one or more, ``Optional`` fields may be left out, ``Path`` and ``Literal``
    are understood. ``@FILE`` stands for the options that a file holds, with comments from ``#`` to
    the end of a line. Bounds are in the help text, and :func:`settings_from` checks them.
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
        If a value is not allowed, see :class:`Settings`.
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


def run_command(
    program: str, command: Callable[[], int | None], *, interrupted: str = "interrupted"
) -> int:
    """Run a command and return its exit status; what goes wrong is one line on standard error.

    Parameters
    ----------
    program
        What the line begins with, for example ``"cnnmetric.train"``.
    command
        Reads the command line and does the work. Returns the exit status, or None for 0.
    interrupted
        What to tell after Ctrl-C.

    Returns
    -------
    int
        That of the command; 1 after a `CNNMetricError` or an error of the system or of a library,
        such as a full disk, and 130 after Ctrl-C. With the environment variable
        ``CNNMETRIC_DEBUG``, errors are raised, to be seen with their traceback.
    """
    try:
        return command() or 0
    except (CNNMetricError, OSError, RuntimeError, MemoryError, UnicodeError) as error:
        # Of Python itself; a fault of ours.
        if os.environ.get(DEBUG) or isinstance(error, (NotImplementedError, RecursionError)):
            raise
        print(f"{program}: {_one_line(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{program}: {interrupted}", file=sys.stderr)
        return 130


class _Parser(argparse.ArgumentParser):
    def convert_arg_line_to_args(self, arg_line: str) -> list[str]:
        """Take a line of a file as a shell does."""
        try:
            return shlex.split(arg_line, comments=True)
        except ValueError as error:
            self.error(f"cannot read the line {arg_line!r} of a file of options: {error}")


def _one_line(error: BaseException) -> str:
    """Return what an error says; of one that is not ours, a single line and what it is of."""
    if isinstance(error, CNNMetricError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        names = [str(name) for name in (error.filename, error.filename2) if name is not None]
        return f"{error.strerror}: {' and '.join(names)}" if names else error.strerror
    text = " ".join(str(error).split())
    return f"{text or 'no message'} ({type(error).__name__}; {DEBUG}=1 shows where)"


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
        parser.add_argument(_option(field), dest=field.name, required=required, **options)


def _option(field: dataclasses.Field[Any]) -> str:
    """Return what a field is called on the command line."""
    if field.metadata.get("positional"):
        return field.name
    return "--" + field.name.replace("_", "-")


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


def _broken_fields(settings: Any) -> Iterator[str]:
    """Yield a sentence for each field whose value is out of bounds or not among the choices."""
    hints = get_type_hints(type(settings))
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if value is None:
            continue
        values = value if isinstance(value, tuple) else (value,)
        bounds: Bounds | None = field.metadata.get("bounds")
        choices = field.metadata.get("choices") or _argument_type(hints[field.name])[1]
        allowed = ""
        if bounds and not all(map(bounds.allow, values)):
            finite = all(map(math.isfinite, values))
            allowed = str(bounds) if finite else f"a finite number, {bounds}"
        elif choices and not set(values) <= set(choices):
            allowed = " or ".join(map(str, choices))
        if allowed:
            several = "values of " if isinstance(value, tuple) else ""
            yield f"{_option(field)} is {_shown(value)}; give {several}{allowed}"


def _shown(value: Any) -> str:
    """Return a value as it is written on the command line."""
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


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
    if default is not dataclasses.MISSING and default not in (None, ()):
        details.append(f"default: {_shown(default)}")
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
