# SPDX-License-Identifier: Apache-2.0
"""What the figures of a registration mean, in plain words.

The limits are chosen on registrations that are known to be right or wrong
(studies/notes/quality.md).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from cnnmetric.report.quality import Quality

AGREEMENT_WRONG, AGREEMENT_POOR = 0.70, 0.80
OVERLAP = 0.75
FOLDED = 0.001  # of the voxels
COARSE, FINE = 2.0, 0.4  # voxel size over that of the model
# Local correlation from which on images look like one modality. T1 and T2 have opposite contrasts;
# those of other modalities may be like each other.
ALIKE, ALIKE_T1_T2 = 0.8, 0.15
# Of the rise of the metric with a displacement.
SWAPPED, MIRRORED = 0.05, 0.2
_SIGNIFICANT = 0.02


def warnings_for(quality: Quality) -> Iterator[str]:
    """Yield a sentence for everything that is wrong with a registration, or looks so."""
    yield from _of_the_fit(quality)
    yield from _of_the_deformation(quality)
    yield from _of_the_images(quality)


def _of_the_fit(quality: Quality) -> Iterator[str]:
    shares = f"{quality.agreement:.0%} of the places inside fit best where they are; chance is 50%"
    if quality.agreement < AGREEMENT_WRONG:
        yield (
            f"The images do not fit: {shares}. The registration failed, or the images do not show "
            "the same thing. Do not use the result."
        )
    elif quality.agreement < AGREEMENT_POOR:
        yield f"The fit is doubtful: only {shares}."
    linear = quality.linear_agreement
    if linear is not None and linear < AGREEMENT_WRONG <= quality.agreement:
        yield (
            f"The images did not fit before they were deformed: only {linear:.0%} of the places "
            "inside fitted best where they were; chance is 50%. A deformation makes much fit that "
            "does not belong together. Do not use the result."
        )
    # Who starts at a right place may end at one that is as good.
    least = _SIGNIFICANT * quality.rise if quality.agreement >= AGREEMENT_WRONG else 0.0
    if quality.value - quality.before > least:
        yield (
            f"The metric did not improve: it was {quality.before:.3f} before and is "
            f"{quality.value:.3f} after, and lower is better."
        )
    best = min(quality.displaced, key=lambda point: point.value)
    if best.value < quality.value:
        yield (
            "The metric is lower with the moving image displaced by "
            f"{abs(best.millimetres):.1f} mm along {'xyz'[best.axis]}: the registration ended "
            "beside the best place."
        )
    if quality.overlap < OVERLAP:
        yield (
            f"The images overlap by {quality.overlap:.0%} only. Check that both show the same part "
            "of the body, or give an initial transform."
        )


def _of_the_deformation(quality: Quality) -> Iterator[str]:
    if quality.folded > FOLDED:
        yield (
            f"The transform folds at {quality.folded:.1%} of the voxels, which no tissue can do. "
            "Look at the map of volume change."
        )
    values = [("the start", quality.before), *quality.stages]
    for (_, before), (name, after) in itertools.pairwise(values):
        if after - before > _SIGNIFICANT * max(quality.rise, 0) and quality.value < quality.before:
            yield (
                f"The metric did not improve in the stage {name.replace('_', ' ')}: it went from "
                f"{before:.3f} to {after:.3f}."
            )


def _of_the_images(quality: Quality) -> Iterator[str]:
    first, second = quality.modalities
    if quality.swapped is not None and (
        quality.swapped < quality.value - SWAPPED * max(quality.rise, 0)
    ):
        yield (
            f"The modalities look swapped: with the fixed image taken for {second} and the moving "
            f"image for {first}, the metric is {quality.swapped:.3f} and not {quality.value:.3f}. "
            "Check fixed_modality."
        )
    alike = ALIKE_T1_T2 if {first, second} == {"T1", "T2"} else ALIKE
    if first != second and quality.correlation > alike:
        yield (
            "Both images look like the same modality: their intensities rise and fall together "
            f"(correlation {quality.correlation:.2f}). The model compares {first} with {second}."
        )
    fits = quality.agreement >= AGREEMENT_WRONG
    if fits and quality.flipped < quality.value - MIRRORED * quality.rise:
        yield (
            "Mirrored left to right, the moving image fits better: the metric is "
            f"{quality.flipped:.3f} and not {quality.value:.3f}. Check the orientation in the "
            "images' headers."
        )
    if quality.coarseness > COARSE:
        yield (
            f"The voxels are up to {quality.coarseness:.1f} times as large as those that the model "
            "was trained with. Fine structure cannot be matched."
        )
    elif quality.coarseness < FINE:
        yield (
            f"The voxels are {quality.coarseness:.2f} times the size of those that the model was "
            "trained with. Check that the spacing in the images' headers is in mm."
        )
