# SPDX-License-Identifier: Apache-2.0
"""``python -m cnnmetric.plausibility``: the metric around the true alignment of a pair."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from cnnmetric.command_line import parser_for
from cnnmetric.command_line import settings_from
from cnnmetric.errors import CNNMetricError
from cnnmetric.errors import CompatibilityError
from cnnmetric.evaluation.plausibility.settings import PlausibilitySettings

DESCRIPTION = """Perturb a rotation, a translation, a scale and a B-spline control point of an
aligned pair and draw value and analytic derivative of the learned metric and of mutual information
(the paper's Figure 3), and what the network says place by place (its Figure 1)."""
_DPI = 150


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status: 0, or 1 after an error."""
    try:
        parser = parser_for(
            PlausibilitySettings, DESCRIPTION, prog="python -m cnnmetric.plausibility"
        )
        run(settings_from(parser.parse_args(arguments)))
    except CNNMetricError as error:
        print(f"cnnmetric.plausibility: {error}", file=sys.stderr)
        return 1
    return 0


def run(settings: PlausibilitySettings) -> None:
    """Do what the settings say.

    Raises
    ------
    CNNMetricError
        If a package, an image or the model cannot be used.
    """
    try:
        from cnnmetric.evaluation.plausibility import picture
    except ModuleNotFoundError as error:
        msg = f"pictures need the package {error.name}: pip install 'cnnmetric[evaluate]'"
        raise CompatibilityError(msg) from error
    from cnnmetric.evaluation.plausibility import curves
    from cnnmetric.evaluation.plausibility.perturbations import perturbations
    from cnnmetric.images.files import read_image
    from cnnmetric.metric.on_images import MetricOnImages

    fixed, moving = read_image(settings.fixed), read_image(settings.moving)
    metrics = {"CNN": curves.learned_metric, "MI": curves.mutual_information}
    found = [
        curves.curve(
            name, metric(fixed, moving, perturbation, settings), perturbation, settings.points
        )
        for name, metric in metrics.items()
        for perturbation in perturbations(fixed, settings)
    ]
    settings.out.mkdir(parents=True, exist_ok=True)
    picture.draw_curves(found).savefig(settings.out / "plausibility.png", dpi=_DPI)
    curves.write(found, settings.out / "plausibility.csv")

    maps = MetricOnImages(
        fixed,
        moving,
        model=settings.model,
        fixed_modality=settings.fixed_modality,
        grid_spacing=settings.grid_spacing,
        number_of_threads=settings.threads,
    ).maps([settings.offset, 0.0, 0.0])
    title = f"{settings.fixed.name} and {settings.moving.name} displaced by {settings.offset:g} mm"
    picture.draw_maps(fixed, moving, maps, title=title).savefig(settings.out / "maps.png", dpi=_DPI)

    print("| metric | perturbation | minimum at | derivative has the right sign |")
    print("|---|---|---:|---:|")
    for curve in found:
        print(
            f"| {curve.metric} | {curve.perturbation.name} | {curve.minimum:g} "
            f"{curve.perturbation.unit} | {curve.right_signs:.0%} |"
        )


if __name__ == "__main__":
    sys.exit(main())
