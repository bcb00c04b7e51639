#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Find the C++ headers that the plugin is compiled with; fetch from Debian what is not there.

Three sets of headers are needed, each of the release that the Python wheels were built from: ITK,
elastix and ONNX Runtime's C API. What is fetched is kept in a cache, nothing is installed.

``setup.py`` calls this; by hand, it prints the three folders::

    python scripts/fetch_headers.py

Each folder can be named instead (``ITK_INCLUDE_DIR``, ``ELASTIX_SOURCE_DIR``,
``ONNXRUNTIME_INCLUDE_DIR``, as environment variable or as option); then it is checked and used.
``CNNMETRIC_DEBIAN_ARCHIVE`` names another Debian archive than that of this machine's apt.
Only the standard library is needed.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from debian_archive import ArchiveError
from debian_archive import Package
from debian_archive import fetch

# Tried in this order. Of the last one only ONNX Runtime fits, but its files stay the same, because
# it is a stable release.
SUITES = ("forky", "sid", "trixie")


class HeadersError(RuntimeError):
    """The headers cannot be had; the message says what was found, what is needed, what to do."""


@dataclass(frozen=True)
class Headers:
    """One set of headers: what it must be, and where Debian has it."""

    variable: str  # of the environment, of CMake and, in lower case, option of this script
    description: str
    wanted: str
    version: Callable[[Path], str]  # what a folder holds, "" if something else
    matches: Callable[[str], bool]
    package: Package
    keep: tuple[str, ...]  # what is unpacked; the rest of the package is not needed
    directory: str  # what `variable` stands for in the unpacked package


def _numbers(file: Path, pattern: str) -> str:
    """Join the numbers that `pattern` captures in `file` with dots."""
    text = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
    return ".".join(re.findall(pattern, text, flags=re.MULTILINE))


def _itk_version(directory: Path) -> str:
    pattern = r"^#define ITK_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)"
    return _numbers(directory / "itkConfigure.h", pattern)


def _elastix_version(directory: Path) -> str:
    if not all((directory / name).is_dir() for name in ("Core", "Common", "Components")):
        return ""
    pattern = r'^set\(ELASTIX_VERSION_(?:MAJOR|MINOR|PATCH) "(\d+)"\)'
    return _numbers(directory / "CMake" / "elastixVersion.cmake", pattern)


def _onnxruntime_version(directory: Path) -> str:
    return _numbers(directory / "onnxruntime_c_api.h", r"^#define ORT_API_VERSION (\d+)")


ALL_HEADERS = (
    Headers(
        variable="ITK_INCLUDE_DIR",
        description="folder with itkConfigure.h",
        wanted="ITK 5.4.7",
        version=_itk_version,
        matches=lambda version: version == "5.4.7",
        package=Package(
            "libinsighttoolkit5-dev",
            {"5.4.7-1": "acdfdb6eafaa8ab2de5719410669f4b4deb8f58828e2a4477757d7162c62731a"},
        ),
        keep=("usr/include/ITK-5.4/",),
        directory="usr/include/ITK-5.4",
    ),
    Headers(
        variable="ELASTIX_SOURCE_DIR",
        description="folder with CMake, Core, Common and Components",
        wanted="elastix 5.3.1",
        version=_elastix_version,
        matches=lambda version: version == "5.3.1",
        package=Package(
            "elastix",
            {"5.3.1-1": "e891f2ad234d7cc8a87a08daf04c04c2da80dbe32e2629a03aefd51f591579a5"},
            from_source=True,
        ),
        keep=tuple(f"elastix-5.3.1/{name}/" for name in ("CMake", "Core", "Common", "Components")),
        directory="elastix-5.3.1",
    ),
    Headers(
        variable="ONNXRUNTIME_INCLUDE_DIR",
        description="folder with onnxruntime_c_api.h",
        wanted="ONNX Runtime C API 17 or later",
        version=_onnxruntime_version,
        matches=lambda version: version.isdigit() and int(version) >= 17,
        package=Package(
            "libonnxruntime-dev",
            {
                "1.23.2+dfsg-6.1": (
                    "4630a94adb36dc056feb124e51c6e952e2cab5188bc093a25bee8a7e1ac5196d"
                ),
                "1.21.0+dfsg-1": "14f7d959d5deacbcf1504830d4189f91fc67382b399ed9ae9d3aa9c4050ced08",
            },
        ),
        keep=("usr/include/onnxruntime/",),
        directory="usr/include/onnxruntime",
    ),
)

OWN_HEADERS_HINT = "Try again later, or name folders of your own (environment variables):\n" + (
    "\n".join(
        f"  {headers.variable}=<{headers.description}, {headers.wanted}>" for headers in ALL_HEADERS
    )
)


def check_platform() -> None:
    """Refuse a machine that the plugin cannot be built for.

    Raises
    ------
    HeadersError
        On any other platform than Linux x86-64.
    """
    found = f"{platform.system()} {platform.machine()}"
    if found != "Linux x86_64":
        msg = (
            f"cnnmetric is a plugin to itk-elastix for Linux x86-64, and this is {found}. "
            "Use a Linux x86-64 machine, virtual machine or container."
        )
        raise HeadersError(msg)


def default_cache() -> Path:
    """Return the folder in which headers are kept, outside of any build tree."""
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (named if named.is_absolute() else Path.home() / ".cache") / "cnnmetric"


def find_headers(
    named: Mapping[str, str | os.PathLike[str]], *, cache: Path | None = None
) -> dict[str, Path]:
    """Return the three header folders by variable name; download those that are nowhere else.

    Parameters
    ----------
    named
        Folders that the user names, by variable name; other keys are ignored, so that `os.environ`
        can be given.
    cache
        Folder of what was fetched before and of what is fetched now; default: `default_cache()`.

    Raises
    ------
    HeadersError
        On an unfit platform, if a named folder holds something else, or if a download fails.
    """
    check_platform()
    cache = cache or default_cache()
    folders: dict[str, Path] = {}
    for headers in ALL_HEADERS:
        if named.get(headers.variable):
            folders[headers.variable] = _checked(headers, Path(named[headers.variable]))
        elif cached := _find_in_cache(headers, cache):
            folders[headers.variable] = cached
    missing = [headers for headers in ALL_HEADERS if headers.variable not in folders]
    return folders | (_fetch(missing, cache) if missing else {})


def _checked(headers: Headers, directory: Path) -> Path:
    version = headers.version(directory)
    if not headers.matches(version):
        msg = (
            f"{headers.variable}={directory}: needed is the {headers.description} of "
            f"{headers.wanted}, found {f'version {version}' if version else 'no such folder'}. "
            f"Correct {headers.variable}, or unset it to have the headers downloaded."
        )
        raise HeadersError(msg)
    return directory.resolve()


def _entry(headers: Headers, sha256: str, cache: Path) -> Path:
    return cache / f"headers-{headers.package.name}-{sha256[:16]}"


def _find_in_cache(headers: Headers, cache: Path) -> Path | None:
    entries = (_entry(headers, sha256, cache) for sha256 in headers.package.sha256.values())
    return next((entry / headers.directory for entry in entries if entry.is_dir()), None)


def _fetch(missing: Sequence[Headers], cache: Path) -> dict[str, Path]:
    try:
        cache.mkdir(parents=True, exist_ok=True)
        temporary = tempfile.TemporaryDirectory(dir=cache, prefix="fetch-")
    except OSError as error:
        msg = f"Cannot write to the cache: {error}. Set XDG_CACHE_HOME to a folder you may write."
        raise HeadersError(msg) from error
    with temporary as name:
        try:
            files = fetch([headers.package for headers in missing], SUITES, Path(name))
        except ArchiveError as error:
            msg = f"{error}\n{OWN_HEADERS_HINT}"
            raise HeadersError(msg) from error
        return {
            headers.variable: _unpack(headers, *files[headers.package.name], cache)
            for headers in missing
        }


def _unpack(headers: Headers, file: Path, sha256: str, cache: Path) -> Path:
    """Put what is needed of the package into the cache, all or nothing."""
    unpacked = file.parent / f"unpacked-{headers.package.name}"
    if headers.package.from_source:
        with tarfile.open(file) as archive:
            _extract(archive, headers.keep, unpacked)
    else:
        command = ["dpkg-deb", "--fsys-tarfile", str(file)]
        with (
            subprocess.Popen(command, stdout=subprocess.PIPE) as process,
            tarfile.open(fileobj=process.stdout, mode="r|") as archive,
        ):
            _extract(archive, headers.keep, unpacked)
    entry = _entry(headers, sha256, cache)
    try:
        unpacked.rename(entry)
    except OSError:
        # Another build was faster, and its entry is the same.
        if not entry.is_dir():
            raise
    return _checked(headers, entry / headers.directory)


def _extract(archive: tarfile.TarFile, keep: tuple[str, ...], destination: Path) -> None:
    for member in archive:
        name = member.name.removeprefix("./")
        content = archive.extractfile(member) if name.startswith(keep) else None
        if content:
            file = destination / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content.read())


def _copy(folders: Mapping[str, Path], destination: Path) -> dict[str, Path]:
    """Copy each folder, under the first word of its variable: itk, elastix, onnxruntime."""
    copies = {name: destination.resolve() / name.partition("_")[0].lower() for name in folders}
    for variable, folder in folders.items():
        shutil.copytree(folder, copies[variable])  # fails if it is there
    return copies


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the three folders as ``VARIABLE=folder`` lines."""
    parser = argparse.ArgumentParser(description="Find or download the headers for the build.")
    for headers in ALL_HEADERS:
        parser.add_argument(
            f"--{headers.variable.lower().replace('_', '-')}",
            default=os.environ.get(headers.variable),
            dest=headers.variable,
            metavar="DIR",
            help=f"{headers.description} of {headers.wanted} (default: download)",
        )
    parser.add_argument(
        "--cache", type=Path, metavar="DIR", help="where downloads are kept (default: %(default)s)"
    )
    parser.add_argument(
        "--copy-to",
        type=Path,
        metavar="DIR",
        help="copy the three folders there, to carry them to another machine or into a container",
    )
    parser.set_defaults(cache=default_cache())
    options = vars(parser.parse_args(arguments))
    cache, destination = options.pop("cache"), options.pop("copy_to")
    try:
        folders = find_headers(options, cache=cache)
        if destination:
            folders = _copy(folders, destination)
    except (HeadersError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for variable, folder in folders.items():
        print(f"{variable}={folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
