# SPDX-License-Identifier: Apache-2.0
"""What users are told to install can be installed: a file or folder, or packages by name."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from cnnmetric.plugin import installation

PIP = f"{sys.executable} -m pip install"


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the metadata of an installed cnnmetric, in front of the real one."""
    info = tmp_path / "site" / "cnnmetric-9.dist-info"
    info.mkdir(parents=True)
    text = (
        "Metadata-Version: 2.4\nName: cnnmetric\nVersion: 9\nRequires-Dist: numpy\n"
        'Requires-Dist: onnx>=1.17; extra == "train"\nProvides-Extra: train\n'
        'Requires-Dist: torch<3,>=2.6; extra == "train"\n'
        'Requires-Dist: nilearn; extra == "demo"\n'
    )
    (info / "METADATA").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(info.parent)
    return info


def test_the_packages_of_an_extra_are_named(record: Path) -> None:
    wanted = f'Run: {PIP} "onnx>=1.17" "torch<3,>=2.6"'
    assert installation.install_extra("train") == wanted


@pytest.mark.parametrize("extra", ["train", "demo", "evaluate", "rivals"])
def test_what_an_extra_of_this_package_needs_is_known(extra: str) -> None:
    sentence = installation.install_extra(extra)
    assert sentence.startswith(f'Run: {PIP} "')
    assert "cnnmetric" not in sentence.removeprefix(f"Run: {PIP}")


def test_without_metadata_the_checkout_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    assert installation.install_extra("train").endswith('pip install ".[train]"')
    assert "FILE (the wheel of cnnmetric" in installation.reinstall()


def test_the_wheel_or_folder_that_it_came_from_is_installed_again(
    record: Path, tmp_path: Path
) -> None:
    wheel = tmp_path / "a folder" / "cnnmetric-9.whl"
    wheel.parent.mkdir()
    wheel.touch()
    origin = json.dumps({"url": wheel.as_uri()})
    (record / "direct_url.json").write_text(origin, encoding="utf-8")
    command = f"{PIP} --force-reinstall --no-deps"
    assert installation.reinstall() == f'Run: {command} "{wheel}"'

    wheel.unlink()
    assert installation.reinstall().startswith(f"Run: {command} FILE (the wheel")
