# SPDX-License-Identifier: Apache-2.0
"""Every method registers; and what is computed here on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import itk
import numpy as np
import pytest

from cnnmetric.errors import DataError
from cnnmetric.errors import RegistrationError
from cnnmetric.errors import SettingsError
from cnnmetric.evaluation import methods
from cnnmetric.evaluation import names
from cnnmetric.evaluation import presets
from cnnmetric.evaluation.methods.base import Method
from cnnmetric.evaluation.methods.convex_adam import in_mm
from cnnmetric.evaluation.methods.elastix import ParameterFiles
from cnnmetric.evaluation.methods.greedy import Greedy
from cnnmetric.evaluation.methods.mind import NEIGHBOURS
from cnnmetric.evaluation.methods.mind import mind
from cnnmetric.evaluation.methods.program import call
from cnnmetric.evaluation.score import score
from cnnmetric.evaluation.score import score_before
from cnnmetric.images import warping
from cnnmetric.plugin.installation import install_extra
from support.evaluation_subjects import inverted_pair
from support.evaluation_subjects import shifted_pair
from support.evaluation_subjects import write_translation_parameters
from support.metric_images import anatomy
from support.metric_images import empty_image
from support.metric_images import points_of

SHIFT = (4.0, -3.0, 2.0)
QUICK = ("greedy",)


def task_of(pair: Any, folder: Path, **changes: Any) -> methods.Task:
    values: dict[str, Any] = {
        "fixed": pair.fixed,
        "moving": pair.moving,
        "fixed_modality": "T1",
        "moving_modality": "T2",
        "preset": "practical",
        "model": "t1t2",
        "threads": 2,
        "seed": 1,
        "folder": folder,
    }
    return methods.Task(**{**values, **changes})


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[] if n in QUICK else [pytest.mark.slow]) for n in methods.METHODS],
)
def test_brings_a_displaced_subject_back(name: str, tmp_path: Path, difference_model: Path) -> None:
    method = methods.find(name)
    if method.missing():
        pytest.skip(method.missing())
    learned = name.startswith("cnn")
    if learned:
        pair = shifted_pair(SHIFT, modalities=("T1", "T1"))
        task = task_of(pair, tmp_path, model=str(difference_model))
    else:
        pair = inverted_pair(SHIFT, wave=3.0)
        task = task_of(pair, tmp_path)
    found = list(method.register(task))
    assert [alignment.step for alignment in found] == ["linear", "deformable"]
    reached = score_before(pair, None)["dice"]
    for alignment in found:
        after = score(pair, alignment, None)
        assert after["dice"] > reached + 0.08
        assert after["folded"] < 0.01
        assert after["seconds"] > 0
        if not learned:  # the ripple is left to the second step
            reached = after["dice"]


def test_parameter_files_of_the_users_own(tmp_path: Path) -> None:
    file = write_translation_parameters(tmp_path)
    # The second finds nothing left to do; linear steps in a row are judged at their end.
    method = methods.find("mine", [f"mine={file},{file}"])
    pair = shifted_pair(SHIFT)
    (alignment,) = method.register(task_of(pair, tmp_path))
    assert alignment.step == "linear"
    np.testing.assert_allclose(alignment.displacement[32, 35, 32], SHIFT, atol=0.7)


@pytest.mark.parametrize("named", [True, False])
def test_parameter_files_of_the_users_own_get_the_model(
    tmp_path: Path, difference_model: Path, named: bool
) -> None:
    file = write_translation_parameters(tmp_path)
    text = file.read_text(encoding="utf-8")
    text = text.replace("AdvancedMattesMutualInformation", "CNNMetric")
    added = "(CNNMetricNumberOfBlocks 8)\n" + ('(CNNMetricModel "t1t2")\n' if named else "")
    file.write_text(text + added, encoding="utf-8")
    pair = shifted_pair(SHIFT, modalities=("T1", "T1"))
    task = task_of(pair, tmp_path, model=str(difference_model))
    (alignment,) = methods.find("mine", [f"mine={file}"]).register(task)
    np.testing.assert_allclose(alignment.displacement[32, 35, 32], SHIFT, atol=0.7)


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ("mine", "must be a name that is not taken"),
        ("=a.txt", "must be a name that is not taken"),
        ("mi=a.txt", "must be a name that is not taken"),
    ],
)
def test_own_methods_of_another_form(own: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        methods.find("mine", [own])


def test_an_own_parameter_file_that_does_not_exist() -> None:
    with pytest.raises(DataError, match=r"there is no file .*no\.txt"):
        methods.find("mine", ["mine=no.txt"])


def test_a_method_that_does_not_exist() -> None:
    with pytest.raises(SettingsError, match="no method 'elastix'; there are cnn, "):
        methods.find("elastix")


def test_a_method_without_its_package_says_what_to_install() -> None:
    class Missing(Greedy):
        packages = ("picsl_greedy_of_tomorrow",)

    assert Missing.missing() == (
        f"greedy needs picsl_greedy_of_tomorrow. {install_extra('rivals')}"
    )
    assert issubclass(Missing, Method)


def test_a_program_that_fails_says_why() -> None:
    if methods.find("greedy").missing():
        pytest.skip(methods.find("greedy").missing())
    with pytest.raises(
        RegistrationError, match=r"greedy_commands.py ended with status 1: .*rubbish"
    ):
        call("greedy_commands.py", "-d 3 -rubbish", threads=1)


def test_mind_at_one_voxel_as_in_its_definition() -> None:
    image = np.random.default_rng(2).random((9, 8, 7))
    found = mind(image, sigma=0.5)
    z, y, x = 4, 4, 3
    offsets = np.arange(-2, 3)  # SciPy's Gaussian ends at 4 sigma
    kernel = np.exp(-(offsets**2) / (2 * 0.5**2))
    weights = np.einsum("i,j,k->ijk", kernel, kernel, kernel) / kernel.sum() ** 3
    patch = image[z - 2 : z + 3, y - 2 : y + 3, x - 2 : x + 3]
    distances = []
    for dz, dy, dx in NEIGHBOURS:
        other = image[z + dz - 2 : z + dz + 3, y + dy - 2 : y + dy + 3, x + dx - 2 : x + dx + 3]
        distances.append((weights * (patch - other) ** 2).sum())
    expected = np.exp(-np.array(distances) / np.mean(distances))
    np.testing.assert_allclose(found[:, z, y, x], expected / expected.max(), rtol=1e-4)


def test_mind_does_not_depend_on_contrast() -> None:
    image = empty_image((16, 16, 16), spacing=(2.0, 2.0, 2.0), angle=0.0)
    values = anatomy(points_of(image), modality="T1")
    np.testing.assert_allclose(mind(values), mind(500 - 300 * values), atol=2e-3)
    assert np.isfinite(mind(np.zeros((5, 5, 5)))).all()


def test_composition_of_a_step_along_the_grid_with_a_linear_one() -> None:
    fixed = empty_image((20, 22, 24), spacing=(1.0, 0.8, 1.2), angle=0.4)
    points = points_of(fixed)
    matrix = np.array([[0.1, 0.02, 0.0], [0.0, -0.05, 0.03], [0.01, 0.0, 0.04]])
    linear = points @ matrix.T + [1.0, 2.0, -1.0]
    voxels = np.broadcast_to([0.5, -1.0, 2.0], points.shape)  # z, y, x
    step = np.asarray(fixed.GetDirection()) @ (np.array([2.0, -1.0, 0.5]) * [1.0, 0.8, 1.2])
    expected = step + (points + step) @ matrix.T + [1.0, 2.0, -1.0]
    inner = (slice(3, -3),) * 3
    found = warping.composed(in_mm(voxels, fixed), linear, fixed)
    np.testing.assert_allclose(found[inner], expected[inner], atol=1e-6)


def test_control_point_grid_of_the_paper_has_about_1000_points() -> None:
    # An ALBERTs image.
    edges = [100.5, 136.6, 108.2]
    spacing = presets.control_point_spacing(edges, presets.CONTROL_POINTS)
    assert 15.0 < spacing < 17.0
    assert np.prod([edge / spacing + 3 for edge in edges]) == pytest.approx(1000)


def test_presets_differ_in_settings_and_share_the_papers_stages() -> None:
    paper = presets.STAGES["simonovsky2016"]
    assert presets.STAGES["simonovsky2016-short"] == paper
    assert presets.STAGES["practical"][: len(paper)] == paper
    fixed = empty_image((40, 40, 40), spacing=(1.0, 1.0, 1.0), angle=0.0)
    for metric in ("cnn", "mi"):
        for stage in paper:
            found = {
                preset: presets.parameters(preset, metric, stage, fixed).GetParameterMap(0)
                for preset in presets.STAGES
            }
            for name in ("Transform", "Metric", "NumberOfResolutions", "FixedImagePyramid"):
                assert found["practical"][name] == found["simonovsky2016"][name]
            short = dict(found["simonovsky2016-short"])
            assert short.pop("MaximumNumberOfIterations") == ("50",)
            assert short.items() <= dict(found["simonovsky2016"]).items()
            changed = found["simonovsky2016"]
            assert changed["Optimizer"] == ("RegularStepGradientDescent",)
            assert changed["MaximumNumberOfIterations"] == ("500",)
            if metric == "mi":
                assert changed["NumberOfHistogramBins"] == ("75",)
                assert changed["NumberOfSpatialSamples"] == ("200000",)


@pytest.mark.parametrize(
    "name", ["cnn", *(pytest.param(name, marks=pytest.mark.slow) for name in ("mi", "nmi"))]
)
def test_the_papers_preset_runs(
    name: str, tmp_path: Path, difference_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(presets.ITERATIONS, "simonovsky2016", ["15"])
    pair = shifted_pair((2.0, 0.0, 0.0), modalities=("T1", "T1"))
    task = task_of(
        pair,
        tmp_path,
        preset="simonovsky2016",
        model=str(difference_model) if name == "cnn" else "",
    )
    found = list(methods.find(name).register(task))
    before = score_before(pair, None)["dice"]
    assert score(pair, found[-1], None)["dice"] > before + 0.03
    assert itk.array_view_from_image(pair.fixed).shape == found[-1].displacement.shape[:3]


def test_files_of_the_users_own_keep_the_model_that_they_name(tmp_path: Path) -> None:
    named, unnamed, other = (tmp_path / f"{name}.txt" for name in ("named", "unnamed", "other"))
    metric = '(Metric "CNNMetric")\n(CNNMetricBlockSize 27)\n'
    named.write_text(f'{metric}(CNNMetricModel "any" "t1t2-fast")\n')
    unnamed.write_text(metric)
    other.write_text('(Metric "AdvancedMattesMutualInformation")\n')
    method = methods.find("mine", [f"mine={named},{unnamed},{other}"])
    pair = shifted_pair(SHIFT, modalities=("T1", "T2"))
    task = task_of(pair, tmp_path, model="t1t2", fixed_modality="T2")
    assert isinstance(method, ParameterFiles)
    stages = {name: dict(found.GetParameterMap(0)) for name, found in method.stages(task)}
    assert list(stages) == ["named", "unnamed", "other"]
    assert stages["named"]["CNNMetricModel"] == ("any", "t1t2-fast")
    assert stages["unnamed"]["CNNMetricModel"] == ("t1t2",)
    for name in ("named", "unnamed"):
        assert stages[name]["CNNMetricFixedModality"] == ("T2",)
        assert stages[name]["CNNMetricBlockSize"] == ("27",)
    assert not any(name.startswith("CNNMetric") for name in stages["other"])


def test_names_on_the_command_line_are_those_of_the_methods_and_presets() -> None:
    assert tuple(methods.METHODS) == names.METHODS
    assert tuple(presets.STAGES) == names.PRESETS


def test_deeds_names_the_programs_that_it_needs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CNNMETRIC_DEEDSBCV", str(tmp_path))
    message = methods.find("deedsbcv").missing()
    assert "linearBCV and deedsBCV" in message
    assert "set CNNMETRIC_DEEDSBCV to their folder" in message


def test_a_program_of_deeds_that_fails_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    programs, work = tmp_path / "programs", tmp_path / "work"
    programs.mkdir()
    work.mkdir()
    for name in ("linearBCV", "deedsBCV"):
        (programs / name).write_text("#!/bin/sh\necho 'no such image'\nexit 0\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("CNNMETRIC_DEEDSBCV", str(programs))
    task = task_of(inverted_pair(SHIFT, wave=3.0), work)
    with pytest.raises(RegistrationError, match="linearBCV ended with status 0: no such image"):
        next(iter(methods.find("deedsbcv").register(task)))
