# SPDX-License-Identifier: Apache-2.0
"""Files that commands write: whether they can, before the work, and whole or not at all."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cnnmetric.errors import SettingsError


def check_folder(folder: Path, *, option: str) -> None:
    """Refuse a folder that cannot be written to; it is made if it does not exist.

    Parameters
    ----------
    folder
        For what is written after the work.
    option
        That names it, for the message.

    Raises
    ------
    SettingsError
        If the folder cannot be made, or nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Not by its permissions, which say nothing of a disk that is full or read-only.
        with tempfile.TemporaryFile(dir=folder) as stream:
            stream.write(b"0")
    except OSError as error:
        msg = (
            f"nothing can be written to the folder {folder} ({error.strerror or error}); choose "
            f"another {option}"
        )
        raise SettingsError(msg) from error


def check_file(file: Path, *, option: str) -> None:
    """Refuse a file that cannot be written; its folder is made if it does not exist.

    Parameters
    ----------
    file
        Which may exist, and is not touched.
    option
        That names it, for the message.

    Raises
    ------
    SettingsError
        If it is a folder, may not be overwritten, or nothing can be written beside it.
    """
    if file.is_dir():
        msg = f"{file} is a folder and cannot be written as a file; choose another {option}"
        raise SettingsError(msg)
    check_folder(file.parent, option=option)
    if file.exists() and not os.access(file, os.W_OK):
        msg = f"the file {file} may not be overwritten; choose another {option}"
        raise SettingsError(msg)


def check_new(file: Path, *, overwrite: bool) -> None:
    """Refuse a file that exists, unless it may be replaced.

    Raises
    ------
    SettingsError
        If it may not.
    """
    if file.exists() and not overwrite:
        msg = f"{file} exists; name another file, or say --overwrite (in Python overwrite=True)"
        raise SettingsError(msg)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path`` and move it there if the block succeeds.

    What is there afterwards is the old file or the new one, also if the machine stops.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        _to_disk(temporary)
        os.replace(temporary, path)
        _to_disk(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def json_text(value: Any, *, indent: int | None = None) -> str:
    """Return JSON, with null for NaN and infinity, which it does not have."""
    return json.dumps(_finite(value), indent=indent, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
