# SPDX-License-Identifier: Apache-2.0
"""The page that shows a registration: one file of HTML that loads nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from cnnmetric.files.output import json_text
from cnnmetric.registration.stage import Stage
from cnnmetric.report import charts
from cnnmetric.report import pictures
from cnnmetric.report import volumes as shown
from cnnmetric.report.comparison import Comparison
from cnnmetric.report.facts import details
from cnnmetric.report.facts import figures
from cnnmetric.report.facts import summary
from cnnmetric.report.quality import Quality
from cnnmetric.report.volumes import Volumes

_FOLDER = Path(__file__).resolve().parent
_BUNDLE, _LICENCES = "viewer.js", "viewer-licences.txt"
_NAMES = ("fixed", "before", "after", "jacobian", "dissimilarity")
_MISSING = (
    " The interactive viewer is missing in this installation of cnnmetric, which was built without "
    "Node.js; these pictures are all there is."
)


def page(
    *,
    volumes: Volumes,
    quality: Quality,
    stages: Sequence[Stage],
    log: Mapping[str, Any],
    comparison: Comparison,
    folder: Path = _FOLDER,
) -> str:
    """Return the page.

    Parameters
    ----------
    volumes
        What is shown.
    quality, stages, log, comparison
        Of the registration.
    folder
        Where the bundle of the viewer lies, if there is one.
    """
    bundle, licences = folder / _BUNDLE, folder / _LICENCES
    live = bundle.exists() and licences.exists()
    flat = volumes.fixed.GetImageDimension() == 2
    template = Template((_FOLDER / "page.html").read_text(encoding="utf-8"))
    names = comparison.moving_name or "moving image", comparison.fixed_name or "fixed image"
    return template.substitute(
        version=escape(str(log["versions"]["cnnmetric"])),
        title=escape(f"{names[0]} onto {names[1]}"),
        heading=f'{escape(names[0])} <span class="onto">onto</span> {escape(names[1])}',
        style=(_FOLDER / "page.css").read_text(encoding="utf-8"),
        summary=escape(summary(stages, log, comparison)),
        verdict="bad" if quality.warnings else "good",
        warnings=_warnings(quality),
        still=pictures.as_data_uri(pictures.planes(volumes.fixed, volumes.before, volumes.after)),
        planes="one plane" if flat else "three planes",
        orientation="" if flat else "The patient's left is on the left.",
        missing="" if live else _MISSING,
        figures=figures(quality),
        convergence=charts.convergence(stages),
        neighbourhood=charts.neighbourhood(quality),
        details=details(stages, log, quality),
        footer=_footer(log, live=live),
        licences=_licences(licences) if live else "",
        data=_for_script(_data(volumes, flat=flat)) if live else "{}",
        volumes=_volumes(volumes) if live else "",
        script=f"<script>{bundle.read_text(encoding='utf-8')}</script>" if live else "",
    )


def _warnings(quality: Quality) -> str:
    if not quality.warnings:
        return "<p>Nothing looks wrong. Please look at the images all the same.</p>"
    lines = "".join(f"<li>{escape(text)}</li>" for text in quality.warnings)
    return f"<h2>Please check this registration</h2><ul>{lines}</ul>"


def _data(volumes: Volumes, *, flat: bool) -> dict[str, Any]:
    low, high = volumes.dissimilarity_range
    factor = 2**shown.JACOBIAN_RANGE
    return {
        "flat": flat,
        "maps": {
            "jacobian": {
                "title": "Volume change",
                "low": f"1/{factor:g}",
                "high": f"{factor:g} times",
                "mark": "folding",
            },
            "dissimilarity": {
                "title": "Dissimilarity",
                "low": f"{low:.2f}",
                "high": f"{high:.2f}, less alike",
            },
        },
    }


def _volumes(volumes: Volumes) -> str:
    return "\n".join(
        f'<script type="text/plain" id="volume-{name}">'
        f"{shown.as_base64(getattr(volumes, name))}</script>"
        for name in _NAMES
    )


def _for_script(value: Any) -> str:
    """Return JSON that cannot end the script element that it stands in."""
    return json_text(value).replace("<", "\\u003c").replace("&", "\\u0026")


def _footer(log: Mapping[str, Any], *, live: bool) -> str:
    made = f"Made by cnnmetric {log['versions']['cnnmetric']}, {log['finished']}."
    viewer = (
        " The viewer is NiiVue (BSD-2-Clause), in this file with the packages that it needs." * live
    )
    return escape(made + viewer + " This file is complete: it loads nothing from elsewhere.")


def _licences(file: Path) -> str:
    text = escape(file.read_text(encoding="utf-8"))
    title = "Licences of what the viewer is made of"
    return f"<details><summary>{title}</summary><pre>{text}</pre></details>"
