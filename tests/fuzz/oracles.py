# SPDX-License-Identifier: Apache-2.0
"""What every outcome has to keep to, whatever the input is."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import fields
from dataclasses import is_dataclass
from typing import Any

import numpy as np

from cnnmetric.errors import CNNMetricError
from fuzz.trial import Trial

# What a text of a library's own begins with, and what a person cannot read.
_RAW = ("std::", "Traceback (most recent call last)", "pybind11", "SwigPyObject")
# What an error of elastix's own holds: its words for all others, or its source file.
_ELASTIX = ("Internal elastix error", "elx-src")
# Instead of the reason.
_NO_REASON = "See elastix log"


class BrokenRuleError(Exception):
    """An outcome that breaks a rule."""


class RefusedError(CNNMetricError):
    """A command has refused its input; the text is what it has printed."""


def judge(trial: Trial) -> tuple[str, str]:
    """Do what a trial says and judge what comes out.

    Returns
    -------
    tuple
        ``"success"``, ``"refused"``, ``"elastix"`` (refused by elastix itself, which may be) or
        ``"fault"``; and the error, or what is wrong.
    """
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = trial.run()
        check_finite(found)
        for warning in caught:
            if not issubclass(warning.category, DeprecationWarning):  # of libraries, to programmers
                check_text(str(warning.message))
    except CNNMetricError as error:
        return _judge_refusal(trial, error)
    except BrokenRuleError as broken:
        return "fault", f"breaks a rule: {broken}"
    except RuntimeError as error:
        if _NO_REASON in str(error):
            return "fault", f"gives no reason: {error}"
        if trial.elastix_may_refuse and any(piece in str(error) for piece in _ELASTIX):
            return "elastix", str(error).strip().splitlines()[-1]
        return "fault", _of_others(error)
    except BaseException as error:
        return "fault", _of_others(error)
    if trial.expected == "refusal":
        return "fault", f"is accepted in silence, and gives {found!r:.80}"
    return "success", ""


def _judge_refusal(trial: Trial, error: CNNMetricError) -> tuple[str, str]:
    text = f"{type(error).__name__}: {error}"
    try:
        check_text(str(error))
    except BrokenRuleError as broken:
        return "fault", f"breaks a rule: {broken}"
    if trial.expected == "success":
        return "fault", f"is refused although it is documented: {text}"
    return "refused", text


def _of_others(error: BaseException) -> str:
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = ""
    if place is not None:
        code = place.tb_frame.f_code
        where = f" ({code.co_filename.rpartition('/')[2]}, line {place.tb_lineno})"
    return f"raises {type(error).__name__}: {error!s:.300}{where}"


def check_text(text: str) -> None:
    """Refuse texts that are not for people.

    Raises
    ------
    BrokenRuleError
        With the text.
    """
    raw = [piece for piece in _RAW if piece in text]
    if raw or len(text.split()) < 3:
        raise BrokenRuleError(f"a message that helps nobody: {text!r:.300}")


def check_finite(found: Any) -> None:
    """Refuse NaN and infinite numbers anywhere in a result.

    Raises
    ------
    BrokenRuleError
        With the place of the first one.
    """
    if isinstance(found, (float, np.floating)):
        if not math.isfinite(found):
            raise BrokenRuleError(f"the result holds {found}")
    elif isinstance(found, np.ndarray):
        if found.dtype.kind == "f" and not np.isfinite(found).all():
            raise BrokenRuleError(f"the result holds an array {found.shape} that is not finite")
    elif isinstance(found, Mapping):
        for value in found.values():
            check_finite(value)
    elif isinstance(found, (list, tuple)):
        for value in found:
            check_finite(value)
    elif is_dataclass(found):
        for of_it in fields(found):
            check_finite(getattr(found, of_it.name))


def check_same(name: str, one: Any, other: Any, *, tolerance: float = 2e-4) -> None:
    """Refuse two results that ought to be the same.

    Parameters
    ----------
    name
        Why they ought to be.
    one, other
        Numbers or arrays.
    tolerance
        Relative to the largest of the numbers, and to 1.

    Raises
    ------
    BrokenRuleError
        With the largest difference.
    """
    first, second = np.asarray(one, dtype=float), np.asarray(other, dtype=float)
    if first.shape != second.shape:
        raise BrokenRuleError(f"{name}: shapes {first.shape} and {second.shape}")
    scale = max(1.0, float(np.abs(first).max(initial=0.0)))
    difference = float(np.abs(first - second).max(initial=0.0))
    if not difference <= tolerance * scale:
        raise BrokenRuleError(f"{name}: differs by {difference:.3g}, of {scale:.3g}")
