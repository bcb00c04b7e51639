# SPDX-License-Identifier: Apache-2.0
"""What a registration tells while it runs."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import itk
import pytest
from rich.console import Console

import cnnmetric
from cnnmetric.errors import SettingsError
from cnnmetric.plugin.iteration import Iteration
from cnnmetric.registration import plan
from cnnmetric.registration import progress
from cnnmetric.registration import run
from cnnmetric.registration.plan import PlannedLevel
from cnnmetric.registration.plan import PlannedStage
from cnnmetric.registration.plan import Stopwatch
from cnnmetric.registration.plan import levels_of
from support.command import small_subject
from support.command import write_quick_file
from support.metric_images import write_small_model

PLAN = [
    PlannedStage(
        name="affine",
        number=0,
        stages=2,
        levels=(PlannedLevel(iterations=2, work=1.0), PlannedLevel(iterations=1, work=1.0)),
    ),
    PlannedStage(name="field", number=1, stages=2, levels=(PlannedLevel(iterations=4, work=10.0),)),
]


def iterations() -> Iterator[Iteration]:
    """Yield those of the plan."""
    for stage in PLAN:
        for level, planned in enumerate(stage.levels):
            for number in range(planned.iterations):
                yield Iteration(
                    level,
                    number,
                    0.5 - number / 10,
                    1.0,
                    stage=stage.name,
                    stage_number=stage.number,
                    stages=2,
                    levels=len(stage.levels),
                    iterations=planned.iterations,
                )


def show(display: progress.Display) -> None:
    display.start(PLAN)
    for finished in iterations():
        if finished.level == finished.number == 0:
            display.start_stage(PLAN[finished.stage_number])
        display.iteration(finished)
    display.finish()


def test_lines() -> None:
    stream = io.StringIO()
    show(progress.Lines(Console(file=stream, width=30)))
    assert [line[10:] for line in stream.getvalue().splitlines()] == [
        "stage 1 of 2: affine",
        "  level 1 of 2: 2 iterations, dissimilarity 0.4000",
        "  level 2 of 2: 1 iterations, dissimilarity 0.5000",
        "stage 2 of 2: field",
        "  level 1 of 1: 4 iterations, dissimilarity 0.2000",
    ]


def test_bars_fit_a_terminal() -> None:
    stream = io.StringIO()
    show(progress.Bars(Console(file=stream, force_terminal=True, width=80, color_system=None)))
    last = stream.getvalue().splitlines()[-3:]
    assert "affine" in last[0]
    assert "level 2/2, 1/1 dissimilarity 0.5000 0:00" in last[0]
    assert "level 1/1, 4/4 dissimilarity 0.2000 0:00" in last[1]
    assert "…" not in "".join(last)


def test_a_stage_without_the_metric_says_that_it_is_silent() -> None:
    silent = PlannedStage(
        name="mi", number=0, stages=1, levels=(PlannedLevel(iterations=2, work=1.0),), reports=False
    )
    for kind in (progress.Lines, progress.Bars):
        stream = io.StringIO()
        console = Console(file=stream, force_terminal=kind is progress.Bars, width=80)
        display = kind(console)
        display.start([silent])
        display.start_stage(silent)
        display.finish()
        assert "another metric, no count" in stream.getvalue(), kind


def test_the_time_that_is_left_follows_the_work() -> None:
    stopwatch = Stopwatch(PLAN)
    stopwatch.start_stage(0.0)
    done = list(iterations())
    assert stopwatch.seconds_left(done[0], 1.0) == pytest.approx(42.0)  # of 43 units
    assert stopwatch.seconds_left(done[2], 3.0) == pytest.approx(40.0)
    stopwatch.start_stage(3.0)
    assert stopwatch.seconds_left(done[3], 8.0) == pytest.approx(15.0)  # faster than expected
    assert stopwatch.seconds_left(done[6], 23.0) == 0.0


def test_levels_of_a_parameter_map() -> None:
    assert levels_of({}, 3) == (PlannedLevel(iterations=500, work=8.0 * 33**3),) * 3
    found = levels_of(
        {
            "NumberOfResolutions": ["2"],
            "MaximumNumberOfIterations": ["30", "20"],
            "CNNMetricNumberOfBlocks": ["2"],
        },
        2,
    )
    assert [(level.iterations, level.work) for level in found] == [(30, 2.0 * 33**2), (20, 2178.0)]


@pytest.mark.parametrize("text", ["inf", "-inf", "nan", "1e999", "many"])
def test_texts_that_are_no_number_are_left_to_elastix(text: str) -> None:
    names = ("MaximumNumberOfIterations", "NumberOfResolutions", "CNNMetricNumberOfBlocks")
    assert levels_of({name: [text] for name in names}, 3) == levels_of({}, 3)


@pytest.mark.parametrize("text", ["1e6", "1000000"])
def test_a_slip_in_the_number_of_levels_does_not_fill_the_memory(text: str) -> None:
    """What is wrong with it is for elastix to say."""
    tracemalloc.start()
    try:
        levels = levels_of({"NumberOfResolutions": [text]}, 3)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(levels) == 1000
    assert most < 1e6  # bytes


def test_levels_beyond_the_plan_count_as_its_last(
    difference_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "_MOST_LEVELS", 1)
    parameters = itk.ParameterObject.New()
    parameters.ReadParameterFile(str(write_quick_file(tmp_path)))
    stream = io.StringIO()
    bars = progress.Bars(Console(file=stream, width=200, force_terminal=True))
    monkeypatch.setattr(run, "display", lambda *, lines: bars)
    trace: list[Iteration] = []
    cnnmetric.register(
        small_subject(0.1),
        small_subject(0.15),
        model=difference_model,
        parameters=[{**dict(parameters.GetParameterMap(0)), "NumberOfResolutions": "2"}],
        threads=1,
        on_iteration=trace.append,
        progress=True,
    )
    assert [finished.level for finished in trace] == [0] * 4 + [1] * 4
    assert "level 1/1" in stream.getvalue()


def test_iterations_say_where_they_are(difference_model: Path, tmp_path: Path) -> None:
    """Two stages: a file, and a dictionary, which may leave out what arguments say."""
    file = write_quick_file(tmp_path)
    parameters = itk.ParameterObject.New()
    parameters.ReadParameterFile(str(file))
    second = {**dict(parameters.GetParameterMap(0)), "NumberOfResolutions": "2"}
    trace: list[Iteration] = []
    result = cnnmetric.register(
        small_subject(0.1),
        small_subject(0.15),
        model=difference_model,
        parameters=[file, second],
        threads=1,
        on_iteration=trace.append,
    )
    assert [stage.name for stage in result.stages] == ["quick", "euler"]
    assert [(i.stage, i.stage_number, i.levels, i.level) for i in trace] == [
        *[("quick", 0, 1, 0)] * 4,
        *[("euler", 1, 2, 0)] * 4,
        *[("euler", 1, 2, 1)] * 4,
    ]
    assert {(i.stages, i.iterations, i.metric) for i in trace} == {(2, 4, "dissimilarity")}
    assert len(result.elastix) == 2


def test_stages_with_models_of_other_modalities(difference_model: Path, tmp_path: Path) -> None:
    """The modality is what the user named, not what the first model calls the fixed image."""
    file = write_quick_file(tmp_path)
    parameters = itk.ParameterObject.New()
    parameters.ReadParameterFile(str(file))
    quick = dict(parameters.GetParameterMap(0))
    both = write_small_model(tmp_path / "both.onnx", modalities=("any", "any"))
    result = cnnmetric.register(
        small_subject(0.1),
        small_subject(0.15),
        fixed_modality="T1b",
        model=difference_model,
        parameters=[{**quick, "CNNMetricModel": str(both)}, quick],
        threads=1,
    )
    assert [len(stage.trace) for stage in result.stages] == [4, 4]


def test_a_stage_by_another_metric(
    difference_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is named at its start, and has no iterations in the result."""
    file = write_quick_file(tmp_path)
    parameters = itk.ParameterObject.New()
    parameters.ReadParameterFile(str(file))
    squares = {
        **dict(parameters.GetParameterMap(0)),
        "Metric": ["AdvancedMeanSquares"],
        "ImageSampler": ["Full"],
    }
    result = cnnmetric.register(
        small_subject(0.1),
        small_subject(0.15),
        model=difference_model,
        parameters=[squares, file],
        threads=1,
        progress=True,
    )
    assert [len(stage.trace) for stage in result.stages] == [0, 4]
    said = capsys.readouterr().err
    assert "stage 1 of 2: euler (another metric, no count)" in said
    assert "stage 2 of 2: quick\n" in said


@pytest.mark.parametrize("parameters", [3, [3], [None]])
def test_parameters_of_another_kind(parameters: Any) -> None:
    with pytest.raises(SettingsError, match="give elastix's parameter files, parameter maps"):
        cnnmetric.register("fixed.nii", "moving.nii", parameters=parameters)
