# SPDX-License-Identifier: Apache-2.0
"""Bundling the viewer of reports: only when needed, and no reason to fail a build."""

from __future__ import annotations

import json
import os
import re
import shutil
import tomllib
import zipfile
from pathlib import Path

import pytest

import build_viewer
import build_wheel


@pytest.fixture
def viewer(tmp_path: Path) -> Path:
    """Return a copy of the viewer's sources, the folder of the bundle above them."""
    folder = tmp_path / "report" / "viewer"
    folder.mkdir(parents=True)
    for source in build_viewer.sources(build_viewer.VIEWER):
        shutil.copy(source, folder)
    return folder


def test_the_lock_file_names_no_host() -> None:
    lock = json.loads((build_viewer.VIEWER / "package-lock.json").read_text(encoding="utf-8"))
    packages = lock["packages"]
    assert packages["node_modules/@niivue/niivue"]["version"]
    assert not [name for name, package in packages.items() if "resolved" in package]
    pinned = json.loads((build_viewer.VIEWER / "package.json").read_text(encoding="utf-8"))
    versions = [*pinned["dependencies"].values(), *pinned["devDependencies"].values()]
    assert all(version[0].isdigit() for version in versions)


def test_without_npm_the_build_goes_on_with_a_warning(
    viewer: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    old = viewer.parent / build_viewer.BUNDLE
    old.write_text("of other sources")
    with pytest.raises(build_viewer.ViewerError, match="npm is not installed"):
        build_viewer.build(viewer)
    build_viewer.build_or_warn(viewer)
    said = capsys.readouterr().err
    assert "warning: the 3D viewer of reports was not built: npm is not installed" in said
    assert not old.exists()


def test_a_failing_npm_is_named(
    viewer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho 'no network here' >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(build_viewer.ViewerError, match="npm failed: no network here"):
        build_viewer.build(viewer)


def test_nothing_is_done_where_nothing_changed(
    viewer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = viewer.parent
    (folder / build_viewer.BUNDLE).write_text("viewer")
    (folder / build_viewer.LICENCES).write_text("licences")
    (folder / build_viewer.STAMP).write_text(build_viewer.fingerprint(viewer))
    monkeypatch.setenv("PATH", os.devnull)  # npm would be missed
    assert build_viewer.build(viewer).read_text() == "viewer"
    (viewer / "main.js").write_text("changed")
    with pytest.raises(build_viewer.ViewerError):
        build_viewer.build(viewer)


def test_wheels_for_others_hold_the_viewer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    repaired: list[Path] = []
    monkeypatch.setattr(build_wheel, "repair", lambda wheel, _: repaired.append(wheel))
    wheel = tmp_path / "cnnmetric-1-cp311-cp311-linux_x86_64.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("cnnmetric/report/viewer-licences.txt", "licences")
    command = ["--wheel", str(wheel), "--output", str(tmp_path)]
    assert build_wheel.main([*command, "--with-viewer"]) == 1
    assert "has no cnnmetric/report/viewer.js; run python" in capsys.readouterr().err
    assert not repaired
    assert build_wheel.main(command) == 0  # a machine without npm makes wheels, too
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("cnnmetric/report/viewer.js", "viewer")
    assert build_wheel.main([*command, "--with-viewer"]) == 0
    assert repaired == [wheel, wheel]


def test_the_viewer_is_bundled_before_wheels_are_built_without_npm() -> None:
    root = build_viewer.ROOT
    workflow = (root / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    commands = re.findall(r"- run: (.*)", workflow[workflow.index("\n  wheels:") :])
    first = commands.index("python scripts/build_viewer.py")
    assert "cibuildwheel --output-dir dist" in commands[first:]
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    assert " --with-viewer " in settings["cibuildwheel"]["linux"]["repair-wheel-command"]


@pytest.mark.slow
def test_the_bundle_is_made_with_its_licences(viewer: Path) -> None:
    if shutil.which("npm") is None:
        pytest.skip(
            "npm bundles the viewer and is not here (Debian: apt-get install npm); what the build "
            "and a report do without it is tested above and in tests/registration/test_report.py"
        )
    bundle = build_viewer.build(viewer)
    assert bundle.stat().st_size > 1e6
    assert "</script" not in bundle.read_text(encoding="utf-8")
    notices = (bundle.parent / build_viewer.LICENCES).read_text(encoding="utf-8")
    assert "@niivue/niivue" in notices
    assert notices.count("Copyright") >= 10
    assert not (viewer / "node_modules").exists()
