# SPDX-License-Identifier: Apache-2.0
"""Prepared images on disk: the same run, in less memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cnnmetric.errors import DataError
from cnnmetric.training.data.cache import cached_pair
from cnnmetric.training.data.pairs import load_pair
from cnnmetric.training.data.pairs import read_pairs
from cnnmetric.training.loop import train
from support.training_images import blobs
from support.training_images import hashes
from support.training_images import settings
from support.training_images import write_image
from support.training_images import write_pairs

BOTH = ("T1", "T2")


@pytest.mark.parametrize("architecture", ["two-channel", "self-similarity"])
def test_a_run_from_the_cache_is_the_same(tmp_path: Path, architecture: str) -> None:
    write_pairs(tmp_path, shape=(30, 31, 32))
    # Half of the second image is beyond the field of view.
    write_image(tmp_path / "1_T2.nii.gz", blobs((30, 31, 20)), spacing=[1.5] * 3)
    values: dict[str, Any] = {"architecture": architecture, "steps": 3}
    if architecture == "self-similarity":
        values |= {"crops": 2, "crop_edge": 27}
        values |= {"channels": (8, 8), "kernels": (3, 1), "strides": (2, 1)}
    plain = train(settings(tmp_path, **values))
    for _ in range(2):  # made, then found
        cached = train(settings(tmp_path, **values, cache=tmp_path / "cache"))
        assert cached.losses == plain.losses
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 2


def test_other_images_and_other_settings_are_prepared_anew(tmp_path: Path) -> None:
    table = write_pairs(tmp_path, count=1)
    cache = tmp_path / "cache"
    (files,) = read_pairs(table, BOTH)
    first = cached_pair(files, settings(tmp_path, cache=cache), hashes([files]))
    assert isinstance(np.load(next(cache.glob("*.npy")), mmap_mode="r"), np.memmap)
    other = cached_pair(files, settings(tmp_path, cache=cache, upper_quantile=0.9), hashes([files]))
    assert not torch.equal(first.images, other.images)
    write_image(files.paths[0], blobs((14, 15, 16), seed=5), spacing=[1.5] * 3)
    changed = cached_pair(files, settings(tmp_path, cache=cache), hashes([files]))
    expected = load_pair(files, settings(tmp_path))
    torch.testing.assert_close(changed.images, expected.images, equal_nan=True)
    assert (changed.spacing, changed.name) == (expected.spacing, expected.name)
    assert len(list(cache.glob("*.npy"))) == 3


def test_a_file_that_was_not_finished_is_not_taken(tmp_path: Path) -> None:
    table = write_pairs(tmp_path, count=1)
    (files,) = read_pairs(table, BOTH)
    chosen = settings(tmp_path, cache=tmp_path / "cache")
    whole = cached_pair(files, chosen, hashes([files])).images.clone()
    (about,) = (tmp_path / "cache").glob("*.json")
    about.unlink()
    about.with_suffix(".npy").write_bytes(b"half")
    torch.testing.assert_close(cached_pair(files, chosen, hashes([files])).images, whole)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    table = write_pairs(tmp_path, count=1)
    (tmp_path / "cache").write_text("a file")
    (files,) = read_pairs(table, BOTH)
    with pytest.raises(DataError, match="cannot write prepared images to --cache"):
        cached_pair(files, settings(tmp_path, cache=tmp_path / "cache"), hashes([files]))


READ = """
import resource, sys
from pathlib import Path
from cnnmetric.training.data.cache import cached_pair
from cnnmetric.training.data.pairs import read_pairs
from support.training_images import hashes
from support.training_images import settings

folder = Path(sys.argv[1])
chosen = settings(folder, cache=folder / "cache")
files = read_pairs(folder / "pairs.csv", ("T1", "T2"))
digests = hashes(files)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
pairs = [cached_pair(item, chosen, digests) for item in files]
values = [float(pair.images[0, 5, 5, 5]) for pair in pairs]
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_images_of_the_cache_are_not_held_in_memory(tmp_path: Path) -> None:
    write_pairs(tmp_path, count=6, shape=(100, 110, 120))
    (files, *_) = all_files = read_pairs(tmp_path / "pairs.csv", BOTH)
    digests = hashes(all_files)
    for item in all_files:
        cached_pair(item, settings(tmp_path, cache=tmp_path / "cache"), digests)
    one = load_pair(files, settings(tmp_path)).images.nbytes / 1024
    path = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", READ, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    # Kilobytes on Linux; six pairs would be six times as many.
    assert int(done.stdout) < 1.5 * one
