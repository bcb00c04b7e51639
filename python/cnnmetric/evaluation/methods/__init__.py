# SPDX-License-Identifier: Apache-2.0
"""The methods there are, by name, and how one is chosen."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cnnmetric.errors import DataError
from cnnmetric.errors import SettingsError
from cnnmetric.evaluation.methods.ants import ANTs
from cnnmetric.evaluation.methods.base import Method
from cnnmetric.evaluation.methods.base import Task
from cnnmetric.evaluation.methods.cnn_discrete import CNNDiscrete
from cnnmetric.evaluation.methods.cnn_field import CNNField
from cnnmetric.evaluation.methods.cnn_field import CNNSmoothField
from cnnmetric.evaluation.methods.convex_adam import ConvexAdam
from cnnmetric.evaluation.methods.deeds import DeedsBCV
from cnnmetric.evaluation.methods.elastix import CNN
from cnnmetric.evaluation.methods.elastix import MI
from cnnmetric.evaluation.methods.elastix import NMI
from cnnmetric.evaluation.methods.elastix import CNNMask
from cnnmetric.evaluation.methods.elastix import MIMask
from cnnmetric.evaluation.methods.elastix import ParameterFiles
from cnnmetric.evaluation.methods.greedy import Greedy
from cnnmetric.evaluation.methods.mind import MIND

__all__ = ["METHODS", "Method", "Task", "find", "split_own"]

METHODS: dict[str, type[Method]] = {
    method.name: method
    for method in (
        CNN,
        CNNMask,
        CNNField,
        CNNSmoothField,
        CNNDiscrete,
        MI,
        MIMask,
        NMI,
        MIND,
        ANTs,
        Greedy,
        ConvexAdam,
        DeedsBCV,
    )
}


def find(name: str, own: Iterable[str] = ()) -> Method:
    """Return the method of a name.

    Parameters
    ----------
    name
        A key of :data:`METHODS`, or a name given in `own`.
    own
        Parameter files of the user's own, each as ``name=first.txt,second.txt``.

    Raises
    ------
    SettingsError
        If there is no such method, or one of `own` has another form.
    DataError
        If a file of `own` does not exist.
    """
    files = split_own(own)
    if name in files:
        return ParameterFiles(files[name])
    if name not in METHODS:
        msg = (
            f"there is no method {name!r}; there are {', '.join([*METHODS, *files])}, and your own "
            "by --own name=first.txt,second.txt"
        )
        raise SettingsError(msg)
    return METHODS[name]()


def split_own(own: Iterable[str]) -> dict[str, list[Path]]:
    """Return the parameter files of every ``name=first.txt,second.txt``.

    Raises
    ------
    SettingsError
        If one has another form, or a name that is taken.
    DataError
        If a file does not exist.
    """
    found: dict[str, list[Path]] = {}
    for entry in own:
        name, equals, files = entry.partition("=")
        if not (name and equals and files) or name in METHODS or name in found:
            msg = (
                f"--own {entry!r} must be a name that is not taken, = and parameter files with "
                "commas between them, for example mine=similarity.txt,bspline.txt"
            )
            raise SettingsError(msg)
        found[name] = [Path(file).resolve() for file in files.split(",")]
        for path in found[name]:
            if not path.is_file():
                msg = f"--own {entry!r}: there is no file {path}"
                raise DataError(msg)
    return found
