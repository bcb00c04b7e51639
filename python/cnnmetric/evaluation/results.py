# SPDX-License-Identifier: Apache-2.0
"""Records of finished registrations, in a file to which lines are appended (JSON lines)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnnmetric.errors import DataError
from cnnmetric.errors import SettingsError

Key = tuple[str, str, str]


class Results:
    """The results of one output folder, which later runs continue.

    Parameters
    ----------
    folder
        Made if it does not exist. Holds ``results.jsonl`` and ``settings.json``.

    Examples
    --------
    >>> results = Results(Path("out"))
    >>> results.append({"preset": "practical", "method": "mi", "registration": "03:T1:13:T2"})
    >>> results.keys
    {("practical", "mi", "03:T1:13:T2")}
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / "results.jsonl"
        self.records = self._read()

    @property
    def keys(self) -> set[Key]:
        """Preset, method and registration of every record."""
        return {(r["preset"], r["method"], r["registration"]) for r in self.records}

    def append(self, record: dict[str, Any]) -> None:
        """Add a record; it is on the disk when this returns."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(record, allow_nan=False) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        self.records.append(record)

    def drop_failures(self) -> int:
        """Take out the records of failed registrations and return how many there were."""
        kept = [record for record in self.records if not record["failure"]]
        dropped = len(self.records) - len(kept)
        if dropped:
            replacement = self._file.with_suffix(".new")
            replacement.write_text(
                "".join(json.dumps(record) + "\n" for record in kept), encoding="utf-8"
            )
            replacement.replace(self._file)
            self.records = kept
        return dropped

    def check_settings(self, settings: Mapping[str, str]) -> None:
        """Refuse to continue a folder with settings that would make its records incomparable.

        Parameters
        ----------
        settings
            What all records of the folder, or all of one method, share: values by name.

        Raises
        ------
        SettingsError
            Naming the setting that differs from an earlier run.
        DataError
            If the settings of the earlier run cannot be read.
        """
        file = self._folder / "settings.json"
        try:
            before = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        except ValueError as error:
            msg = f"{file} does not hold the settings of a run ({error}); choose another --out"
            raise DataError(msg) from error
        for name, value in settings.items():
            if before.get(name, value) != value:
                msg = (
                    f"{self._folder} was begun with another {name}, {before[name]}, and cannot go "
                    f"on with {value}: results would not be comparable; choose another --out"
                )
                raise SettingsError(msg)
        self._folder.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({**before, **settings}, indent=2) + "\n", encoding="utf-8")

    def _read(self) -> list[dict[str, Any]]:
        if not self._file.is_file():
            return []
        content = self._file.read_bytes()
        complete = content[: content.rfind(b"\n") + 1]
        if len(complete) < len(content):
            # The run before was stopped while it wrote its last line.
            with self._file.open("r+b") as stream:
                stream.truncate(len(complete))
        records = []
        for number, line in enumerate(complete.decode().splitlines(), start=1):
            try:
                records.append(json.loads(line))
            except json.JSONDecodeError as error:
                msg = f"{self._file}, line {number}, is no record ({error}); remove the line"
                raise DataError(msg) from error
        return records
