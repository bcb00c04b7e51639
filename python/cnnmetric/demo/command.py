# SPDX-License-Identifier: Apache-2.0
"""Register a T1 and a T2 image of two subjects, measure how well, and draw the result."""

from __future__ import annotations

import json
from collections.abc import Container
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from cnnmetric.command_line import to_record
from cnnmetric.demo.progress import step
from cnnmetric.demo.settings import DemoSettings
from cnnmetric.errors import CompatibilityError
from cnnmetric.errors import SettingsError
from cnnmetric.files.output import check_file
from cnnmetric.files.output import json_text
from cnnmetric.plugin.installation import install_extra

if TYPE_CHECKING:
    from cnnmetric.demo.cases import Case
    from cnnmetric.registration.stage import Stage
    from cnnmetric.registration.stages import ElastixStage

METRIC_NAMES = {"cnn": "CNN", "mi": "MI"}


def run(settings: DemoSettings) -> None:
    """Do what the settings say.

    Raises
    ------
    CNNMetricError
        If a package, an image or the model cannot be used, or the registration fails.
    """
    try:
        from matplotlib.backend_bases import FigureCanvasBase

        from cnnmetric.demo.cases import choose_case
        from cnnmetric.demo.measures import measure
        from cnnmetric.demo.measures import table
        from cnnmetric.demo.picture import draw
        from cnnmetric.images import warping
    except ModuleNotFoundError as error:
        msg = f"the demo needs the package {error.name}. {install_extra('demo')}"
        raise CompatibilityError(msg) from error
    _check_output(settings.output, FigureCanvasBase.get_supported_filetypes())

    with step("preparing the images"):
        case = choose_case(settings)
        rows = [measure(case, "before")]
    print(f"{case.title}\n{table(rows, case)}")

    metrics = ["mi"] if settings.metric == "mi" else ["mi", "cnn"][not settings.compare_mi :]
    for metric in metrics:
        found = _register_by_mi(case, settings) if metric == "mi" else _register(case, settings)
        for stage in found:
            label = f"{METRIC_NAMES[metric]}, {stage.name}".replace("_", " ")
            rows.append(measure(case, label, transform=stage.transform, seconds=stage.seconds))

    # Before the picture, so that the numbers are kept where drawing fails.
    record = {"settings": to_record(settings), "results": [row.record() for row in rows]}
    settings.output.with_suffix(".json").write_text(
        json_text(record, indent=2) + "\n", encoding="utf-8"
    )
    text = table(rows, case)
    with step("drawing"):
        draw(
            settings.output,
            fixed=case.fixed,
            moving=case.moving,
            warped=warping.resample_image(case.moving, case.fixed, stage.transform),
            names=(case.fixed_modality, case.moving_modality),
            title=f"{case.title}: {METRIC_NAMES[metric]}",
            lines=text.splitlines(),
        )
    print(f"\n{text}\n\npicture: {settings.output.resolve()}")


def _register(case: Case, settings: DemoSettings) -> Iterator[Stage | ElastixStage]:
    from cnnmetric.registration.register import register

    with step(f"registering with CNN ({settings.deformation})"):
        result = register(
            case.fixed,
            case.moving,
            fixed_modality=case.fixed_modality,
            model=settings.model,
            deformation=settings.deformation,
            threads=settings.threads,
            verbose=settings.verbose,
        )
    yield from result.stages


def _register_by_mi(case: Case, settings: DemoSettings) -> Iterator[Stage | ElastixStage]:
    """Yield the stages of the same pipeline of similarity transform and B-splines."""
    from cnnmetric.registration import parameter_files
    from cnnmetric.registration.stages import STAGES
    from cnnmetric.registration.stages import run_stages

    stages = run_stages(
        case.fixed,
        case.moving,
        [(name, parameter_files.read("mi", name)) for name in STAGES],
        threads=settings.threads,
        verbose=settings.verbose,
    )
    for place in range(1, len(STAGES) + 1):
        with step(f"registering with MI, stage {place} of {len(STAGES)}"):
            stage = next(stages)
        yield stage


def _check_output(output: Path, formats: Container[str]) -> None:
    # Found out now, and not after minutes of work.
    if output.is_dir():
        msg = f"--output {output} is a folder; name a picture in it, as {output / 'demo.png'}"
        raise SettingsError(msg)
    if output.suffix.removeprefix(".").lower() not in formats:
        msg = f"--output {output}: a picture's name has to end with its format, as demo.png does"
        raise SettingsError(msg)
    if not output.resolve().parent.is_dir():
        msg = f"the folder of the picture, {output.resolve().parent}, does not exist; make it first"
        raise SettingsError(msg)
    numbers = output.with_suffix(".json")
    for file in (output, numbers):
        check_file(file, option="--output")
    if numbers.exists() and not _is_of_a_demo(numbers):
        msg = (
            f"--output {output}: the numbers would go into {numbers}, which is there and not of a "
            "demo; choose another name for the picture"
        )
        raise SettingsError(msg)


def _is_of_a_demo(file: Path) -> bool:
    """Tell whether a file is the record of an earlier demo, which the next one may replace."""
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(record, dict) and record.keys() == {"settings", "results"}
