# SPDX-License-Identifier: Apache-2.0
"""The files of a run's sources, and what is read from them."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from functools import partial
from pathlib import Path

from tqdm import tqdm

from cnnmetric.training.data.aligned_pair import AlignedPair
from cnnmetric.training.data.label_maps import find_label_maps
from cnnmetric.training.data.label_maps import load_label_map
from cnnmetric.training.data.material import Material
from cnnmetric.training.data.pairs import PairFiles
from cnnmetric.training.data.pairs import read_images
from cnnmetric.training.data.pairs import read_pairs
from cnnmetric.training.data.sources import Kind
from cnnmetric.training.settings import TrainingSettings


@dataclass(frozen=True, kw_only=True)
class MaterialFiles:
    """The files of one source; pairs, or label maps where it is ``synthetic``."""

    kind: Kind
    weight: float = 1.0
    pairs: Sequence[PairFiles] = ()
    label_maps: Sequence[Path] = ()


def find_materials(settings: TrainingSettings) -> list[MaterialFiles]:
    """Look through the sources of a run.

    Raises
    ------
    DataError
        If a table cannot be read, names what does not exist, or a folder has no images.
    """
    found = []
    for source in settings.sources:
        item = MaterialFiles(kind=source.kind, weight=source.weight)
        if source.kind == "synthetic":
            item = replace(item, label_maps=find_label_maps(source.path))
        else:
            read = read_pairs if source.kind == "real" else read_images
            item = replace(item, pairs=read(source.path, settings.modality_names))
        found.append(item)
    return found


def load_material(files: MaterialFiles, load: Callable[[PairFiles], AlignedPair]) -> Material:
    """Read the images of a source, pairs with the function given."""
    progress = partial(tqdm, desc=f"reading {files.kind}", disable=None)
    return Material(
        kind=files.kind,
        weight=files.weight,
        pairs=[load(item) for item in progress(files.pairs, unit="pair")],
        label_maps=[load_label_map(path) for path in progress(files.label_maps, unit="map")],
    )
