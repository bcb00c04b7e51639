# SPDX-License-Identifier: Apache-2.0
"""Records of finished registrations, in a file to which lines are appended (JSON lines)."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any
from typing import BinaryIO
from typing import ClassVar

from cnnmetric.errors import DataError
from cnnmetric.errors import SettingsError
from cnnmetric.files.output import atomic_path
from cnnmetric.files.output import json_text
from cnnmetric.registration.batch.job import FAILURE

SETTINGS = "settings.json"


class Records:
    """The records of one output folder, which later runs continue.

    Parameters
    ----------
    folder
        Made by the first that is written. Holds ``results.jsonl`` and ``settings.json``. Reading
        changes nothing there.

    Attributes
    ----------
    identity
        Names of the values that tell one record from another.
    """

    identity: ClassVar[tuple[str, ...]]

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / "results.jsonl"
        self.records = self._read()

    @property
    def keys(self) -> set[tuple[str, ...]]:
        """The identity of every record."""
        return {tuple(record[name] for name in self.identity) for record in self.records}

    def append(self, record: dict[str, Any]) -> None:
        """Add a record; it is on the disk when this returns. JSON has null for NaN."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._file.open("a+b") as stream:
            _cut_unfinished_line(stream)
            stream.write((json_text(record) + "\n").encode())
            stream.flush()
            os.fsync(stream.fileno())
        self.records.append(record)

    def drop_failures(self) -> int:
        """Take out the records of failed registrations and return how many there were."""
        return self.keep(lambda record: not record[FAILURE])

    def keep(self, wanted: Callable[[dict[str, Any]], bool]) -> int:
        """Take out the records that are not wanted and return how many there were."""
        kept = [record for record in self.records if wanted(record)]
        dropped = len(self.records) - len(kept)
        if dropped:
            text = "".join(json_text(record) + "\n" for record in kept)
            with atomic_path(self._file) as replacement:
                replacement.write_text(text, encoding="utf-8")
            self.records = kept
        return dropped

    def check_settings(
        self, settings: Mapping[str, str], *, unsaid: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """Refuse to continue a folder with settings that would make its records incomparable.

        A folder without records takes any: a run that had no result leaves nothing to compare with.

        Parameters
        ----------
        settings
            What all records of the folder, or all of one method, share: values by name.
        unsaid
            What a folder that does not name one of them was begun with; others may be new.

        Raises
        ------
        SettingsError
            Naming the setting that differs from an earlier run.
        DataError
            If the settings of the earlier run cannot be read.
        """
        file = self._folder / SETTINGS
        try:
            before = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        except ValueError as error:
            raise DataError(_no_settings(file, str(error))) from error
        if not isinstance(before, dict):
            raise DataError(_no_settings(file, f"it is a {type(before).__name__}"))
        if not self.records:
            before = {}
        for name, value in settings.items():
            known = before.get(name, unsaid.get(name, value) if before else value)
            if known != value:
                msg = (
                    f"{self._folder} was begun with another {name}, {known}, and cannot go "
                    f"on with {value}: results would not be comparable; choose another --out"
                )
                raise SettingsError(msg)
        text = json_text({**before, **settings}, indent=2) + "\n"
        with atomic_path(file) as replacement:
            replacement.write_text(text, encoding="utf-8")

    def _read(self) -> list[dict[str, Any]]:
        if not self._file.is_file():
            return []
        content = self._file.read_bytes()
        # An unfinished last line is of a run that was stopped, or of one that is writing it.
        complete = content[: content.rfind(b"\n") + 1]
        records = []
        for number, line in enumerate(complete.splitlines(), start=1):
            try:
                record = json.loads(line.decode())
                fault = self._fault_of(record)
            except ValueError as error:  # of UTF-8 or of JSON
                fault = str(error)
            if fault:
                msg = (
                    f"{self._file}, line {number}, is no record ({fault}); remove the line, and "
                    "the next run does its registration again"
                )
                raise DataError(msg)
            records.append(record)
        return records

    def _fault_of(self, record: Any) -> str:
        """Return what is wrong with what should be a record, empty if nothing is."""
        if not isinstance(record, dict):
            return f"it is a {type(record).__name__}"
        missing = [name for name in (*self.identity, FAILURE) if name not in record]
        return f"it has no {' and no '.join(missing)}" if missing else ""


def _cut_unfinished_line(stream: BinaryIO) -> None:
    """Take out what a run that was stopped has left of its last line."""
    if not stream.seek(0, os.SEEK_END):
        return
    stream.seek(-1, os.SEEK_END)
    if stream.read(1) != b"\n":
        stream.seek(0)
        stream.truncate(stream.read().rfind(b"\n") + 1)


def _no_settings(file: Path, fault: str) -> str:
    return (
        f"{file} does not hold the settings of a run ({fault}); choose another --out, or remove "
        "the file if you are sure that all results in the folder were made with the present ones"
    )
