# SPDX-License-Identifier: Apache-2.0
"""The script for a machine with a GPU, run without one on small images and for a few steps."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import gpu_check
import packed_images
from cnnmetric import DissimilarityNetwork
from cnnmetric.training import checkpoint
from cnnmetric.training.data.pairs import load_pair
from cnnmetric.training.data.pairs import read_pairs
from support.training_images import anatomy
from support.training_images import blobs
from support.training_images import render
from support.training_images import settings
from support.training_images import write_image
from support.training_images import write_pairs

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "gpu_check.py"
# Small, and with the options of the base; descriptors, also without pairs.
VARIANTS = ("base+cross-entropy+graded", "base+k3", "fine+wider", "any-single")


def call(*words: object) -> str:
    command = [sys.executable, str(SCRIPT), *map(str, words)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of packed pairs, made from images."""
    folder = tmp_path_factory.mktemp("packed")
    rows = ["subject,T1,T2"]
    for seed in range(4):
        tissues = anatomy(seed, (50, 52, 54))
        for name, values in zip(("T1", "T2"), render(tissues, tissues), strict=True):
            write_image(folder / f"{seed}_{name}.nii.gz", 1000 * values)
        rows.append(f"s{seed},{seed}_T1.nii.gz,{seed}_T2.nii.gz")
    table = folder / "pairs.csv"
    table.write_text("\n".join(rows) + "\n")
    labels = np.zeros((50, 52, 54), np.int16)
    labels[8:40, 8:40, 8:40] = 2
    labels[16:24, 16:24, 16:24] = 10
    (folder / "maps").mkdir()
    write_image(folder / "maps" / "head.nii.gz", labels)
    call("pack", table, "--out", folder / "gpu", "--label-maps", folder / "maps")
    return folder / "gpu"


@pytest.mark.slow
def test_train_and_export_what_was_packed(packed: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    options = ["--variants", *VARIANTS, "--minutes", 5]
    printed = call("train", packed, "--out", results, *options, "--steps", 4)
    assert "| the faster, 4 networks side by side, each |" in printed
    # Two images of each of four pairs, of which k3 has the first three, and a label map.
    for variant, files in zip(VARIANTS, (8, 6, 9, 9), strict=True):
        saved = torch.load(results / f"{variant}.checkpoint.pt", weights_only=True)
        assert len(saved["progress"]["losses"]) == 4
        assert len(saved["progress"]["hashes"]) == files
        lines = (results / f"{variant}.csv").read_text().splitlines()
        assert [line.split(",")[0] for line in lines] == ["step", "2", "4"]

    # Without one of the subjects.
    less = [*options[:1], "fine", *options[-2:], "--no-measure", "--steps", 2, "--without", "s1"]
    call("train", packed, "--out", tmp_path / "less", *less)
    saved = torch.load(tmp_path / "less" / "fine.checkpoint.pt", weights_only=True)
    assert sorted(saved["progress"]["hashes"])[:3] == ["0_T1.nii.gz", "0_T2.nii.gz", "2_T1.nii.gz"]

    # The same command finds nothing more to do, and leaves the networks as they are.
    call("train", packed, "--out", results, *options, "--steps", 4)
    again = torch.load(results / f"{VARIANTS[0]}.checkpoint.pt", weights_only=True)
    before = torch.load(results / f"{VARIANTS[0]}.checkpoint.pt", weights_only=True)
    assert all(
        torch.equal(value, before["network"][key]) for key, value in again["network"].items()
    )
    assert len(again["progress"]["losses"]) == 4

    model = tmp_path / "model.onnx"
    call("export", results / f"{VARIANTS[0]}.checkpoint.pt", "--out", model)
    network = DissimilarityNetwork(model)
    assert network.modalities == ("T1", "T2")
    block = np.random.default_rng(0).random((17, 17, 17))
    assert np.isfinite(network(block, block)).all()
    record = json.loads(model.with_suffix(".json").read_text())
    assert record["settings"]["steps"] == 4
    assert record["settings"]["near_miss_labels"] == "graded"


@pytest.mark.slow
def test_weights_of_the_second_half_are_averaged(packed: Path, tmp_path: Path) -> None:
    run = gpu_check.Run("base", tmp_path, packed_images.unpack(packed))
    run.plan(8, 1.0)
    seen = []
    while run.left:
        run.start()
        run.finish()
        seen.append(
            {name: item.clone() for name, item in run.objective.network.state_dict().items()}
        )
    assert len(seen) == 4
    run.save_averages()
    found = torch.load(tmp_path / "base-averaged.checkpoint.pt", weights_only=True)["network"]
    for name, value in found.items():
        torch.testing.assert_close(value, (seen[2][name] + seen[3][name]) / 2)
    assert not all(torch.equal(value, seen[3][name]) for name, value in found.items())
    call("export", tmp_path / "base-averaged.checkpoint.pt", "--out", tmp_path / "mean.onnx")
    assert DissimilarityNetwork(tmp_path / "mean.onnx").modalities == ("T1", "T2")


def test_training_needs_no_itk(packed: Path, tmp_path: Path) -> None:
    """Nor the plug-in: a machine with a GPU may have PyTorch alone."""
    code = (
        "import sys, runpy\n"
        "sys.modules['itk'] = None\n"
        f"sys.path.insert(0, {str(SCRIPT.parent)!r})\n"
        f"sys.argv = {[str(SCRIPT), 'train', '--help']!r}\n"
        f"runpy.run_path({str(SCRIPT)!r}, run_name='__main__')\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert "--minutes" in ended.stdout


def test_what_is_beyond_the_second_image_stays_so(tmp_path: Path) -> None:
    """Black there, the network would learn that anatomy belongs to nothing."""
    table = write_pairs(tmp_path, count=1, shape=(14, 15, 16))
    write_image(tmp_path / "0_T2.nii.gz", blobs((14, 15, 8)), spacing=[1.5] * 3)
    chosen = settings(tmp_path, crop_margin=2)
    packed_images.pack(chosen, None, tmp_path / "gpu")
    found = packed_images.unpack(tmp_path / "gpu").pairs[0].images
    (files,) = read_pairs(table, ("T1", "T2"))
    expected = load_pair(files, chosen).images
    assert expected.isnan().any()
    assert torch.equal(found.isnan(), expected.isnan())
    torch.testing.assert_close(found, expected, equal_nan=True, atol=0.5 / 255 + 1e-6, rtol=0)


def test_records_have_the_margin_of_what_was_packed(packed: Path, tmp_path: Path) -> None:
    run = gpu_check.Run("fine", tmp_path, packed_images.unpack(packed))
    assert run.settings.crop_margin == 16
    run.plan(2, 1.0)
    checkpoint.save(run.settings, run.objective.network, run.optimizer, run.progress)
    again = gpu_check.variant_settings("fine", tmp_path)
    assert (again.crop_margin, gpu_check.as_saved(again).crop_margin) == (12, 16)


def test_what_there_is_not_is_named(packed: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "index.json").write_text('{"pairs": [], "label_maps": []}')
    for words, message in (
        (["train", empty, "--out", tmp_path, "--variants", "fine"], "empty holds nothing for it"),
        (["train", tmp_path, "--out", tmp_path], "holds no packed pairs; make it by the command"),
        (["train", packed, "--out", tmp_path, "--variants", "none"], "there is no 'none' in"),
        (["train", packed, "--out", tmp_path, "--without", "s7"], "holds no such subject"),
    ):
        command = [sys.executable, str(SCRIPT), *map(str, words)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ended.returncode == 1
        assert message in ended.stderr
