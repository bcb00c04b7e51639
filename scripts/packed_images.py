# SPDX-License-Identifier: Apache-2.0
"""Training images in few bytes, to be read where there is no ITK."""

from __future__ import annotations

import json
import lzma
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cnnmetric.errors import DataError
from cnnmetric.training.data.aligned_pair import AlignedPair
from cnnmetric.training.data.material import Material
from cnnmetric.training.settings import TrainingSettings

# Grey levels of packed images: with these they are small enough to be brought along.
LEVELS = 255
# The level of what is beyond the second image's field of view, NaN when it is read.
OUTSIDE = 0xFFFF


def pack(settings: TrainingSettings, label_maps: Path | None, out: Path) -> None:
    """Write the pairs of the settings as they are trained on, and label maps, compressed.

    With them goes the SHA-256 of their files.
    """
    # Where it is called there is ITK.
    from cnnmetric.training.data.label_maps import find_label_maps
    from cnnmetric.training.data.label_maps import load_label_map
    from cnnmetric.training.data.pairs import load_pair
    from cnnmetric.training.data.pairs import read_pairs
    from cnnmetric.training.data.pairs import sha256

    assert settings.pairs is not None
    out.mkdir(parents=True, exist_ok=True)
    index = []
    for number, files in enumerate(read_pairs(settings.pairs, settings.modality_names)):
        pair = load_pair(files, settings)
        levels = _levels(pair.images.numpy())
        _write(out / f"{number}.xz", levels)
        hashes = dict(zip(files.names, map(sha256, files.paths), strict=True))
        about = {"subject": files.subject, "spacing": pair.spacing, "hashes": hashes}
        index.append(about | {"shape": list(levels.shape)})
    maps = []
    for number, path in enumerate(find_label_maps(label_maps) if label_maps else ()):
        labels = load_label_map(path)
        _write(out / f"labels{number}.xz", labels.astype("<u2"))
        maps.append({"hashes": {path.name: sha256(path)}, "shape": list(labels.shape)})
    described = {"pairs": index, "label_maps": maps, "crop_margin": settings.crop_margin}
    (out / "index.json").write_text(json.dumps(described, indent=1))


def _levels(images: NDArray[np.float32]) -> NDArray[np.uint16]:
    levels = np.rint(np.nan_to_num(images) * LEVELS)
    return np.where(np.isnan(images), OUTSIDE, levels).astype(np.uint16)


def _images(levels: NDArray[np.uint16]) -> NDArray[np.float32]:
    return np.where(levels == OUTSIDE, np.float32(np.nan), levels / np.float32(LEVELS))


def _write(path: Path, numbers: NDArray[np.uint16]) -> None:
    """Write numbers below 65,536, low bytes first."""
    planes = (numbers & 255).astype(np.uint8), (numbers >> 8).astype(np.uint8)
    content = b"".join(plane.tobytes() for plane in planes)
    path.write_bytes(lzma.compress(content, preset=3))


def _read(path: Path, shape: Sequence[int]) -> NDArray[np.uint16]:
    content = np.frombuffer(lzma.decompress(path.read_bytes()), np.uint8)
    low, high = content.reshape(2, *shape)
    return np.asarray(low + 256 * high.astype(np.uint16), np.uint16)


@dataclass(frozen=True, kw_only=True)
class Packed:
    """What :func:`pack` has written: pairs, label maps, and the SHA-256 of the files of each.

    The margin is that of `TrainingSettings.crop_margin`, None where it was not noted.
    """

    folder: Path
    pairs: Sequence[AlignedPair]
    label_maps: Sequence[NDArray[np.int16]]
    pair_hashes: Sequence[dict[str, str]]
    label_hashes: Sequence[dict[str, str]]
    crop_margin: int | None = None

    def materials(self, settings: TrainingSettings) -> list[Material]:
        """Return what a run is trained on.

        Raises
        ------
        DataError
            If it was not packed.
        """
        pairs = self.pairs[: settings.training_pairs or None]
        there: dict[str, dict[str, Any]] = {
            "real": {"pairs": pairs},
            "contrast": {"pairs": self._single_images()},
            "synthetic": {"label_maps": self.label_maps},
        }
        found = []
        for source in settings.sources:
            content = there.get(source.kind, {})
            if not any(content.values()):
                msg = (
                    f"--source {source}: {self.folder} holds nothing for it; pack pairs (real) and "
                    "--label-maps (synthetic)"
                )
                raise DataError(msg)
            found.append(Material(kind=source.kind, weight=source.weight, **content))
        return found

    def _single_images(self) -> list[AlignedPair]:
        """Return each image of the pairs once, paired with itself."""
        found = {
            digest: replace(pair, images=pair.images[[channel, channel]])
            for pair, hashes in zip(self.pairs, self.pair_hashes, strict=True)
            for channel, digest in enumerate(hashes.values())
        }
        return list(found.values())

    def hashes(self, settings: TrainingSettings) -> dict[str, str]:
        """Return the SHA-256 of the files that a run is trained on."""
        kinds = {source.kind for source in settings.sources}
        chosen = list(self.pair_hashes[: settings.training_pairs or None])
        if kinds == {"synthetic"}:
            chosen = []
        if "synthetic" in kinds:
            chosen += self.label_hashes
        return {name: digest for item in chosen for name, digest in item.items()}


def unpack(folder: Path, *, without: Sequence[str] = ()) -> Packed:
    """Return what :func:`pack` has written, but for some subjects."""
    if not (folder / "index.json").is_file():
        msg = f"{folder} holds no packed pairs; make it by the command pack"
        raise DataError(msg)
    index = json.loads((folder / "index.json").read_text())
    unknown = set(without).difference(item["subject"] for item in index["pairs"])
    if unknown:
        msg = f"--without {' '.join(sorted(unknown))}: {folder} holds no such subject"
        raise DataError(msg)
    pairs, maps = [], []
    for number, item in enumerate(index["pairs"]):
        if item["subject"] not in without:
            levels = _read(folder / f"{number}.xz", item["shape"])
            images = torch.from_numpy(_images(levels))
            spacing, name = item["spacing"], item["subject"]
            pairs.append(AlignedPair(images=images, spacing=spacing, name=name))
    for number, item in enumerate(index["label_maps"]):
        maps.append(_read(folder / f"labels{number}.xz", item["shape"]).astype(np.int16))
    return Packed(
        folder=folder,
        pairs=pairs,
        label_maps=maps,
        pair_hashes=[item["hashes"] for item in index["pairs"] if item["subject"] not in without],
        label_hashes=[item["hashes"] for item in index["label_maps"]],
        crop_margin=index.get("crop_margin"),
    )
