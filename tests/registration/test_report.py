# SPDX-License-Identifier: Apache-2.0
"""The page that shows a registration: complete, safe, offline, and of use without its viewer."""

from __future__ import annotations

import base64
import gzip
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import itk
import nibabel
import numpy as np
import pytest

import cnnmetric
from cnnmetric.errors import DataError
from cnnmetric.errors import SettingsError
from cnnmetric.images.arrays import image_like
from cnnmetric.registration.result import RegistrationResult
from cnnmetric.report import charts
from cnnmetric.report import facts
from cnnmetric.report import page as pages
from cnnmetric.report import pictures
from cnnmetric.report.volumes import FOLDED
from cnnmetric.report.volumes import as_base64
from cnnmetric.report.volumes import volumes_of
from support.metric_images import points_of
from support.metric_images import subject
from support.metric_images import write_difference_model

HOSTILE = '</script><img src=x onerror="alert(1)">&.nii.gz'
VOLUMES = {"fixed", "before", "after", "jacobian", "dissimilarity"}


class Page(HTMLParser):
    """What a browser sees of a page: elements, and text that is no script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.contents: dict[str, str] = {}
        self.words = ""
        self._inside, self._id = "", ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._inside, self._id = tag, dict(attrs).get("id") or tag

    def handle_endtag(self, tag: str) -> None:
        if tag == self._inside:
            self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.contents[self._id] = self.contents.get(self._id, "") + data
        else:
            self.words += data


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a stand-in for the viewer, which these tests do not run."""
    folder = tmp_path_factory.mktemp("bundle")
    (folder / "viewer.js").write_text("/* viewer */")
    (folder / "viewer-licences.txt").write_text("@niivue/niivue 1 (BSD-2-Clause)\n\n<text>\n")
    return folder


def page_of(result: RegistrationResult, folder: Path) -> str:
    assert result.comparison is not None
    quality = result.quality
    return pages.page(
        volumes=volumes_of(
            fixed=result.target,
            moving=result.source,
            before=None,
            after=result.transform,
            jacobian=result.jacobian().determinant,
            dissimilarity=quality.dissimilarity,
            counted=quality.counted,
        ),
        quality=quality,
        stages=result.stages,
        log=result.log,
        comparison=result.comparison,
        folder=folder,
    )


@pytest.fixture(scope="module")
def found(rigid: RegistrationResult, bundle: Path) -> Page:
    return Page(page_of(rigid, bundle))


def test_the_page_tells_what_was_done(found: Page, rigid: RegistrationResult) -> None:
    for text in ("moving image onto fixed image", "rigid transform", "5.3.1", "Agreement inside"):
        assert text in found.words
    for warning in rigid.quality.warnings:
        assert warning in found.words
    assert f"{rigid.quality.before:.3f} → {rigid.quality.value:.3f}" in found.words
    assert len([tag for tag, _ in found.elements if tag == "svg"]) == 2
    assert "BSD-2-Clause" in found.words


def test_a_fit_that_only_the_deformation_made_is_marked(rigid: RegistrationResult) -> None:
    quality = replace(rigid.quality, agreement=0.9, linear_agreement=0.9)
    assert "figure off" not in facts.figures(quality)
    hidden = facts.figures(replace(quality, linear_agreement=0.55))
    assert "50% is chance; before the deformation 55%" in hidden
    assert hidden.count("figure off") == 1


@pytest.mark.parametrize(
    ("given", "of_the_model", "words"),
    [
        ("", "T1", "model x, fixed image T1  ·"),
        ("FLAIR", "any", "model x, fixed image FLAIR  ·"),
        ("", "any", "model x  ·"),
    ],
)
def test_the_fixed_image_is_called_what_is_known_of_it(
    given: str, of_the_model: str, words: str, rigid: RegistrationResult
) -> None:
    assert rigid.comparison is not None
    comparison = replace(rigid.comparison, model="x", fixed_modality=of_the_model)
    log = {**rigid.log, "settings": {**rigid.log["settings"], "fixed_modality": given}}
    assert words in facts.summary(rigid.stages, log, comparison)


@pytest.mark.parametrize(
    ("deformation", "given", "text"),
    [("field", None, "chosen"), ("field", 2.0, "2 voxels"), ("affine", None, None)],
)
def test_the_stiffness_of_a_field_is_told(
    deformation: str, given: float | None, text: str | None, rigid: RegistrationResult
) -> None:
    of_field = {"deformation": deformation, "field_smoothing": given}
    log = {**rigid.log, "settings": {**rigid.log["settings"], **of_field}}
    found = re.search(
        "<th>field smoothing</th><td>(.*?)</td>", facts.details(rigid.stages, log, rigid.quality)
    )
    assert (found[1] if found else None) == text


def test_the_page_loads_nothing(found: Page) -> None:
    addresses = [
        value or ""
        for _, attributes in found.elements
        for name, value in attributes.items()
        if name in ("src", "href", "srcset", "data", "action")
    ]
    assert addresses
    assert all(address.startswith("data:") for address in addresses)
    assert "url(" not in found.contents["style"]
    policy = next(a["content"] or "" for _, a in found.elements if "http-equiv" in a)
    assert policy.startswith("default-src 'none';")
    assert "http" not in policy


def test_volumes_are_nifti_in_the_place_of_the_fixed_image(
    found: Page, rigid: RegistrationResult, tmp_path: Path
) -> None:
    assert {name[7:] for name in found.contents if name.startswith("volume-")} == VOLUMES
    images = {}
    for name in VOLUMES:
        file = tmp_path / f"{name}.nii"
        file.write_bytes(gzip.decompress(base64.b64decode(found.contents[f"volume-{name}"])))
        images[name] = nibabel.load(file)
    fixed = rigid.target
    for name in VOLUMES - {"dissimilarity"}:
        assert images[name].shape == tuple(itk.size(fixed))
        assert images[name].get_data_dtype() == np.uint8
        # nibabel's axes point to the right and to the front, ITK's to the left and to the back.
        here = images[name].affine @ [10, 12, 7, 1]
        expected = np.array(fixed.TransformIndexToPhysicalPoint([10, 12, 7])) * [-1, -1, 1]
        np.testing.assert_allclose(here[:3], expected, atol=1e-3)
    array = {name: np.asarray(image.dataobj).T for name, image in images.items()}
    truth = itk.array_view_from_image(fixed)
    assert np.corrcoef(array["fixed"].ravel(), truth.ravel())[0, 1] > 0.999
    apart = {
        name: float(np.abs(array[name].astype(float) - array["fixed"]).mean())
        for name in ("before", "after")
    }
    assert apart["after"] < 0.5 * apart["before"]
    assert set(np.unique(array["jacobian"])) <= set(range(126, 131))
    json.loads(found.contents["report-data"])


def test_hostile_names_are_text(rigid: RegistrationResult, bundle: Path) -> None:
    assert rigid.comparison is not None
    hostile = replace(
        rigid,
        comparison=replace(rigid.comparison, fixed_name=HOSTILE, moving_name=HOSTILE),
        log={
            **rigid.log,
            "notes": [HOSTILE],
            "settings": {**rigid.log["settings"], "model": HOSTILE},
        },
    )
    hostile.__dict__["quality"] = replace(rigid.quality, warnings=(HOSTILE,))
    found = Page(page_of(hostile, bundle))
    plain = Page(page_of(rigid, bundle))
    count = len([tag for tag, _ in plain.elements if tag == "img"])
    assert len([tag for tag, _ in found.elements if tag == "img"]) == count
    assert found.words.count(HOSTILE) >= 5
    assert not any("onerror" in attributes for _, attributes in found.elements)


def test_without_the_viewer_there_are_pictures(rigid: RegistrationResult, tmp_path: Path) -> None:
    text = page_of(rigid, tmp_path)
    found = Page(text)
    assert "The interactive viewer is missing in this installation" in found.words
    assert "NiiVue" not in found.words
    assert not {name for name in found.contents if name.startswith("volume-")}
    (picture,) = [attributes for tag, attributes in found.elements if tag == "img"]
    png = base64.b64decode((picture["src"] or "").partition(",")[2])
    assert png.startswith(b"\x89PNG")
    assert len(text) < 1e6


def test_report_writes_one_file(rigid: RegistrationResult, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("old")
    file = rigid.report(tmp_path, overwrite=True)
    assert file == tmp_path / "report.html"
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert file.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    with pytest.raises(SettingsError, match=r"report\.html exists; .* overwrite=True"):
        rigid.report(file)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="the report cannot be written to"):
        rigid.report(tmp_path / "file" / "report.html")


def test_a_notebook_shows_picture_and_figures(rigid: RegistrationResult) -> None:
    found = Page(rigid._repr_html_())
    assert not found.contents  # no script
    assert [tag for tag, _ in found.elements].count("img") == 1
    assert f"agreement inside {rigid.quality.agreement:.0%}" in found.words
    assert rigid.quality.warnings[0] in found.words


def test_the_patients_left_is_on_the_left_of_pictures(fixed: Any) -> None:
    left = points_of(fixed)[..., 0] > 0  # ITK's x grows to the patient's left
    image = image_like(np.where(left, 200, 60).astype(np.uint8), fixed)
    picture = pictures.planes(image, image, image)[..., 0]
    axial = picture[: picture.shape[0] // 3, : picture.shape[1] // 5]
    columns = np.arange(axial.shape[1])
    bright, dark = (axial == 200).sum(axis=0), (axial == 60).sum(axis=0)
    assert np.average(columns, weights=bright) < np.average(columns, weights=dark) - 40


def test_folding_is_marked(fixed: Any, rigid: RegistrationResult) -> None:
    determinant = np.ones(itk.array_view_from_image(fixed).shape, dtype=np.float32)
    determinant[20, 22, 24], determinant[20, 26, 24] = -0.5, 2.0
    quality = rigid.quality
    shown = volumes_of(
        fixed=fixed,
        moving=rigid.source,
        before=None,
        after=rigid.transform,
        jacobian=image_like(determinant, fixed),
        dissimilarity=quality.dissimilarity,
        counted=quality.counted,
    )
    found = itk.array_view_from_image(shown.jacobian)
    assert found[20, 22, 24] == FOLDED
    assert found[20, 26, 24] == FOLDED - 2
    assert (found == FOLDED).sum() == 1


def test_2d_images_have_a_report(tmp_path: Path) -> None:
    model = write_difference_model(tmp_path / "flat.onnx", dimension=2)
    image = subject("T1", size=(64, 60), spacing=(1.0, 1.0), angle=0.1)
    result = cnnmetric.register(image, image, model=model, deformation="rigid", threads=1)
    assert result.quality.value < 0.05
    assert len(result.quality.displaced) == 8
    text = result.report(tmp_path / "flat.html").read_text(encoding="utf-8")
    assert "three planes" not in text
    volume = nibabel.Nifti1Image.from_bytes(
        gzip.decompress(
            base64.b64decode(as_base64(image_like(np.zeros((60, 64), np.uint8), image)))
        )
    )
    assert volume.shape == (64, 60, 1)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-0.83, -0.36), (-12.0, 3000.0)])
def test_ticks_are_few_and_round(low: float, high: float) -> None:
    found = charts.ticks(low, high)
    assert 2 <= len(found) <= 6
    assert all(low <= value <= high and len(f"{value:g}") <= 6 for value in found)


def test_a_long_curve_is_thinned_but_keeps_its_end() -> None:
    line = [(float(i), 0.0) for i in range(5001)]
    found = charts.thinned(line)
    assert len(found) < 500
    assert (found[0], found[-1]) == (line[0], line[-1])


def test_the_template_has_no_place_left_over(found: Page) -> None:
    assert not re.search(r"\$\w", found.words)
