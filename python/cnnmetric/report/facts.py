# SPDX-License-Identifier: Apache-2.0
"""Figures, settings, versions and times of a registration, as HTML."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from html import escape
from typing import Any

from cnnmetric.metric.modalities import ANY
from cnnmetric.registration.stage import Stage
from cnnmetric.report import judgement
from cnnmetric.report.comparison import Comparison
from cnnmetric.report.quality import Quality

_DEFORMATIONS = {
    "field": "displacement field",
    "bspline": "B-splines",
    "affine": "affine transform",
    "similarity": "similarity transform",
    "rigid": "rigid transform",
}


def summary(stages: Sequence[Stage], log: Mapping[str, Any], comparison: Comparison) -> str:
    """Return in one line what was done."""
    deformation = log["settings"]["deformation"]
    # A model of any modality has no name for that of the fixed image; the user may.
    modality = log["settings"]["fixed_modality"] or comparison.fixed_modality
    shows = "" if modality == ANY else f", fixed image {modality}"
    return "  ·  ".join(
        (
            _DEFORMATIONS.get(deformation, "parameter files of your own"),
            f"model {comparison.model}{shows}",
            duration(sum(stage.seconds for stage in stages)),
            str(log["finished"]).replace("T", " ").replace("+00:00", " UTC"),
        )
    )


def figures(quality: Quality) -> str:
    """Return the key figures, those that are off marked."""
    linear = quality.linear_agreement
    unfit = linear is not None and linear < judgement.AGREEMENT_WRONG
    before = f"; before the deformation {linear:.0%}" if unfit else ""
    found = [
        (
            "Metric",
            f"{quality.before:.3f} → {quality.value:.3f}",
            "before and after; lower is better",
            quality.value >= quality.before,
        ),
        (
            "Agreement inside",
            f"{quality.agreement:.0%}",
            f"of the patches fit best where they are; 50% is chance{before}",
            quality.agreement < judgement.AGREEMENT_POOR or unfit,
        ),
        (
            "Overlap",
            f"{quality.overlap:.0%}",
            "Dice of what both images show",
            quality.overlap < judgement.OVERLAP,
        ),
        (
            "Folding",
            share(quality.folded),
            "of the voxels; none is right",
            quality.folded > judgement.FOLDED,
        ),
    ]
    return "".join(
        f'<div class="figure{" off" * off}"><p class="name">{name}</p>'
        f'<p class="number">{escape(number)}</p><p class="about">{about}</p></div>'
        for name, number, about, off in found
    )


def details(stages: Sequence[Stage], log: Mapping[str, Any], quality: Quality) -> str:
    """Return stages, images, settings and versions as tables."""
    times = [
        (
            stage.name.replace("_", " "),
            f"{duration(stage.seconds)}, {len(stage.trace)} iterations, metric {after:.3f}",
        )
        for stage, (_, after) in zip(stages, quality.stages, strict=True)
    ]
    parts = [
        _card("Stages", _table(times)),
        _card("Images", _table(_images(log["images"]))),
        _card("Settings", _table(list(_settings(log["settings"])))),
        _card("Versions", _table([*log["versions"].items(), ("device", _device(log))])),
    ]
    if log["notes"]:
        lines = "".join(f"<li>{escape(str(note))}</li>" for note in log["notes"])
        parts.insert(1, _card("What was chosen", f"<ul>{lines}</ul>"))
    return "".join(parts)


def duration(seconds: float) -> str:
    """Return a time for people."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def share(value: float) -> str:
    """Return a share in percent, of which a very small one is not 0."""
    if value == 0:
        return "none"
    return f"{value:.2%}" if value >= 1e-4 else "< 0.01%"


def _device(log: Mapping[str, Any]) -> str:
    """Return the device without the reason for it, which may be long and name folders."""
    return str(log["device"]).partition(" (")[0]


def _card(title: str, content: str) -> str:
    return f'<div class="card"><h2>{title}</h2>{content}</div>'


def _table(rows: Sequence[tuple[str, Any]]) -> str:
    lines = (f"<tr><th>{escape(name)}</th><td>{escape(str(text))}</td></tr>" for name, text in rows)
    return f"<table>{''.join(lines)}</table>"


def _images(images: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    found = []
    for role, geometry in images.items():
        size = " x ".join(map(str, geometry["size"]))
        voxel = " x ".join(f"{value:.3g}" for value in geometry["spacing_mm"])
        found.append((f"{role} image", f"{size} voxels of {voxel} mm"))
    return found


def _settings(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in settings.items():
        if name == "deformation" and value is None:
            continue  # parameter files of the user say it
        if name == "field_smoothing" and settings.get("deformation") != "field":
            continue
        if value is None or value == "":
            text = "chosen"
        elif isinstance(value, bool):
            text = "given" if value else "none"
        elif name == "parameters":
            text = f"{len(value)} of your own files" if value else "built-in stages"
        elif name == "threads" and value == 0:
            text = "all"
        elif name == "grid_spacing":
            text = f"{value:g} mm"
        elif name == "field_smoothing":
            text = f"{value:g} voxels"
        else:
            text = str(value)
        yield name.replace("_", " "), text
