# SPDX-License-Identifier: Apache-2.0
"""Every option of a training run. "Paper" below is Simonovsky et al. 2016."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cnnmetric.command_line import Settings
from cnnmetric.command_line import setting
from cnnmetric.training.networks.similarity_names import SIMILARITIES
from cnnmetric.training.presets import NO_CROP
from cnnmetric.training.presets import RECOMMENDED
from cnnmetric.training.presets import Preset
from cnnmetric.training.presets import in_presets

PAPER = "paper, Section 2.2"
OURS = "ours"


@dataclass(frozen=True, kw_only=True)
class TrainingOptions(Settings):
    """The options by themselves; `TrainingSettings` knows what they mean together.

    Where the default is None and the type says otherwise, the preset has it.
    """

    pairs: Path | None = setting(
        None,
        help_text="CSV table: a header row, one aligned subject a row, one column of image files "
        "per modality; file names are relative to the table; or the folder of IXI. Short for "
        "--source real=TABLE",
        source=OURS,
        positional=True,
    )
    source: tuple[str, ...] = setting(
        (),
        help_text="KIND=PATH or KIND=PATH:WEIGHT, where further pairs come from and how often; "
        "real: such a table; contrast: a table of single images, each paired with itself in "
        "another contrast, for self-similarity; synthetic: a folder of label maps",
        source=OURS,
        repeatable=True,
    )
    modalities: str = setting(
        help_text="the two columns to learn from, as T1,T2; the second is resampled on the "
        "grid of the first where grids differ; any: all columns but the first, for a model that "
        "takes every modality",
        source=OURS,
    )
    out: Path = setting(
        help_text="the .onnx file to write; checkpoint and run record are put beside it",
        source=OURS,
    )

    preset: Preset = setting(
        RECOMMENDED,
        help_text="what options that are left out are set to; recommended: as the shipped model "
        "t1t2-fine was trained, but for its label maps; simonovsky2016: the paper's network and "
        "training; an option that is given counts in either",
        source=OURS,
    )
    hold_out: str | None = setting(
        None,
        help_text="the subject to validate on and not to train on, by its name in the first column "
        "of the table; none: train on all; by default the last one, where there are two or more",
        source=OURS,
    )
    training_pairs: int = setting(
        0,
        help_text="train on the first so many pairs of the table, with all of their subjects, and "
        "validate on the others; 0 leaves that to --hold-out",
        source="the paper's k",
        minimum=0,
    )
    validation: Path | None = setting(
        None, help_text="CSV table as the first one, of pairs to validate on", source=OURS
    )
    cache: Path | None = setting(
        None,
        help_text="folder for the prepared images, which are then read where patches are taken "
        "from and not held in memory",
        source=OURS,
    )
    validate_every: int = setting(
        100, help_text="interval of validations", unit="steps", source=OURS, minimum=1
    )
    validation_batches: int = setting(
        8, help_text="batches of a validation, the same each time", source=OURS, minimum=1
    )

    dimension: int = setting(
        3, help_text="dimension of images and network", source=PAPER, minimum=2, maximum=3
    )
    architecture: Literal["two-channel", "pseudo-siamese", "self-similarity"] = setting(
        None,
        help_text=in_presets(
            "two-channel; pseudo-siamese, with half of the channels for each image until the "
            "last two layers, which the paper advises against; or descriptors on top of fixed "
            "self-similarities, trained to find each patch's partner",
            "architecture",
        ),
        source="paper; self-similarity is ours",
    )
    channels: tuple[int, ...] = setting(
        (),
        help_text="feature channels of the learned layers; but for self-similarity without the "
        "last, whose one output is the score; by default 96 192 256 512 or, for self-similarity, "
        "24 64 64 32",
        source="reconstruction of the paper's five layers and 2 M parameters",
        minimum=1,
    )
    kernels: tuple[int, ...] = setting(
        (),
        help_text="kernel edge of each learned layer; by default 5 3 3 1 1 or 3 3 1 1",
        unit="voxels",
        source="reconstruction of the paper's patch size 17",
        minimum=1,
    )
    strides: tuple[int, ...] = setting(
        (),
        help_text="stride of each learned layer; by default 2 2 1 1 1 or 1 2 1 1",
        unit="voxels",
        source="reconstruction of the paper's stride 4",
        minimum=1,
    )

    pooling: bool = setting(
        False,
        help_text="take the largest of neighbours where a layer has a stride, which the paper "
        "advises against; patches get larger; not for self-similarity",
        source=PAPER,
    )
    loss: Literal["hinge", "cross-entropy"] = setting(
        "hinge",
        help_text="of aligned and misaligned patches; cross-entropy is what the paper advises "
        "against; not for self-similarity",
        source=PAPER,
    )

    learning_rate: float = setting(
        0.0,
        help_text="of gradient descent; the peak of the one-cycle schedule; 0 is 0.01 or, for "
        "self-similarity, 0.001",
        source=PAPER,
        minimum=0,
    )
    momentum: float = setting(
        0.9,
        help_text="of gradient descent; not for self-similarity",
        source=PAPER,
        minimum=0,
        below=1,
    )
    batch_size: int = setting(
        128, help_text="patch pairs per step; not for self-similarity", source=PAPER, minimum=1
    )
    steps: int = setting(
        None,
        help_text=in_presets("steps of gradient descent", "steps"),
        source="ours; not in the paper",
        minimum=1,
    )
    schedule: Literal["constant", "one-cycle"] = setting(
        None,
        help_text=in_presets(
            "learning rate over the run; one-cycle rises for 10 % of the steps, then falls to 0",
            "schedule",
        ),
        source="paper; one-cycle is ours",
    )

    similarities: tuple[str, ...] = setting(
        (),
        help_text=in_presets(
            "fixed first layers of self-similarity: context and any of "
            f"{', '.join(SIMILARITIES[1:])}",
            "similarities",
            architecture="self-similarity",
        ),
        source=OURS,
    )
    crops: int = setting(6, help_text="crops per step of self-similarity", source=OURS, minimum=1)
    crop_edge: int = setting(
        45, help_text="edge of a crop of self-similarity", unit="voxels", source=OURS, minimum=25
    )
    shift: tuple[float, float] = setting(
        (0.7, 3.0),
        help_text="range of the shift by which a crop's wrong partners lie between the right ones; "
        "of self-similarity",
        unit="crop voxels",
        source=OURS,
        minimum=0,
    )
    temperature: float = setting(
        0.1, help_text="what the cosines of self-similarity are divided by", source=OURS, above=0
    )
    remap_probability: float = setting(
        0.3,
        help_text="how often the intensities of a crop of self-similarity are changed by a random "
        "function",
        source=OURS,
        minimum=0,
        maximum=1,
    )
    max_noise: float = setting(
        0.03,
        help_text="largest SD of noise added to a crop of self-similarity",
        source=OURS,
        minimum=0,
        maximum=1,
    )

    scale: tuple[float, float] = setting(
        None,
        help_text=in_presets(
            "range of the patch's magnification on the image, log-uniform", "scale"
        ),
        source="varied in the paper; the range is ours",
        above=0,
    )
    rotation: float = setting(
        180.0,
        help_text="largest rotation about a random axis",
        unit="degrees",
        source="varied in the paper; the range is ours",
        minimum=0,
        maximum=180,
    )
    mirroring: bool = setting(True, help_text="mirror each axis with probability 1/2", source=PAPER)
    max_stretch: float = setting(
        1.0,
        help_text="largest factor by which a patch is stretched along each of three random axes, "
        "drawn between its inverse and itself; 1 is off; not for self-similarity",
        source=OURS,
        minimum=1,
    )
    max_gamma: float = setting(
        None,
        help_text=in_presets(
            "largest factor of the exponent applied to a patch's intensities, drawn for each "
            "channel between its inverse and itself; 1 is off",
            "max_gamma",
        ),
        source="off in the paper",
        minimum=1,
    )
    max_gain: float = setting(
        None,
        help_text=in_presets(
            "largest factor applied to a patch's intensities, drawn likewise; 1 is off", "max_gain"
        ),
        source="off in the paper",
        minimum=1,
    )
    patch_centres: Literal["anywhere", "anatomy"] = setting(
        "anywhere",
        help_text="where patches may be centred; anatomy: where both images are brighter than "
        "0.02 of their range, for images without skull, whose background teaches nothing; "
        "self-similarity always does so",
        source="anywhere as in the paper",
    )
    near_miss_fraction: float = setting(
        0.0,
        help_text="share of the negatives whose second transform is the first, slightly moved; "
        "not for self-similarity",
        source="0 as in the paper",
        minimum=0,
        maximum=1,
    )
    near_miss_offset: float = setting(
        4.0,
        help_text="largest offset of a near miss; the least is 1, or 0 where they are graded; not "
        "for self-similarity",
        unit="patch voxels",
        source=OURS,
        minimum=1,
    )
    near_miss_labels: Literal["misaligned", "graded"] = setting(
        "misaligned",
        help_text="what near misses are taught as: misaligned as all negatives, or graded from "
        "aligned to misaligned by their offset, which then begins at 0; not for self-similarity",
        source=OURS,
    )
    near_miss_rotation: float = setting(
        10.0,
        help_text="largest rotation of a near miss; not for self-similarity",
        unit="degrees",
        source=OURS,
        minimum=0,
        maximum=180,
    )

    lower_quantile: float = setting(
        0.01,
        help_text="intensity quantile mapped to 0",
        source="the paper says [0, 1], not how",
        minimum=0,
        maximum=1,
    )
    upper_quantile: float = setting(
        0.999,
        help_text="intensity quantile mapped to 1",
        source="the paper says [0, 1], not how",
        minimum=0,
        maximum=1,
    )
    crop_margin: int = setting(
        None,
        help_text=in_presets(
            "keep of each pair only the bounding box of what is not background, and this margin; "
            f"{NO_CROP} keeps the whole images",
            "crop_margin",
        ),
        unit="voxels",
        source="off in the paper",
        minimum=NO_CROP,
    )
    spacing: float | None = setting(
        None,
        help_text="voxel size written into the model; by default the median of the training images",
        unit="mm",
        source=OURS,
        above=0,
    )

    seed: int = setting(1, help_text="of initial weights and patches", source=OURS, minimum=0)
    precision: Literal["float32", "bfloat16"] = setting(
        "float32",
        help_text="arithmetic of the convolutions; bfloat16 is faster only where the processor "
        "has it",
        source=OURS,
    )
    device: Literal["auto", "cpu", "cuda"] = setting(
        "auto",
        help_text="where the network is trained; auto takes CUDA where there is one",
        source=OURS,
    )
    threads: int = setting(
        0, help_text="of PyTorch; 0 leaves its own choice", source=OURS, minimum=0
    )
    workers: int = setting(
        1,
        help_text="processes that sample patches ahead; the patches do not depend on it",
        source=OURS,
        minimum=0,
    )
    checkpoint_every: int = setting(
        500, help_text="interval of checkpoints", unit="steps", source=OURS, minimum=1
    )
    resume: bool = setting(
        False,
        help_text="continue from the checkpoint beside --out, or only export if it is complete",
        source=OURS,
    )
    export_only: bool = setting(
        False,
        help_text="export the checkpoint beside --out as it is, without training",
        source=OURS,
    )
    overwrite: bool = setting(
        False,
        help_text="train anew where --out, or a file that is written beside it, exists",
        source=OURS,
    )
    strict_pairs: bool = setting(
        False,
        help_text="stop before training where a pair looks misaligned, and do not only warn",
        source=OURS,
    )
    record_names: bool = setting(
        False,
        help_text="write names and SHA-256 of the images into model and run record; file names "
        "are often patients' names",
        source=OURS,
    )
