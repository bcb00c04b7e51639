# SPDX-License-Identifier: Apache-2.0
"""How stiff the last level of a displacement field is, where nobody says it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

import cnnmetric
from cnnmetric.evaluation import methods
from cnnmetric.evaluation.methods import cnn_field
from cnnmetric.metric.network import DissimilarityNetwork
from cnnmetric.plugin.package_data import DEFAULT_MODEL
from cnnmetric.registration.field_detail import choose_smoothing
from cnnmetric.registration.field_detail import share_of_detail
from cnnmetric.registration.field_force import Force
from cnnmetric.registration.field_level import FieldLevel
from cnnmetric.registration.field_level import levels_for
from cnnmetric.registration.pair_on_grids import Volumes
from shared import last_alignment
from support.metric_images import ball_mask
from support.metric_images import moved_subject

EDGE = 48


def noise(seed: int, width: float, *, components: int = 1) -> NDArray[np.float32]:
    """Return noise of SD 1 that is smooth over so many voxels."""
    random = np.random.default_rng(seed)
    found = random.standard_normal((EDGE, EDGE, EDGE, components))
    found = gaussian_filter(found, (width,) * 3 + (0,))
    return np.asarray(found / found.std(), dtype=np.float32)


def fitted(width: float) -> tuple[Volumes, NDArray[np.float32]]:
    """Return two images that lie on each other by a field which is smooth over so many voxels."""
    values = noise(1, 2.0)[..., 0]
    moving = (values - values.min()) / np.ptp(values)
    field = noise(2, width, components=3)
    volumes = Volumes(moving, moving, None, None)
    return replace(volumes, fixed=volumes.warped(field, threads=1)), field


def force_of(volumes: Volumes, model: Path | str) -> Force:
    network = DissimilarityNetwork(model, number_of_threads=1)
    return Force(network, 0, volumes.fixed, np.random.default_rng(1))


def test_detail_that_images_fit_by_is_kept_and_other_is_not() -> None:
    shares = []
    for width, smoothing in ((12.0, 2.0), (2.0, 1.0)):
        volumes, field = fitted(width)
        force = force_of(volumes, DEFAULT_MODEL)
        choice = choose_smoothing(volumes, field, force, threads=1)
        assert choice.smoothing == smoothing
        assert f"{smoothing:g} voxel" in choice.reason
        shares.append(share_of_detail(volumes, field, force, threads=1))
    assert 0.0 <= shares[0] < 0.02
    assert shares[1] > 0.1


def test_the_value_is_that_of_the_first_iteration(difference_model: Path) -> None:
    volumes, field = fitted(4.0)
    force = force_of(volumes, difference_model)
    inside = np.zeros(volumes.fixed.shape, dtype=bool)
    inside[10:30, 5:40, 20:] = True
    warped = volumes.warped(0.5 * field, threads=1)
    for where in (None, inside):
        assert force.value(warped, where) == pytest.approx(force(0, warped, where)[0], rel=1e-5)


def test_images_that_nothing_can_be_told_of_keep_their_detail(difference_model: Path) -> None:
    volumes, field = fitted(4.0)
    flat = replace(volumes, fixed=0 * volumes.fixed, moving=0 * volumes.moving)
    force = force_of(flat, difference_model)
    assert share_of_detail(flat, field, force, threads=1) == np.inf


def smoothings(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return a list to which every smoothing of a field is added."""
    from cnnmetric.registration import greedy

    found: list[float] = []
    smooth = greedy._smooth

    def note(field: Any, deviation: float, threads: int) -> None:
        found.append(deviation)
        smooth(field, deviation, threads)

    monkeypatch.setattr(greedy, "_smooth", note)
    return found


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("model", "chosen"), [(DEFAULT_MODEL, 2.0), (None, 1.0)])
def test_the_level_after_the_choice_has_it(
    fixed: Any,
    difference_model: Path,
    monkeypatch: pytest.MonkeyPatch,
    masked: bool,
    model: str | None,
    chosen: float,
) -> None:
    """Chosen by models with descriptors alone."""
    moving = moved_subject(angle=0.0, shift=np.zeros(3))
    found = smoothings(monkeypatch)
    mask = ball_mask(moving, radius=8.0) if masked else None
    level = FieldLevel(grid_spacing=2.0, iterations=1, update_smoothing=3.0)
    cnnmetric.register_displacement_field(
        fixed,
        moving,
        moving_mask=mask,
        model=model or difference_model,
        levels=[replace(level, field_smoothing=None)] * 3 + [level],
        number_of_threads=1,
    )
    # One anatomy, and a field of few smooth steps. The first level has nothing to go by.
    assert found == [3.0, 1.0, 3.0, chosen, 3.0, chosen, 3.0, 1.0]


def test_a_registration_says_what_was_chosen_and_why(fixed: Any, moving: Any) -> None:
    result = cnnmetric.register(fixed, moving, grid_spacing=2.0)
    said = [line for line in result.log["notes"] if "field smoothing" in line]
    assert len(said) == 1
    assert said[0].startswith("field smoothing at 2 mm: 2 voxels (without its detail the fit lo")
    assert said[0].endswith(" of its range, as between images of one subject)")
    asked = cnnmetric.register(fixed, moving, grid_spacing=2.0, field_smoothing=1.0)
    assert not [line for line in asked.log["notes"] if "field smoothing" in line]
    for one in (result, asked):
        assert [stage.name for stage in one.stages][-1] == "field"


@pytest.mark.parametrize("size", [0.0, 30.0])
def test_a_field_that_tells_nothing_leaves_the_detail(size: float) -> None:
    """Where there is none yet, and where it has moved everything out of a mask."""
    volumes, field = fitted(12.0)
    inside = np.zeros_like(volumes.moving)
    inside[:8, :8, :8] = 1.0
    masked = replace(volumes, inside_moving=inside)
    force = force_of(masked, DEFAULT_MODEL)
    choice = choose_smoothing(masked, np.full_like(field, size), force, threads=1)
    assert choice.smoothing == 1.0
    assert choice.reason == (
        "1 voxel (no patch is inside of the masks)" if size else "1 voxel (no field yet)"
    )


def test_a_level_without_iterations_chooses_nothing() -> None:
    level = FieldLevel(grid_spacing=3.0, iterations=0, field_smoothing=None)
    assert not level.chooses_smoothing
    assert replace(level, iterations=1).chooses_smoothing
    assert not replace(level, iterations=1, field_smoothing=1.0).chooses_smoothing


class NotWantedError(Exception):
    """Ends what would be a registration."""


def test_the_method_of_the_evaluation_is_stiffer(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float | None] = []

    def note(*_images: Any, field_smoothing: float | None, **_others: Any) -> None:
        asked.append(field_smoothing)
        raise NotWantedError

    monkeypatch.setattr(cnn_field, "register", note)
    for name in ("cnn+field", "cnn+smooth"):
        with pytest.raises(NotWantedError):
            last_alignment(
                methods.find(name),
                fixed=None,
                moving=None,
                modalities=("T1", "T2"),
                model="any",
                threads=1,
                seed=1,
            )
    assert asked == [None, 2.0]


def test_what_is_asked_for_is_of_all_levels() -> None:
    assert [level.field_smoothing for level in levels_for(1.0)] == [1.0, 1.0, None]
    assert {level.field_smoothing for level in levels_for(2.0, field_smoothing=3.0)} == {3.0}
