# SPDX-License-Identifier: Apache-2.0
"""Settings dataclasses: what a command takes, what values may be, and the record of a run."""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Iterator
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from typing import Literal
from typing import Union
from typing import get_args
from typing import get_origin
from typing import get_type_hints

from cnnmetric.errors import SettingsError


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
    separate: bool = False,
    aliases: Sequence[str] = (),
    group: str | None = None,
    metavar: str | None = None,
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
    separate
        Of several values: each has the option in front of it, as in ``-p FILE -p FILE``.
    aliases
        Other spellings of the option, for example ``"-o"``; of a positional setting, spellings that
        are answered by the advice to leave them out.
    group
        Title in the help text under which the option stands.
    metavar
        What stands for the value in the help text; None for a word of its type, such as FILE.
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
        "repeatable": repeatable or separate,
        "separate": separate,
        "aliases": tuple(aliases),
        "group": group,
        "metavar": metavar,
        "bounds": None if bounds == Bounds() else bounds,
    }
    return dataclasses.field(default=default, metadata=metadata)


def to_record(settings: Any) -> dict[str, Any]:
    """Return a settings dataclass as a dictionary that ``json.dump`` accepts."""
    return {
        field.name: _plain(getattr(settings, field.name)) for field in dataclasses.fields(settings)
    }


def option_of(field: dataclasses.Field[Any]) -> str:
    """Return what a field is called on the command line."""
    if field.metadata.get("positional"):
        return field.name
    return "--" + field.name.replace("_", "-")


def argument_type(annotation: Any) -> tuple[Any, tuple[Any, ...] | None, int | str | None]:
    """Return (type of one value, allowed values, number of values) of a field's annotation."""
    origin = get_origin(annotation)
    arguments = get_args(annotation)
    if origin in (Union, types.UnionType):
        alternatives = [a for a in arguments if a is not type(None)]
        if len(alternatives) == 1:
            return argument_type(alternatives[0])
    elif origin is Literal:
        return type(arguments[0]), arguments, None
    elif origin is tuple and arguments:
        kind, choices, _ = argument_type(arguments[0])
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
        choices = field.metadata.get("choices") or argument_type(hints[field.name])[1]
        allowed = ""
        if bounds and not all(map(bounds.allow, values)):
            finite = all(map(math.isfinite, values))
            allowed = str(bounds) if finite else f"a finite number, {bounds}"
        elif choices and not set(values) <= set(choices):
            allowed = " or ".join(map(str, choices))
        if allowed:
            several = "values of " if isinstance(value, tuple) else ""
            yield f"{option_of(field)} is {shown(value)}; give {several}{allowed}"


def shown(value: Any) -> str:
    """Return a value as it is written on the command line."""
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


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
