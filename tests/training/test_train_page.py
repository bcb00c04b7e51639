# SPDX-License-Identifier: Apache-2.0
"""Every block of code of docs/guide/train.md runs, on small images and with few steps."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from support.training_images import anatomy
from support.training_images import render
from support.training_images import write_image

PAGE = Path(__file__).resolve().parents[2] / "docs" / "guide" / "train.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
SHAPE = (40, 42, 44)
# What makes a run short; of an option that comes twice, the last one counts.
SMALL = """
--steps 2 --crops 1 --crop-edge 27 --validate-every 2 --validation-batches 1
--workers 0 --device cpu --threads 1
"""
SAID = (
    r"^\w+\.onnx: accuracy [\d.]+ on the held-out pair \w+; minimum at zero shift along "
    r"x (yes|no), y (yes|no), z (yes|no) \(curves in \w+\.png\)\nnext: \w+"
)
# Stands for the reader's python, and makes runs short.
PYTHON = f"""#!{sys.executable}
import os, sys
words = sys.argv[1:]
if words[:2] == ["-m", "cnnmetric.train"]:
    words.append("@" + os.environ["SMALL"])
    if "--training-pairs" in words:
        words += ["--training-pairs", "2"]
if words[:2] == ["-m", "cnnmetric.plausibility"]:
    words += ["--points", "3", "--threads", "1"]
os.execv({sys.executable!r}, [{sys.executable!r}, *words])
"""


def write_folder(folder: Path) -> None:
    """Write what the page speaks of: tables, images, IXI's folder and label maps."""
    for number, subject in enumerate("abc"):
        images = render(*[anatomy(number, SHAPE)] * 2)
        (folder / subject).mkdir()
        for modality, image in zip(("CT", "MR"), images, strict=True):
            write_image(folder / subject / f"{modality}.nii.gz", image)
            write_image(folder / f"{modality.lower()}.nii.gz", image)
        for modality, image in zip(("T1", "T2"), images, strict=True):
            place = folder / "IXI" / f"IXI-{modality}"
            place.mkdir(parents=True, exist_ok=True)
            write_image(place / f"IXI00{number}-Guys-000{number}-{modality}.nii.gz", image)
    (folder / "label_maps").mkdir()
    write_image(folder / "label_maps" / "labels.nii.gz", anatomy(5, SHAPE).astype(np.int16))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    write_folder(folder)
    python = folder / "bin" / "python"
    python.parent.mkdir()
    python.write_text(PYTHON, encoding="utf-8")
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    (folder / "small.txt").write_text(SMALL, encoding="utf-8")
    return folder


def run(folder: Path, *command: str) -> str:
    path = os.pathsep.join([str(folder / "bin"), os.environ["PATH"]])
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ
        | {
            "PATH": path,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "SMALL": str(folder / "small.txt"),
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
def test_the_blocks_of_the_page_run_one_after_the_other(folder: Path) -> None:
    tables = [text for kind, text in BLOCKS if kind == "text" and text.startswith("subject,")]
    (table,) = tables
    (folder / "pairs.csv").write_text(table, encoding="utf-8")
    (folder / "images.csv").write_text("subject,T1\na,a/MR.nii.gz\n", encoding="utf-8")
    shown = []
    for kind, text in BLOCKS:
        if "--modalities T1,T2" in text:  # of other modalities than the tutorial's
            (folder / "pairs.csv").write_text(table.replace("CT,MR", "T1,T2"), encoding="utf-8")
        if kind == "bash":
            shown.append(run(folder, "bash", "-e", "-c", text))
        elif kind == "python":
            shown.append(run(folder, "python", "-c", text))
    assert len(shown) >= 6
    models = sorted(path.name for path in folder.glob("*.onnx"))
    assert models == sorted(
        [
            *("all.onnx", "any.onnx", "ctmr.onnx", "ixi.onnx", "mine.onnx", "more.onnx"),
            *(f"without-{subject}.onnx" for subject in "abc"),
        ]
    )
    assert (folder / "out").is_dir()
    assert (folder / "curves" / "plausibility.png").is_file()

    # The page shows what a run says, but for names and numbers.
    (example,) = (text for kind, text in BLOCKS if kind == "text" and "next:" in text)
    for text in (example, shown[0]):
        assert re.search(SAID, text, re.MULTILINE), text
