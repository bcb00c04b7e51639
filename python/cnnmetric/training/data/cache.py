# SPDX-License-Identifier: Apache-2.0
"""Prepared pairs on disk, mapped into memory, so that more of them fit than memory holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from cnnmetric.errors import DataError
from cnnmetric.files.output import atomic_path
from cnnmetric.training.data.aligned_pair import AlignedPair
from cnnmetric.training.data.pairs import PairFiles
from cnnmetric.training.data.pairs import load_pair
from cnnmetric.training.settings import TrainingSettings

# What the prepared images depend on, besides the files.
_SETTINGS = ("dimension", "lower_quantile", "upper_quantile", "crop_margin")


def cached_pair(
    files: PairFiles, settings: TrainingSettings, digests: Mapping[Path, str]
) -> AlignedPair:
    """Return a pair whose images are mapped from a file of the cache, which is made if needed.

    The operating system reads the parts that patches are taken from, and forgets them again when
    memory is short. The images are those of `pairs.load_pair`, bit for bit.

    Parameters
    ----------
    files
        The pair.
    settings
        Of the run; ``cache`` is the folder.
    digests
        SHA-256 of the files, of `pairs.sha256`: changed images are prepared anew.

    Raises
    ------
    DataError
        As `pairs.load_pair`, or if the folder cannot be written.
    """
    assert settings.cache is not None
    record = settings.as_record()
    content = [*(digests[path] for path in files.paths), *(record[name] for name in _SETTINGS)]
    key = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]
    images, about = (settings.cache / f"{key}.{suffix}" for suffix in ("npy", "json"))
    if not about.is_file():
        pair = load_pair(files, settings)
        try:
            with atomic_path(images) as temporary, temporary.open("wb") as stream:
                np.save(stream, pair.images.numpy())
            # Written last: who finds it finds the images complete.
            with atomic_path(about) as temporary:
                temporary.write_text(json.dumps({"spacing": pair.spacing}))
        except OSError as error:
            msg = f"cannot write prepared images to --cache {settings.cache}: {error}"
            raise DataError(msg) from error
    found = json.loads(about.read_text(encoding="utf-8"))
    # "c" allows writing to memory, which PyTorch insists on, and never writes to the file.
    mapped = torch.from_numpy(np.load(images, mmap_mode="c"))
    return AlignedPair(
        images=mapped, spacing=found["spacing"], name=files.names[0], label=files.label
    )
