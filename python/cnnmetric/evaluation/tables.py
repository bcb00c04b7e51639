# SPDX-License-Identifier: Apache-2.0
"""What to register: a table of subjects and a table of registrations."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cnnmetric.errors import DataError
from cnnmetric.files.tables import read_table
from cnnmetric.images.dicom import image_exists

LABELS = "labels"
_COLUMNS = ("fixed_subject", "fixed_modality", "moving_subject", "moving_modality")


@dataclass(frozen=True, kw_only=True)
class Registration:
    """One image to be registered to another one, with a label map of each.

    Attributes
    ----------
    fixed_subject, fixed_modality, moving_subject, moving_modality
        As in the table of registrations.
    fixed, moving, fixed_labels, moving_labels
        Absolute paths.
    """

    fixed_subject: str
    fixed_modality: str
    moving_subject: str
    moving_modality: str
    fixed: Path
    moving: Path
    fixed_labels: Path
    moving_labels: Path

    @property
    def name(self) -> str:
        """The four columns of the table, for example ``03:T1:13:T2``."""
        return ":".join(getattr(self, column) for column in _COLUMNS)


def read_registrations(subjects: Path, registrations: Path) -> list[Registration]:
    """Read both tables.

    Parameters
    ----------
    subjects
        CSV with the columns ``subject``, ``labels`` and one per modality, which hold file names
        relative to the table, or folders with a DICOM series.
    registrations
        CSV with the columns ``fixed_subject,fixed_modality,moving_subject,moving_modality``.

    Raises
    ------
    DataError
        If a table cannot be read, is empty, lacks a column or names a subject, modality or file
        that does not exist; or if a subject or a registration is listed twice.
    """
    known: dict[str, dict[str, str]] = {}
    for row in read_table(subjects, role="subjects", columns=("subject", LABELS)):
        if row["subject"] in known:
            msg = (
                f"{subjects}, line {row.line}: subject {row['subject']} is listed twice; remove one"
            )
            raise DataError(msg)
        known[row["subject"]] = row

    found: dict[str, Registration] = {}
    for row in read_table(registrations, role="registrations", columns=_COLUMNS):
        place = f"{registrations}, line {row.line}"
        files: dict[str, Path] = {}
        for role in ("fixed", "moving"):
            subject, modality = row[f"{role}_subject"], row[f"{role}_modality"]
            if subject not in known:
                msg = f"{place}: there is no subject {subject!r} in {subjects}"
                raise DataError(msg)
            files[role] = _file(known[subject], modality, subjects, place)
            files[f"{role}_labels"] = _file(known[subject], LABELS, subjects, place)
        registration = Registration(
            fixed_subject=row["fixed_subject"],
            fixed_modality=row["fixed_modality"],
            moving_subject=row["moving_subject"],
            moving_modality=row["moving_modality"],
            **files,
        )
        if registration.name in found:
            msg = f"{place}: registration {registration.name} is listed twice; remove one"
            raise DataError(msg)
        found[registration.name] = registration
    return list(found.values())


def _file(subject: dict[str, str], column: str, subjects: Path, place: str) -> Path:
    if not subject.get(column):
        known = [name for name, value in subject.items() if value and name != "subject"]
        msg = (
            f"{place}: subject {subject['subject']} has no {column!r} in {subjects}; "
            f"it has {', '.join(known) or 'no file'}"
        )
        raise DataError(msg)
    file = (subjects.parent / subject[column]).resolve()
    if not image_exists(file):
        msg = f"{subjects} names {file} ({column} of {subject['subject']}), which does not exist"
        raise DataError(msg)
    return file
