# SPDX-License-Identifier: Apache-2.0
"""From a finished registration to its quality, its page, and its picture in a notebook."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

from cnnmetric.errors import DataError
from cnnmetric.errors import SettingsError
from cnnmetric.files.output import atomic_path
from cnnmetric.files.output import check_new
from cnnmetric.images import warping
from cnnmetric.registration.spatial_transform import Jacobian
from cnnmetric.registration.stage import Stage
from cnnmetric.report import facts
from cnnmetric.report import judgement
from cnnmetric.report import pictures
from cnnmetric.report.comparison import Comparison
from cnnmetric.report.page import page
from cnnmetric.report.quality import Quality
from cnnmetric.report.quality import measure
from cnnmetric.report.volumes import Volumes
from cnnmetric.report.volumes import volumes_of
from cnnmetric.types import Image
from cnnmetric.types import Transform

NAME = "report.html"


@dataclass(frozen=True, kw_only=True, eq=False)
class Registration:
    """A finished registration, as far as it is judged and shown.

    Attributes
    ----------
    fixed, moving
        ITK images of float.
    transform
        From fixed to moving points.
    jacobian
        Of the transform.
    stages, log
        What was done.
    comparison
        What was given besides the images.
    """

    fixed: Image
    moving: Image
    transform: Transform
    jacobian: Jacobian
    stages: Sequence[Stage]
    log: Mapping[str, Any]
    comparison: Comparison

    @property
    def before(self) -> Transform | None:
        """The transform that it started from; None for the headers of the images."""
        initial = self.comparison.initial
        if not initial:
            return None
        return warping.composite_transform(initial, self.fixed.GetImageDimension())


def quality_of(registration: Registration) -> Quality:
    """Return the figures of a registration and what is to be said about them."""
    found = measure(
        registration.fixed,
        registration.moving,
        transform=registration.transform,
        before=registration.before,
        stages=registration.stages,
        folded=registration.jacobian.folded,
        comparison=registration.comparison,
    )
    return replace(found, warnings=tuple(judgement.warnings_for(found)))


def place_of(path: Path, *, overwrite: bool) -> Path:
    """Return the file of a page; a folder stands for ``report.html`` in it.

    Raises
    ------
    SettingsError
        If the file exists and is not to be replaced.
    """
    file = path / NAME if path.is_dir() else path
    if file.is_dir():
        msg = f"{file} is a folder; name a file, or the folder that it lies in"
        raise SettingsError(msg)
    check_new(file, overwrite=overwrite)
    return file


def write(registration: Registration, quality: Quality, file: Path) -> None:
    """Write the page, whole or not at all.

    Raises
    ------
    DataError
        If it cannot be written.
    """
    text = page(
        volumes=_volumes(registration, quality),
        quality=quality,
        stages=registration.stages,
        log=registration.log,
        comparison=registration.comparison,
    )
    try:
        with atomic_path(file) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        msg = f"the report cannot be written to {file}: {error.strerror or error}"
        raise DataError(msg) from error


def summary(registration: Registration, quality: Quality) -> str:
    """Return a picture of the images before and after, and the key figures, as HTML."""
    shown = _volumes(registration, quality)
    picture = pictures.as_data_uri(pictures.planes(shown.fixed, shown.before, shown.after))
    seconds = facts.duration(sum(stage.seconds for stage in registration.stages))
    figures = (
        f"metric {quality.before:.3f} → {quality.value:.3f}",
        f"agreement inside {quality.agreement:.0%}",
        f"overlap {quality.overlap:.0%}",
        f"folding {facts.share(quality.folded)}",
        seconds,
    )
    warnings = "".join(f"<li>{escape(text)}</li>" for text in quality.warnings)
    return (
        '<div style="max-width: 900px"><img style="max-width: 100%" alt="Fixed image, moving '
        f'image before and after, checkerboard before and after" src="{picture}">'
        f"<p>{escape('  ·  '.join(figures))}</p>" + (f"<ul>{warnings}</ul>" if warnings else "")
    ) + "</div>"


def _volumes(registration: Registration, quality: Quality) -> Volumes:
    return volumes_of(
        fixed=registration.fixed,
        moving=registration.moving,
        before=registration.before,
        after=registration.transform,
        jacobian=registration.jacobian.determinant,
        dissimilarity=quality.dissimilarity,
        counted=quality.counted,
    )
