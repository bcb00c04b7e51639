# SPDX-License-Identifier: Apache-2.0
"""What has to be installed for the plugin to work, checked before any of it is loaded.

The plugin is linked against the library of one itk-elastix wheel and relies on the class layout of
that release. Inside another one it would not fail, it would crash; so the installed versions are
compared first, from package metadata alone. Nothing here imports itk or onnxruntime.
"""

from __future__ import annotations

import importlib.util
import platform
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from cnnmetric.errors import CompatibilityError

PLATFORM = ("Linux", "x86_64")
MINIMUM_PYTHON = (3, 11)


@dataclass(frozen=True)
class Requirement:
    """A package that has to be there in a certain version."""

    packages: tuple[str, ...]  # any one of them will do
    specifier: str  # comma-separated clauses with ==, >= or <
    install: str  # what pip is told, where the package is a part of another one
    reason: str

    def accepts(self, version: str) -> bool:
        """Tell whether `version` satisfies the specifier."""
        return all(_satisfies(version, clause) for clause in self.specifier.split(","))


ITK = Requirement(
    packages=("itk-core",),
    specifier="==5.4.7",
    install="itk==5.4.7",
    reason="it is compiled with the headers of that ITK release",
)
ITK_ELASTIX = Requirement(
    packages=("itk-elastix",),
    specifier="==0.25.3",
    install="itk-elastix==0.25.3",
    reason="it is a plugin to the elastix of that release and would crash in any other",
)
ONNXRUNTIME = Requirement(
    packages=("onnxruntime-gpu", "onnxruntime"),
    specifier=">=1.19,<2",
    install="onnxruntime-gpu>=1.19,<2",
    reason="its networks run through the C library that the wheels hold since 1.19",
)
REQUIRED = (ITK, ITK_ELASTIX, ONNXRUNTIME)


def check() -> None:
    """Refuse to go on where the plugin would crash.

    Raises
    ------
    CompatibilityError
        On another platform than Linux x86-64, on a Python that the wheels are not for, or if a
        package of `REQUIRED` is absent or of another version. The message names what is
        installed, what is required and the command that puts it right.
    """
    check_interpreter()
    for requirement in REQUIRED:
        check_package(requirement)


def check_interpreter() -> None:
    """Refuse another platform than Linux x86-64, and a Python that the wheels are not for.

    Raises
    ------
    CompatibilityError
        Naming what is found and what is needed.
    """
    found = (platform.system(), platform.machine())
    if found != PLATFORM:
        msg = (
            f"cnnmetric runs on {' '.join(PLATFORM)} only, because the itk-elastix library it is a "
            f"plugin to is built for it; this is {' '.join(found)}."
        )
        raise CompatibilityError(msg)
    name, version = sys.implementation.name, sys.version_info[:2]
    if name != "cpython" or version < MINIMUM_PYTHON:
        wanted = ".".join(map(str, MINIMUM_PYTHON))
        msg = (
            f"cnnmetric needs CPython {wanted} or later, as its itk-elastix library does; this is "
            f"{name} {'.'.join(map(str, version))}. Install it in an environment of such a Python."
        )
        raise CompatibilityError(msg)


def check_package(requirement: Requirement) -> None:
    """Refuse a package that is absent or of another version.

    Raises
    ------
    CompatibilityError
        Naming what is installed, what is required and the command that puts it right.
    """
    found = {}
    for package in requirement.packages:
        version = installed_version(package)
        if version is not None:
            found[package] = version
    if any(map(requirement.accepts, found.values())):
        return
    installed = " and ".join(f"{package} {version}" for package, version in found.items())
    msg = (
        f"cnnmetric needs {' or '.join(requirement.packages)} {requirement.specifier}, because "
        f"{requirement.reason}; installed is {installed or 'none'}. {remedy(requirement)}"
    )
    raise CompatibilityError(msg)


def installed_version(package: str) -> str | None:
    """Return the version of an installed package, from its metadata alone; None if it is absent."""
    from importlib import metadata  # here, since a help text comes sooner without

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def remedy(requirement: Requirement) -> str:
    """Return the sentence that says how to install what is required."""
    return f'Run: {sys.executable} -m pip install "{requirement.install}"'


def _satisfies(version: str, clause: str) -> bool:
    operator, wanted = re.fullmatch(r"(==|>=|<)(.+)", clause.strip()).groups()  # type: ignore[union-attr]
    if operator == "==":
        # A local build ("+cpu") is the same release, a post- or pre-release is not.
        return version.partition("+")[0] == wanted
    return (_release(version) >= _release(wanted)) == (operator == ">=")


def _release(version: str) -> tuple[int, ...]:
    numbers = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, numbers[0].split("."))) if numbers else ()


def elastix_library() -> Path:
    """Return the library of the itk-elastix wheel, which the plugin is linked against.

    Raises
    ------
    CompatibilityError
        If the installed package does not hold it.
    """
    return _library("itk", "_ElastixPython.abi3.so", ITK_ELASTIX)


def onnxruntime_library() -> Path:
    """Return the ONNX Runtime library of the installed wheel, whose C API runs the networks.

    Raises
    ------
    CompatibilityError
        If the installed package does not hold it.
    """
    return _library("onnxruntime", "capi/libonnxruntime.so.1.*", ONNXRUNTIME)


def _library(package: str, pattern: str, requirement: Requirement) -> Path:
    # A top-level package is found without being imported.
    spec = importlib.util.find_spec(package)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    files = [file for folder in folders for file in Path(folder).glob(pattern)]
    if not files:
        places = " or ".join(folders) or f"any folder named {package}"
        msg = (
            f"The library {pattern} of {requirement.packages[0]} is not in {places}; the package "
            f"is damaged or built by somebody else. {remedy(requirement)} --force-reinstall"
        )
        raise CompatibilityError(msg)
    # Both onnxruntime wheels unpack to the same folder; where both are installed, take the newest.
    return max(files, key=lambda file: _release(file.name.rpartition(".so.")[2]))
