# SPDX-License-Identifier: Apache-2.0
"""Which pairs look misaligned, by their mutual information around the alignment of their headers.

Two images of one anatomy that lie on each other to a voxel lose mutual information as soon as one
of them is moved. Images of two subjects, or of one that was not registered, have little to lose.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import entropy

from cnnmetric.training.data.aligned_pair import AlignedPair
from cnnmetric.training.data.pairs import content_box

# Shifts along each axis, in voxels.
SHIFTS = (1, 2, 3, 4, 6, 8)
NEAR, FAR = 2, 8
# The least edge of images that are judged, in voxels.
LEAST_EDGE = 2 * FAR + 16
# Voxels that are looked at, about.
VOXELS = 200_000
BINS = 32

# A pair whose best place is so far away is not aligned, if it gains so much there. If it gains
# more, it is shifted: aligned pairs that were moved by 2 voxels gain 14 to 46 %, two subjects less.
SHIFTED, GAIN, CLEAR_GAIN = 2, 1.01, 1.13
# Less is not aligned: 14 pairs of one subject have 0.35 to 0.55, smoothed ones (PET) 0.17 to 0.25;
# 11 pairs of two subjects, of the same size and place, have 0.08 to 0.13.
LEAST_SHARPNESS = 0.15
# Nor is less than this, and less than half of what the other pairs have.
DOUBTFUL_SHARPNESS = 0.25


@dataclass(frozen=True, kw_only=True)
class Alignment:
    """How a pair's mutual information behaves when the second image is moved.

    Attributes
    ----------
    axis, shift
        Where it is highest: ``"x"``, ``"y"`` or ``"z"``, and voxels.
    gain
        Its value there, relative to that at 0.
    sharpness
        How much of what is lost by a shift of `FAR` voxels is already lost by `NEAR`, as the mean
        over all axes; 0.06 for a parabola, 1 for a peak.
    """

    axis: str
    shift: int
    gain: float
    sharpness: float

    def better_elsewhere(self, gain: float) -> bool:
        """Whether the pair looks better when it is moved, by this factor."""
        return abs(self.shift) >= SHIFTED and self.gain >= gain


def measure(pair: AlignedPair) -> Alignment | None:
    """Return how well a pair is aligned; None for images too small to tell."""
    images = pair.images[(slice(None), *content_box(pair.images.numpy(), FAR))].numpy()
    if min(images.shape[1:]) < LEAST_EDGE:
        return None
    dimension = images.ndim - 1
    inner = [n - 2 * FAR for n in images.shape[1:]]
    step = max(1, round(float(np.prod(inner) / VOXELS) ** (1 / dimension)))

    def information(shift: Sequence[int]) -> float:
        # What an image shows moves by +n where it is cut n voxels before.
        first, second = (
            images[channel][
                tuple(
                    slice(FAR - by, FAR - by + edge, step)
                    for by, edge in zip(by_axis, inner, strict=True)
                )
            ]
            for channel, by_axis in enumerate(([0] * dimension, shift))
        )
        return normalised_mutual_information(first, second)

    here = information([0] * dimension)
    found = {
        (axis, sign * length): information(shift)
        for length in SHIFTS
        for axis, sign, shift in _shifts(length, dimension)
    }
    near, far = (
        statistics.fmean(value for (_, shift), value in found.items() if abs(shift) == length)
        for length in (NEAR, FAR)
    )
    (axis, shift), best = max(found.items(), key=lambda item: item[1])
    if best <= here:
        axis, shift, best = 0, 0, here
    return Alignment(
        axis="zyx"[-dimension:][axis],
        shift=shift,
        gain=best / here if here > 0 else 1.0,
        sharpness=(here - near) / (here - far) if here > far else 0.0,
    )


def describe_misaligned(pairs: Sequence[AlignedPair]) -> dict[int, str]:
    """Return what is wrong with each pair that looks misaligned, by its place in the list.

    It cannot see everything: mirrored images of a symmetric anatomy, or a turn by a few degrees,
    look aligned.
    """
    measured = [measure(pair) for pair in pairs]
    found = {}
    for place, (pair, alignment) in enumerate(zip(pairs, measured, strict=True)):
        if alignment is None:
            continue
        others = [item.sharpness for item in measured if item and item is not alignment]
        usual = statistics.median(others) if len(others) > 1 else 0.0
        least = max(LEAST_SHARPNESS, min(DOUBTFUL_SHARPNESS, usual / 2))
        if alignment.better_elsewhere(CLEAR_GAIN):
            length = abs(alignment.shift)
            beyond = " or more" if length == SHIFTS[-1] else ""
            found[place] = (
                f"looks better aligned when one image is moved by about {length} voxels "
                f"({length * pair.spacing:.3g} mm){beyond} along {alignment.axis}"
            )
        elif alignment.better_elsewhere(GAIN) or alignment.sharpness < least:
            compared = f", {usual:.2f} in the other pairs" if usual else ""
            found[place] = (
                "looks like two subjects, or not registered: mutual information hardly falls when "
                f"one image is moved (sharpness {alignment.sharpness:.2f}{compared})"
            )
    return found


def normalised_mutual_information(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Return ``(H(A) + H(B)) / H(A, B) - 1``: 0 if independent, 1 if one tells the other.

    Intensities are in [0, 1]; places with NaN do not count.
    """
    inside = np.isfinite(first) & np.isfinite(second)
    bins = [
        np.minimum((image[inside] * BINS).astype(np.int64), BINS - 1) for image in (first, second)
    ]
    joint = np.bincount(bins[0] * BINS + bins[1], minlength=BINS**2).reshape(BINS, BINS)
    if np.count_nonzero(joint) < 2:  # nothing is told, and there may be no voxel
        return 0.0
    apart = entropy(joint.sum(0)) + entropy(joint.sum(1))
    return float(apart / entropy(joint, axis=None)) - 1


def _shifts(length: int, dimension: int) -> Iterator[tuple[int, int, list[int]]]:
    for axis in range(dimension):
        for sign in (-1, 1):
            shift = [0] * dimension
            shift[axis] = sign * length
            yield axis, sign, shift
