# SPDX-License-Identifier: Apache-2.0
"""The wheel runs where there is a Python and pip, and neither a compiler nor a checkout."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import itk
import pytest

import build_wheel
from fresh_environment import FreshEnvironment
from support.known_pair import ANGLE
from support.known_pair import SHIFT
from support.known_pair import as_file
from support.known_pair import mean_error
from support.metric_images import moved_subject
from support.metric_images import subject

pytestmark = pytest.mark.slow

ROOT = build_wheel.ROOT
REGISTER = """
import cnnmetric

result = cnnmetric.register("t1.nii.gz", "t2.nii.gz", model="difference.onnx", deformation="rigid")
result.save("out")
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel of this checkout."""
    return build_wheel.build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def environment(
    wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FreshEnvironment]:
    """Return an environment with the wheel, and what its demo needs."""
    folder = tmp_path_factory.mktemp("fresh")
    made = FreshEnvironment(folder)
    made.install(wheel, extras="[demo]")
    yield made
    shutil.rmtree(folder)


def test_the_wheel_is_for_the_systems_of_the_libraries_that_it_is_linked_to(wheel: Path) -> None:
    tag = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    assert re.fullmatch(rf"cnnmetric-[\d.]+-{tag}-{tag}-manylinux_2_28_x86_64.whl", wheel.name)
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        description = archive.read(metadata).decode()
    assert not [name for name in names if name.startswith("cnnmetric.libs/")]
    assert {"cnnmetric/models/t1t2-fine.onnx", "cnnmetric/elastix_params/cnn_bspline.txt"} <= {
        *names
    }
    assert "\n# cnnmetric\n" in description


def test_the_doctor_finds_nothing(environment: FreshEnvironment) -> None:
    report = json.loads(environment.run("python", "-m", "cnnmetric.doctor", "--json"))
    assert report["registration_can_run"]
    assert not [problem for problem in report["problems"] if "GPU" not in problem["what"]]
    assert str(environment.packages) in report["versions"]["cnnmetric"]


def test_two_images_are_registered(environment: FreshEnvironment, difference_model: Path) -> None:
    shutil.copy(difference_model, environment.home / "difference.onnx")
    fixed = subject("T1", size=(44, 48, 40), spacing=(1.1, 1.0, 1.2), angle=0.2)
    as_file(fixed, environment.home / "t1.nii.gz")
    as_file(moved_subject(angle=ANGLE, shift=SHIFT), environment.home / "t2.nii.gz")
    environment.run("python", "-c", REGISTER)
    displacement = itk.imread(str(environment.home / "out" / "displacement.nii.gz"))
    found: Any = SimpleNamespace(displacement=displacement)
    assert mean_error(found, fixed) < 1.0  # of 3 mm


def test_the_demo_draws_its_picture(environment: FreshEnvironment) -> None:
    environment.run("python", "-m", "cnnmetric.demo", "--deformation", "similarity")
    results = json.loads((environment.home / "demo.json").read_text(encoding="utf-8"))["results"]
    assert (environment.home / "demo.png").stat().st_size > 10_000
    assert results[-1]["dice_mean"] > results[0]["dice_mean"]


def test_the_source_distribution_holds_what_a_build_needs(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir"]
    subprocess.run([*command, str(tmp_path), str(ROOT)], check=True, capture_output=True)
    (file,) = tmp_path.glob("cnnmetric-*.tar.gz")
    with tarfile.open(file) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    sources = [
        path.relative_to(ROOT).as_posix()
        for folder in ("cpp", "scripts", "models", "elastix_params", "python")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix not in (".pyc", ".so") and "egg-info" not in str(path)
    ]
    assert len(sources) > 200
    assert not set(sources) - names
