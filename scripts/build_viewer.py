# SPDX-License-Identifier: Apache-2.0
"""Bundle the viewer of report.html with npm and esbuild: ``python scripts/build_viewer.py``.

Reports work without it, with pictures that do not move. So a machine that lacks npm, or cannot
reach its registry, builds the package all the same, with a warning. Nothing is done where nothing
changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VIEWER = ROOT / "python" / "cnnmetric" / "report" / "viewer"
BUNDLE, LICENCES, STAMP = "viewer.js", "viewer-licences.txt", "viewer.stamp"

_SOURCES = ("package.json", "package-lock.json", "*.js", "niivue-license.txt")
# Of packages that carry no licence text of their own.
_TEXTS = {"@niivue/niivue": "niivue-license.txt"}
_LIMIT = 600  # seconds for npm, which waits long for a network that is not there


class ViewerError(Exception):
    """The viewer was not bundled; the message says why."""


def build(viewer: Path = VIEWER, *, out: Path | None = None) -> Path:
    """Bundle the viewer unless the bundle is that of the sources as they are.

    Parameters
    ----------
    viewer
        Folder of the sources.
    out
        Folder that the bundle lies in; None for the one above the sources.

    Returns
    -------
    Path
        The bundle; the licences of what it holds lie beside it.

    Raises
    ------
    ViewerError
        If npm is missing or fails.
    """
    folder = viewer.parent if out is None else out
    bundle, stamp = folder / BUNDLE, folder / STAMP
    current = fingerprint(viewer)
    made = bundle.exists() and (folder / LICENCES).exists() and stamp.exists()
    if made and stamp.read_text(encoding="utf-8") == current:
        return bundle
    npm = shutil.which("npm")
    if npm is None:
        msg = "npm is not installed (Debian: apt-get install npm)"
        raise ViewerError(msg)
    with tempfile.TemporaryDirectory() as temporary:  # the sources' folder stays clean
        work = Path(temporary)
        for source in sources(viewer):
            shutil.copy(source, work)
        _run([npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"], work)
        esbuild = [
            *(str(work / "node_modules" / ".bin" / "esbuild"), "main.js", f"--outfile={BUNDLE}"),
            *("--bundle", "--minify", "--format=iife", "--target=es2022", "--charset=ascii"),
            *("--legal-comments=none", "--metafile=meta.json", "--log-level=error"),
        ]
        _run(esbuild, work)
        notices = licences(work)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / LICENCES).write_text(notices, encoding="utf-8")
        shutil.copy(work / BUNDLE, bundle)
    stamp.write_text(current, encoding="utf-8")
    return bundle


def build_or_warn(viewer: Path = VIEWER) -> None:
    """Bundle the viewer, or say on standard error why it is missing."""
    try:
        build(viewer)
    except ViewerError as error:
        for name in (BUNDLE, LICENCES, STAMP):  # an old viewer might not fit the page
            (viewer.parent / name).unlink(missing_ok=True)
        print(
            f"warning: the 3D viewer of reports was not built: {error}\n"
            "warning: reports will show pictures that do not move; all else works. Install Node.js "
            "20 or later and build again to have it.",
            file=sys.stderr,
        )


def sources(viewer: Path) -> list[Path]:
    """Return the files that the bundle is made of, without what npm installs."""
    return sorted(file for pattern in _SOURCES for file in viewer.glob(pattern))


def fingerprint(viewer: Path) -> str:
    """Return a checksum of the sources and of this script."""
    found = hashlib.sha256(Path(__file__).read_bytes())
    for source in sources(viewer):
        found.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    return found.hexdigest()


def licences(work: Path) -> str:
    """Return name, version and licence text of every package that the bundle holds."""
    inputs = json.loads((work / "meta.json").read_text(encoding="utf-8"))["inputs"]
    parts = []
    for package in sorted({_package_of(name) for name in inputs} - {""}):
        folder = work / "node_modules" / package
        about = json.loads((folder / "package.json").read_text(encoding="utf-8"))
        texts = [file for file in sorted(folder.iterdir()) if file.stem.lower() == "license"]
        if package in _TEXTS:
            texts = [work / _TEXTS[package]]
        if not texts:
            msg = f"the package {package} has no licence text; name one in scripts/build_viewer.py"
            raise ViewerError(msg)
        text = texts[0].read_text(encoding="utf-8").strip()
        parts.append(f"{package} {about['version']} ({about['license']})\n\n{text}\n")
    return f"\n{'-' * 80}\n\n".join(parts)


def _package_of(name: str) -> str:
    """Return the package that an input of esbuild is from; empty for our own."""
    _, found, after = name.rpartition("node_modules/")
    if not found:
        return ""
    parts = after.split("/")
    return "/".join(parts[: 2 if after.startswith("@") else 1])


def _run(command: list[str], folder: Path) -> None:
    try:
        result = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, timeout=_LIMIT
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        msg = f"{Path(command[0]).name} failed: {error}"
        raise ViewerError(msg) from error
    if result.returncode != 0:
        said = (result.stderr or result.stdout).strip().splitlines()
        msg = f"{Path(command[0]).name} failed: {' '.join(said[:3])[:300]}"
        raise ViewerError(msg)


def main() -> int:
    """Bundle the viewer for a source tree that is used where it lies."""
    try:
        bundle = build()
    except ViewerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{os.path.relpath(bundle)}: {bundle.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
