# SPDX-License-Identifier: Apache-2.0
"""A host program may set a locale with a decimal comma; numbers are read and written as ever."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import itk
import numpy as np
import pytest

import cnnmetric  # noqa: F401 (puts the metric into elastix)
from support.elastix_runs import final_parameters
from support.elastix_runs import parameters
from support.elastix_runs import register

TESTS = Path(__file__).resolve().parents[1]
PROGRAM = """
import locale, sys

if sys.argv[2] == "before":
    locale.setlocale(locale.LC_ALL, "de_DE.UTF-8")
import itk
import numpy as np
import cnnmetric

locale.setlocale(locale.LC_ALL, "de_DE.UTF-8")
assert locale.localeconv()["decimal_point"] == ","

model = sys.argv[1]
network = cnnmetric.DissimilarityNetwork(model, device="cpu")
print("model", network.spacing, *network.quantiles)

sys.path.insert(0, sys.argv[3])
from support.elastix_runs import final_parameters, parameters, register

rng = np.random.default_rng(0)
image = itk.image_from_array(rng.random((40, 40, 40)).astype(np.float32))
metric = cnnmetric.CNNImageToImageMetricv4(model=model, device="cpu", grid_spacing=1.25)
metric.value(image, image, itk.TranslationTransform[itk.D, 3].New())
print(metric.describe())

metric = cnnmetric.MetricOnImages(image, image, model=model, device="cpu", grid_spacing=1.25)
print(metric.describe())
try:
    cnnmetric.MetricOnImages(image, image, model=model, device="cpu", grid_spacing=3.25)
except cnnmetric.MetricError as error:
    print(error)

settings = parameters(model, CNNMetricGridSpacing="1.25", CNNMetricNumberOfThreads="1")
print(final_parameters(register(image, image, settings)))
"""


@pytest.fixture(scope="module")
def german(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return an environment in which de_DE exists."""
    localedef = shutil.which("localedef")
    if localedef is None:
        pytest.skip(
            "needs a locale with a decimal comma, and no localedef is here to make one "
            "(Debian: apt-get install libc-bin)"
        )
    folder = tmp_path_factory.mktemp("locales")
    command = [localedef, "-i", "de_DE", "-f", "UTF-8", str(folder / "de_DE.UTF-8")]
    # It warns, and returns 1, about what this test does not need.
    subprocess.run(command, capture_output=True, check=False)
    if not (folder / "de_DE.UTF-8" / "LC_NUMERIC").exists():
        pytest.skip("localedef lacks the sources of de_DE (Debian: apt-get install locales)")
    return {**os.environ, "LOCPATH": str(folder)}


@pytest.mark.parametrize("when", ["before", pytest.param("after", marks=pytest.mark.slow)])
def test_decimal_comma(when: str, german: dict[str, str], small_model: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(small_model), when, str(TESTS)],
        env=german,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "model 1.0 0.0 1.0"
    assert "grid spacing 1.25 mm" in lines[1]
    assert "grid spacing 1.25 mm" in lines[2]
    assert "grid spacing of 3.25 mm needs 52 mm" in lines[3]

    image = itk.image_from_array(np.random.default_rng(0).random((40, 40, 40)).astype(np.float32))
    settings = parameters(small_model, CNNMetricGridSpacing="1.25", CNNMetricNumberOfThreads="1")
    assert lines[4] == str(final_parameters(register(image, image, settings)))
