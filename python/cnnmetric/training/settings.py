# SPDX-License-Identifier: Apache-2.0
"""The settings of a training run: its options, what they mean together, and the record of them."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import fields
from pathlib import Path
from typing import Any

from cnnmetric.command_line import to_record
from cnnmetric.metric.modalities import ANY
from cnnmetric.training.data.sources import KINDS
from cnnmetric.training.data.sources import Source
from cnnmetric.training.networks.similarity_names import SIMILARITIES
from cnnmetric.training.options import TrainingOptions
from cnnmetric.training.presets import ARCHITECTURES
from cnnmetric.training.presets import defaults

# These say how the program was called this time, not what was trained.
CALL = frozenset({"resume", "export_only", "overwrite", "strict_pairs", "record_names"})
# Names of files and subjects, which may be patients'.
NAMES = frozenset({"pairs", "source", "validation", "hold_out", "cache", "out"})
# Of `hold_out`: no pair.
NO_PAIR = "none"
# These may differ when an interrupted run is continued, since they do not shape the result.
FREE_ON_RESUME = frozenset(
    {
        *("pairs", "source", "validation", "cache", "out", "threads", "workers"),
        *("checkpoint_every", "preset"),
    }
)

# What only the networks of patches use, and what only self-similarity does.
OF_PATCHES = (
    *("pooling", "loss", "max_stretch", "batch_size", "momentum"),
    *("near_miss_fraction", "near_miss_offset", "near_miss_labels", "near_miss_rotation"),
)
OF_CROPS = (
    *("similarities", "crops", "crop_edge", "shift", "temperature"),
    *("remap_probability", "max_noise"),
)

# Options whose 0 or empty value stands for the architecture's.
_EMPTY = frozenset({"channels", "kernels", "strides", "learning_rate", "similarities"})


@dataclass(frozen=True, kw_only=True)
class TrainingSettings(TrainingOptions):
    """Train the metric on aligned image pairs and export it as one .onnx file."""

    def __post_init__(self) -> None:
        """Fill in the preset's and the architecture's values, then check all of them."""
        for name, value in defaults(self.preset, self.architecture).items():
            given = getattr(self, name)
            # Of an option whose default is not None, "nothing" is 0 or empty.
            if given is None or (name in _EMPTY and not given):
                object.__setattr__(self, name, value)
        super().__post_init__()

    def broken_rules(self) -> Iterator[str]:
        """Yield the rules of `RULES` that are broken, and options that would change nothing."""
        yield from (rule for rule, kept in RULES.items() if not kept(self))
        default = {item.name: item.default for item in fields(self)}
        given = [name for name in self.unused if getattr(self, name) != default[name]]
        if given:
            options = " and ".join(f"--{name.replace('_', '-')}" for name in given)
            them = "them" if len(given) > 1 else "it"
            yield (
                f"{options} would change nothing with --architecture {self.architecture}, leave "
                f"{them} out"
            )

    @property
    def unused(self) -> tuple[str, ...]:
        """The options that the architecture has no use for."""
        if self.architecture not in ARCHITECTURES:
            return ()
        return OF_PATCHES if self.self_similar else OF_CROPS

    @property
    def self_similar(self) -> bool:
        """Whether the network has the architecture that is ours."""
        return self.architecture == "self-similarity"

    @property
    def modality_names(self) -> tuple[str, ...]:
        """The column of channel 0 and that of channel 1; `ANY` twice for all columns."""
        names = tuple(name.strip() for name in self.modalities.split(","))
        return (ANY, ANY) if names == (ANY,) else names

    @property
    def sources(self) -> tuple[Source, ...]:
        """Where pairs come from, by kind and then as given; the table named first is real.

        Raises
        ------
        SettingsError
            If one cannot be understood.
        """
        found = [Source.parse(text) for text in self.source]
        if self.pairs is not None:
            found.insert(0, Source(kind="real", path=self.pairs))
        return tuple(sorted(found, key=lambda source: KINDS.index(source.kind)))

    @property
    def checkpoint(self) -> Path:
        """The checkpoint beside the model."""
        return self.out.with_suffix(".checkpoint.pt")

    @property
    def record(self) -> Path:
        """The run record beside the model."""
        return self.out.with_suffix(".json")

    @property
    def log(self) -> Path:
        """The table of losses beside the model."""
        return self.out.with_suffix(".csv")

    @property
    def curve(self) -> Path:
        """The picture of the losses beside the model."""
        return self.out.with_suffix(".png")

    @property
    def outputs(self) -> tuple[Path, ...]:
        """All files that a run writes."""
        return self.out, self.checkpoint, self.record, self.log, self.curve

    def as_record(self, *, names: bool = True) -> dict[str, Any]:
        """Return what was trained as JSON values.

        Parameters
        ----------
        names
            Include the names of files, never where they lay, and of the subject held out.
        """
        record = to_record(self) | {"source": list(map(str, self.sources)), "out": self.out.name}
        for name in ("pairs", "validation", "cache"):
            path = getattr(self, name)
            record[name] = path and path.name
        left_out = CALL if names else CALL | NAMES
        record = {name: value for name, value in record.items() if name not in left_out}
        if not names:
            record["sources"] = [f"{source.kind}:{source.weight:g}" for source in self.sources]
        return record


def _modalities_differ(settings: TrainingSettings) -> bool:
    names = settings.modality_names
    two = len(names) == len(set(names)) == 2 and all(names)
    return names == (ANY, ANY) or (two and ANY not in names)


def _layers_match(settings: TrainingSettings) -> bool:
    scores = 0 if settings.self_similar else 1
    wanted = len(settings.channels) + scores
    return len(settings.kernels) == len(settings.strides) == wanted


def _patch_edge(settings: TrainingSettings) -> int:
    """Return the edge, in voxels, of the patch that one descriptor of self-similarity sees."""
    from cnnmetric.training.networks.architecture import Layer  # of PyTorch, which takes seconds
    from cnnmetric.training.networks.architecture import receptive_field
    from cnnmetric.training.networks.self_similarity import FIXED

    learned = map(Layer, settings.channels, settings.kernels, settings.strides)
    return receptive_field((*FIXED, *learned))


def _similarities_known(settings: TrainingSettings) -> bool:
    names = settings.similarities
    known = set(names) <= set(SIMILARITIES) and len(set(names)) == len(names)
    return not settings.self_similar or (known and "context" in names)


def _kinds(settings: TrainingSettings) -> list[str]:
    return [source.kind for source in settings.sources]


# What settings must keep to, beside the bounds of each: a sentence, and whether it holds.
RULES: dict[str, Callable[[TrainingSettings], bool]] = {
    "--out must end in .onnx": lambda s: s.out.suffix == ".onnx",
    "--modalities must be two different column names, as T1,T2, or any": _modalities_differ,
    "--modalities any needs --architecture self-similarity": (
        lambda s: s.modality_names != (ANY, ANY) or s.self_similar
    ),
    "a table of pairs or a --source is needed": lambda s: bool(s.sources),
    "--source contrast needs --architecture self-similarity": (
        lambda s: s.self_similar or "contrast" not in _kinds(s)
    ),
    "--source synthetic needs --dimension 3": (
        lambda s: s.dimension == 3 or "synthetic" not in _kinds(s)
    ),
    "--spacing is needed where every --source is synthetic": (
        lambda s: s.spacing is not None or set(_kinds(s)) != {"synthetic"}
    ),
    "--training-pairs needs one table of real pairs to divide": (
        lambda s: not s.training_pairs or _kinds(s).count("real") == 1
    ),
    "--training-pairs and --validation exclude each other": (
        lambda s: not s.training_pairs or s.validation is None
    ),
    "--hold-out excludes --training-pairs and --validation": (
        lambda s: s.hold_out in (None, NO_PAIR) or (not s.training_pairs and s.validation is None)
    ),
    "--hold-out needs a table of real pairs": (
        lambda s: s.hold_out in (None, NO_PAIR) or "real" in _kinds(s)
    ),
    "--overwrite excludes --resume and --export-only": (
        lambda s: not s.overwrite or not (s.resume or s.export_only)
    ),
    "--kernels and --strides must have one value more than --channels, or as many for "
    "self-similarity": _layers_match,
    "--crop-edge must be no shorter than the patch that --kernels and --strides make": (
        lambda s: not s.self_similar or s.crop_edge >= _patch_edge(s)
    ),
    f"--similarities must be context and any of {', '.join(SIMILARITIES[1:])}, each once": (
        _similarities_known
    ),
    "--shift must have the smaller length first": lambda s: s.shift[0] <= s.shift[1],
    "--scale must have the smaller factor first": lambda s: s.scale[0] <= s.scale[1],
    "--lower-quantile must be below --upper-quantile": (
        lambda s: s.lower_quantile < s.upper_quantile
    ),
}
