# SPDX-License-Identifier: Apache-2.0
"""What settings of a training run must keep to."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING
from typing import get_args
from typing import get_type_hints

from cnnmetric.training.data.sources import ANY
from cnnmetric.training.networks.similarities import SIMILARITIES

if TYPE_CHECKING:
    from cnnmetric.training.settings import TrainingSettings


def broken_rules(settings: TrainingSettings) -> list[str]:
    """Return the rules that the settings break, each a sentence that names the option."""
    sources = settings.sources
    kinds = {source.kind for source in sources}
    depth = len(settings.kernels)
    scores = 0 if settings.architecture == "self-similarity" else 1
    rules = {
        "--modalities must be two different column names, as T1,T2, or any": (
            settings.modality_names == (ANY, ANY)
            or (
                len(settings.modality_names) == len(set(settings.modality_names)) == 2
                and all(settings.modality_names)
                and ANY not in settings.modality_names
            )
        ),
        "--modalities any needs --architecture self-similarity": (
            settings.modality_names != (ANY, ANY) or settings.architecture == "self-similarity"
        ),
        "a table of pairs or a --source is needed": bool(sources),
        "--source synthetic and contrast need --architecture self-similarity": (
            kinds <= {"real"} or settings.architecture == "self-similarity"
        ),
        "--source synthetic needs --dimension 3": (
            "synthetic" not in kinds or settings.dimension == 3
        ),
        "--spacing is needed where every --source is synthetic": (
            kinds != {"synthetic"} or settings.spacing is not None
        ),
        "--out must end in .onnx": settings.out.suffix == ".onnx",
        "--dimension must be 2 or 3": settings.dimension in (2, 3),
        f"--kernels and --strides must have {len(settings.channels) + scores} values, "
        "--channels has one less, but for self-similarity": (
            depth == len(settings.strides) == len(settings.channels) + scores
        ),
        "--channels, --kernels and --strides must be 1 or more": (
            min((*settings.channels, *settings.kernels, *settings.strides), default=1) >= 1
        ),
        "--pooling and --loss are not for --architecture self-similarity": (
            settings.architecture != "self-similarity"
            or (settings.loss == "hinge" and not settings.pooling)
        ),
        f"--similarities must be context and any of {', '.join(SIMILARITIES[1:])}, each once": (
            settings.architecture != "self-similarity"
            or (
                "context" in settings.similarities
                and set(settings.similarities) <= set(SIMILARITIES)
                and len(set(settings.similarities)) == len(settings.similarities)
            )
        ),
        "--similarities is for --architecture self-similarity": (
            settings.architecture == "self-similarity" or not settings.similarities
        ),
        "--crops must be 1 or more, and --crop-edge 25 or more": (
            settings.crops >= 1 and settings.crop_edge >= 25
        ),
        "--shift must be two lengths, the smaller one first": (
            0 <= settings.shift[0] <= settings.shift[1]
        ),
        "--temperature must be above 0": settings.temperature > 0,
        "--remap-probability must lie in 0..1": 0 <= settings.remap_probability <= 1,
        "--max-noise must lie in 0..1": 0 <= settings.max_noise <= 1,
        "--learning-rate must be above 0": settings.learning_rate > 0,
        "--momentum must be at least 0 and below 1": 0 <= settings.momentum < 1,
        "--batch-size, --steps and --checkpoint-every must be 1 or more": (
            min(settings.batch_size, settings.steps, settings.checkpoint_every) >= 1
        ),
        "--validate-every and --validation-batches must be 1 or more": (
            min(settings.validate_every, settings.validation_batches) >= 1
        ),
        "--training-pairs must be 0 or more": settings.training_pairs >= 0,
        "--training-pairs needs one table of real pairs to divide": (
            not settings.training_pairs or [source.kind for source in sources].count("real") == 1
        ),
        "--training-pairs and --validation exclude each other": (
            not settings.training_pairs or settings.validation is None
        ),
        "--scale must be two factors above 0, the smaller one first": (
            0 < settings.scale[0] <= settings.scale[1]
        ),
        "--rotation must lie in 0..180 degrees": 0 <= settings.rotation <= 180,
        "--max-gamma and --max-gain must be 1 or more": min(settings.max_gamma, settings.max_gain)
        >= 1,
        "--near-miss-fraction must lie in 0..1": 0 <= settings.near_miss_fraction <= 1,
        "--near-miss-offset must be 1 or more": settings.near_miss_offset >= 1,
        "--near-miss-rotation must lie in 0..180 degrees": 0 <= settings.near_miss_rotation <= 180,
        "--lower-quantile must be below --upper-quantile, both in 0..1": (
            0 <= settings.lower_quantile < settings.upper_quantile <= 1
        ),
        "--crop-margin must be 0 or more": settings.crop_margin is None
        or settings.crop_margin >= 0,
        "--spacing must be above 0": settings.spacing is None or 0 < settings.spacing < math.inf,
        "--seed, --threads and --workers must be 0 or more": (
            min(settings.seed, settings.threads, settings.workers) >= 0
        ),
    }
    for name, hint in get_type_hints(type(settings)).items():
        words = get_args(hint)
        if words and isinstance(words[0], str):
            option = name.replace("_", "-")
            rules[f"--{option} must be {' or '.join(words)}"] = getattr(settings, name) in words
    return [rule for rule, kept in rules.items() if not kept]
