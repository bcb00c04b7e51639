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
