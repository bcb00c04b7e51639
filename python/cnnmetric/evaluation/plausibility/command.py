# SPDX-License-Identifier: Apache-2.0
"""What ``python -m cnnmetric.plausibility`` does: pictures and a table of an aligned pair."""

from __future__ import annotations

from cnnmetric.evaluation.plausibility import curves
from cnnmetric.evaluation.plausibility import picture
from cnnmetric.evaluation.plausibility.perturbations import perturbations
from cnnmetric.evaluation.plausibility.settings import PlausibilitySettings
from cnnmetric.files.output import check_file
from cnnmetric.images.files import read_image
from cnnmetric.metric.on_images import MetricOnImages

CURVES, TABLE, MAPS = "plausibility.png", "plausibility.csv", "maps.png"
_DPI = 150


def run(settings: PlausibilitySettings) -> None:
    """Do what the settings say.

    Raises
    ------
    CNNMetricError
        If an image or the model cannot be used, or nothing can be written.
    """
    fixed, moving = read_image(settings.fixed), read_image(settings.moving)
    for name in (CURVES, TABLE, MAPS):
        check_file(settings.out / name, option="--out")
    metrics = {"CNN": curves.learned_metric, "MI": curves.mutual_information}
    found = [
        curves.curve(
            name, metric(fixed, moving, perturbation, settings), perturbation, settings.points
        )
        for name, metric in metrics.items()
        for perturbation in perturbations(fixed, settings)
    ]
    picture.draw_curves(found).savefig(settings.out / CURVES, dpi=_DPI)
    curves.write(found, settings.out / TABLE)

    maps = MetricOnImages(
        fixed,
        moving,
        model=settings.model,
        fixed_modality=settings.fixed_modality,
        grid_spacing=settings.grid_spacing,
        number_of_threads=settings.threads,
    ).maps([settings.offset, 0.0, 0.0])
    title = f"{settings.fixed.name} and {settings.moving.name} displaced by {settings.offset:g} mm"
    picture.draw_maps(fixed, moving, maps, title=title).savefig(settings.out / MAPS, dpi=_DPI)

    print("| metric | perturbation | minimum at | derivative has the right sign |")
    print("|---|---|---:|---:|")
    for curve in found:
        print(
            f"| {curve.metric} | {curve.perturbation.name} | {curve.minimum:g} "
            f"{curve.perturbation.unit} | {curve.right_signs:.0%} |"
        )
