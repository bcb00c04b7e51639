# SPDX-License-Identifier: Apache-2.0
"""Studies go on where they were, with the numbers of one that was not interrupted."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from typing import Literal

import itk
import numpy as np
import pytest

import field_iterations
import grid_spacing
import large_deformations
import quality
import silver_labels
from cnnmetric.errors import DataError
from cnnmetric.errors import SettingsError
from cnnmetric.registration.field_level import levels_for
from shared import append_row
from shared import read_rows

_NAMES = ("a:T1:b:T2", "b:T1:a:T2")


class FakeRegistrations:
    """Stands for the registrations of `field_iterations`, and notes their iterations.

    The metric falls evenly in the first half of them and stays then: a tolerance ends a level soon
    after it.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[tuple[int, ...]] = []
        self.linear = 0
        self._field = itk.image_from_array(np.zeros((2, 2, 2, 3), np.float32), is_vector=True)
        pair = SimpleNamespace(fixed=None, moving=None)
        registrations = [SimpleNamespace(name=name, fixed_modality="T1") for name in _NAMES[:1]]
        level = levels_for(1.0)[0]
        for name, value in {
            "read_registrations": lambda *_: registrations,
            "read_pair": lambda _: pair,
            "choose_grid": lambda *_: SimpleNamespace(spacing=1.0),
            "levels_for": lambda _: [level, level],
            "score": lambda *_: {"dice": 0.5, "folded": 0.0},
        }.items():
            monkeypatch.setattr(field_iterations, name, value)
        library = SimpleNamespace(
            register=self._register,
            register_displacement_field=self._register_field,
            DissimilarityNetwork=lambda _: SimpleNamespace(spacing=1.0),
        )
        monkeypatch.setattr(field_iterations, "cnnmetric", library)

    def _register(self, *_: Any, **__: Any) -> Any:
        self.linear += 1
        return SimpleNamespace(transform=None)

    def _register_field(self, *_: Any, levels: Any, on_iteration: Any, **__: Any) -> Any:
        self.done.append(tuple(level.iterations for level in levels))
        for place, level in enumerate(levels):
            for number in range(level.iterations):
                value = -float(min(number, level.iterations // 2))
                on_iteration(SimpleNamespace(level=place, value=value))
        return self._field


@pytest.fixture
def registrations(monkeypatch: pytest.MonkeyPatch) -> FakeRegistrations:
    return FakeRegistrations(monkeypatch)


def iterations_settings(out: Path, **others: Any) -> field_iterations.IterationsSettings:
    options: dict[str, Any] = {"iterations": ("40,60", "20,20"), "tolerances": (0.05,)}
    return field_iterations.IterationsSettings(
        subjects=Path("s.csv"), registrations=Path("r.csv"), out=out, **options | others
    )


@pytest.mark.parametrize("kept", [1, 2, 3])
def test_a_tolerance_after_an_interruption_is_that_of_the_first_iterations(
    kept: int, tmp_path: Path, registrations: FakeRegistrations
) -> None:
    """Interrupted after the first row, or after all but that of the tolerance, or not at all."""
    whole, part = tmp_path / "whole.csv", tmp_path / "part.csv"
    field_iterations.run(iterations_settings(whole))
    rows = read_rows(whole)
    assert [row["variant"] for row in rows] == ["40,60", "20,20", "0.05"]
    assert len(registrations.done) == 3
    for row in rows[:kept]:
        append_row(part, field_iterations.COLUMNS, row)
    field_iterations.run(iterations_settings(part))
    again = read_rows(part)
    assert [row["iterations"] for row in again] == [row["iterations"] for row in rows]
    # What is there is not done again, but for the first iterations where the tolerance is missing.
    expected = {1: [(20, 20), (40, 60)], 2: [(40, 60)], 3: []}[kept]
    assert registrations.done[3:] == [*expected, *registrations.done[2:3] * (kept < 3)]
    assert registrations.linear == 1 + (kept < 3)


def test_the_table_of_iterations_is_of_the_registrations_asked_for(
    tmp_path: Path, registrations: FakeRegistrations, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.csv"
    for name, dice in zip(_NAMES, (0.6, 0.8), strict=True):
        row = {"registration": name, "variant": "40,60", "dice": dice, "folded": 0, "seconds": 1}
        append_row(out, field_iterations.COLUMNS, row)
    field_iterations.run(iterations_settings(out, iterations=("40,60",), tolerances=()))
    assert "| 40,60 | 1 | 0.6000 | 0.00% | 1 |" in capsys.readouterr().out
    assert not registrations.done


def test_the_table_of_spacings_is_of_what_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file may hold both kinds of deformation, and registrations of another table."""
    registration = SimpleNamespace(name=_NAMES[0])
    monkeypatch.setattr(grid_spacing, "read_registrations", lambda *_: [registration])
    out = tmp_path / "out.csv"
    for name, kind, dice, rule in (
        (_NAMES[0], "field", 0.6, 0.7),
        (_NAMES[0], "bspline", 0.7, 0.8),
        (_NAMES[1], "field", 0.8, 0.9),
    ):
        row = {"registration": name, "deformation": kind, "spacing": 1.0, "rule": rule}
        append_row(out, grid_spacing.COLUMNS, row | {"dice": dice, "folded": 0, "seconds": 1})
    settings: dict[str, Any] = {"subjects": Path("s.csv"), "registrations": Path("r.csv")}
    expected: dict[Literal["field", "bspline"], tuple[str, str]] = {
        "field": ("0.6000", "0.7"),
        "bspline": ("0.7000", "0.8"),
    }
    for deformation, (of_dice, of_rule) in expected.items():
        given = grid_spacing.GridSettings(
            **settings, out=out, spacings=(1.0,), deformation=deformation
        )
        grid_spacing.run(given)
        printed = capsys.readouterr().out
        assert f"| 1 | 1 | {of_dice} | 0.00% | 1 |" in printed
        assert f"The rule chooses {of_rule} mm." in printed


class FakeFields:
    """Stands for the registrations of `large_deformations`, of which one may fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = 100
        self.seeds: list[Any] = []
        self.names = list(_NAMES)
        field = itk.image_from_array(np.zeros((2, 2, 2, 3), np.float32), is_vector=True)

        def register_field(*_: Any, **__: Any) -> Any:
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
            return field

        def deformation(*arguments: Any) -> None:
            self.seeds.append(arguments[-1])

        for name, value in {
            "read_registrations": lambda *_: [
                SimpleNamespace(name=one, fixed_modality="T1") for one in self.names
            ],
            "read_pair": lambda _: SimpleNamespace(fixed=None, moving=None),
            "random_deformation": deformation,
            "warping": SimpleNamespace(composite_transform=lambda *_: None),
            "score": lambda *_: {"dice": 0.5, "folded": 0.0},
            "cnnmetric": SimpleNamespace(
                register=lambda *_, **__: SimpleNamespace(transform=None),
                register_displacement_field=register_field,
            ),
        }.items():
            monkeypatch.setattr(large_deformations, name, value)


@pytest.fixture
def fields(monkeypatch: pytest.MonkeyPatch) -> FakeFields:
    return FakeFields(monkeypatch)


def large_settings(out: Path, **others: Any) -> large_deformations.LargeSettings:
    options: dict[str, Any] = {"amplitudes": (5.0,)} | others
    return large_deformations.LargeSettings(
        subjects=Path("s.csv"), registrations=Path("r.csv"), out=out, **options
    )


def test_each_row_of_large_deformations_is_kept_at_once(tmp_path: Path, fields: FakeFields) -> None:
    out = tmp_path / "out.csv"
    fields.left = 1
    with pytest.raises(KeyboardInterrupt):
        large_deformations.run(large_settings(out))
    assert [row["search"] for row in read_rows(out)] == ["no"]
    fields.left = 100
    large_deformations.run(large_settings(out))
    found = [(row["registration"], row["search"]) for row in read_rows(out)]
    assert found == [(name, search) for name in _NAMES for search in ("no", "yes")]
    assert fields.left == 97


def test_each_registration_is_deformed_otherwise(tmp_path: Path, fields: FakeFields) -> None:
    large_deformations.run(large_settings(tmp_path / "out.csv"))
    first, second = ([tuple(seed) for seed in fields.seeds[n : n + 2]] for n in (0, 2))
    assert first[0] == first[1] != second[0] == second[1]
    fields.names.reverse()
    large_deformations.run(large_settings(tmp_path / "other.csv"))
    assert tuple(fields.seeds[4]) == second[0]


@pytest.mark.usefixtures("fields")
def test_the_table_of_large_deformations_is_of_the_registrations_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also of a table without the columns of the settings, which goes on without them."""
    out = tmp_path / "out.csv"
    out.write_text(
        "registration,amplitude,search,dice,folded,seconds\nother:T1:b:T2,5.0,no,0.9,0,1\n"
    )
    large_deformations.run(large_settings(out))
    assert "| 5 | no | 2 | 0.5000 (0.0000) | 0.00% | 0 |" in capsys.readouterr().out
    assert len(read_rows(out)) == 5


@pytest.mark.usefixtures("fields")
def test_other_settings_than_those_of_the_rows_are_refused(
    tmp_path: Path, registrations: FakeRegistrations
) -> None:
    out = tmp_path / "large.csv"
    large_deformations.run(large_settings(out))
    for changes in ({"seed": 2}, {"labels": "1-50"}, {"width": 10.0}):
        with pytest.raises(SettingsError, match=f"holds results with --{next(iter(changes))} "):
            large_deformations.run(large_settings(out, **changes))
    out = tmp_path / "iterations.csv"
    field_iterations.run(iterations_settings(out))
    for changes in ({"seed": 2}, {"labels": "1-50"}):
        with pytest.raises(SettingsError, match=f"holds results with --{next(iter(changes))} "):
            field_iterations.run(iterations_settings(out, **changes))
    out = tmp_path / "grid.csv"
    append_row(out, grid_spacing.COLUMNS, {"registration": "a", "labels": "all", "seed": 1})
    given = grid_spacing.GridSettings(
        subjects=Path("s.csv"), registrations=Path("r.csv"), out=out, seed=2
    )
    with pytest.raises(SettingsError, match=r"grid\.csv holds results with --seed 1, and --seed"):
        grid_spacing.run(given)
    assert registrations.linear == 1


def test_subjects_of_quality_are_those_with_both_images(tmp_path: Path) -> None:
    table = tmp_path / "subjects.csv"
    rows = "subject,T1,T2\na,a1.nii,a2.nii\nb,b1.nii,\n"
    table.write_text(rows, encoding="utf-8-sig")  # as spreadsheets write it
    with pytest.raises(DataError, match="has T1 and T2 of 1 subjects; two or more are needed"):
        quality._subjects(table)
    table.write_text(rows + "c,c1.nii,c2.nii\n", encoding="utf-8-sig")
    assert quality._subjects(table)[1] == {"T1": tmp_path / "c1.nii", "T2": tmp_path / "c2.nii"}


def test_silver_labels_reads_tables_of_spreadsheets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "pairs.csv"
    words = [str(table), str(tmp_path), "--subjects", "a", "--out", str(tmp_path)]
    table.write_text("subject,T1,T2\na,,a2.nii\n", encoding="utf-8-sig")
    assert silver_labels.main(words) == 1
    assert "pairs.csv has no T1 of a; leave" in capsys.readouterr().err
    table.write_text("name,T1,T2\na,a1.nii,a2.nii\n")
    assert silver_labels.main(words) == 1
    assert "pairs.csv has no column subject" in capsys.readouterr().err
