# SPDX-License-Identifier: Apache-2.0
"""Model files: damaged, of others, and with metadata and graphs that lie."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from typing import Literal

import numpy as np
import onnx

import cnnmetric
from fuzz import graphs
from fuzz.oracles import BrokenRuleError
from fuzz.oracles import check_same
from fuzz.pictures import pair
from fuzz.pictures import texture
from fuzz.trial import Materials
from fuzz.trial import Random
from fuzz.trial import Trial
from fuzz.trial import new_folder
from fuzz.trial import one_of
from fuzz.trial import shown
from support.elastix_runs import final_parameters
from support.elastix_runs import parameters
from support.elastix_runs import register

_METADATA = {
    "format_version": ("", "0", "2", "1.0", "-1", "99999999999999999999", "x"),
    "dimension": ("", "0", "1", "2", "4", "-3", "3.5", "x"),
    "receptive_field": ("", "0", "-1", "1", "13", "18", "21", "1000000", "2147483648", "1e3"),
    "stride": ("", "0", "-4", "1", "3", "5", "8", "1000000", "99999999999", "\xe9"),
    "spacing": ("", "0", "-1", "nan", "inf", "1e-300", "1e300", "1e-9", "0.5", "2,0"),
    "modalities": ("", ",", "T1", "T1,T2,T3", "T1,T1", "any,any", "any", "a" * 999, "\t,\n"),
    "lower_quantile": ("", "-0.1", "1", "nan", "0.5", "x", "1e-300"),
    "upper_quantile": ("", "0", "1.1", "nan", "inf", "0.5", "x"),
    "sign": ("", "similarity", "Dissimilarity"),
    "checksum": ("", "0", "ffffffff", "x" * 64),
    "symmetric": ("", "true", "false", "x"),
}


def trial(random: Random, materials: Materials) -> Trial:
    """Return a use of a model that was changed."""
    how = one_of(random, list(_CHANGES))
    content, what, sealed = _CHANGES[how](random, materials.small.read_bytes())
    use = one_of(random, (*_USES, "network"))
    name = one_of(random, ("m.onnx", "m.onnx", "m", "\xe9.onnx", "m n.onnx", "%s.onnx"))

    def run() -> Any:
        file = new_folder() / name
        file.write_bytes(content)
        found = _USES[use](file)
        if sealed:
            if isinstance(found, np.ndarray):
                check_same("a changed file is refused or as good", _network(materials.small), found)
            elif not np.allclose(found, _USES[use](materials.small), atol=1e-4):
                raise BrokenRuleError("a changed file is taken and gives something else")
        return found

    expected: Literal["refusal", ""] = "refusal" if how in ("truncated", "other file") else ""
    return Trial(what=f"{use} {name!a} {how}: {what}", run=run, expected=expected)


# --- changes: the content, what was done, and whether the checksum is there still ---

Change = Callable[[Random, bytes], tuple[bytes, str, bool]]


def _flipped(random: Random, content: bytes) -> tuple[bytes, str, bool]:
    number = one_of(random, (1, 1, 2, 8))
    changed, places = _flip(random, content, number)
    return changed, f"bits {places}", True


def _flip(random: Random, content: bytes, number: int) -> tuple[bytes, list[int]]:
    changed = bytearray(content)
    places = [int(place) for place in random.integers(0, 8 * len(content), number)]
    for place in places:
        changed[place // 8] ^= 1 << (place % 8)
    return bytes(changed), places


def _flipped_unsealed(random: Random, content: bytes) -> tuple[bytes, str, bool]:
    free = graphs.unsealed(content).SerializeToString()
    changed, places = _flip(random, free, one_of(random, (1, 2, 8)))
    return changed, f"bits {places} of a file without checksum", False


def _flipped_structure(random: Random, content: bytes) -> tuple[bytes, str, bool]:
    """Flip bits outside of the weights, which are most of the file and matter least."""
    model = graphs.unsealed(content)
    weights = [item for item in model.graph.initializer if len(item.raw_data) > 64]
    kept = [item.raw_data for item in weights]
    for place, item in enumerate(weights):
        item.raw_data = bytes([place]) * 8
    changed, places = _flip(random, model.SerializeToString(), one_of(random, (1, 1, 3)))
    try:
        model = onnx.ModelProto.FromString(changed)
        for item in model.graph.initializer:
            if len(item.raw_data) == 8 and item.raw_data[0] < len(kept):
                item.raw_data = kept[item.raw_data[0]]
        changed = model.SerializeToString()
    except Exception as error:  # protobuf's own types differ by its release
        return changed, f"bits {places} of the structure ({type(error).__name__})", False
    return changed, f"bits {places} of the structure", False


def _truncated(random: Random, content: bytes) -> tuple[bytes, str, bool]:
    length = int(random.integers(0, len(content)))
    return content[:length], f"{length} bytes", True


def _appended(random: Random, content: bytes) -> tuple[bytes, str, bool]:
    more = random.bytes(int(random.integers(1, 64)))
    return content + more, f"{len(more)} bytes more", True


def _zeroed(random: Random, content: bytes) -> tuple[bytes, str, bool]:
    place, length = int(random.integers(len(content))), int(random.integers(1, 4096))
    end = min(place + length, len(content))
    return content[:place] + bytes(end - place) + content[end:], f"zeros {place}..{end}", True


def _metadata(random: Random, content: bytes) -> tuple[bytes, str, bool]:
    model = graphs.unsealed(content)
    kept = {entry.key: entry.value for entry in model.metadata_props}
    changes = {}
    for _ in range(one_of(random, (1, 1, 2))):
        key = one_of(random, list(_METADATA))
        if random.random() < 0.1:
            kept.pop(f"cnnmetric.{key}", None)
            changes[key] = "(none)"
        else:
            changes[key] = one_of(random, _METADATA[key])
            kept[f"cnnmetric.{key}"] = changes[key]
    onnx.helper.set_model_props(model, kept)
    return model.SerializeToString(), shown(changes), False


def _graph(random: Random, content: bytes) -> tuple[bytes, str, bool]:
    model = graphs.unsealed(content)
    what = [graphs.change(random, model) for _ in range(one_of(random, (1, 1, 1, 2, 3)))]
    return model.SerializeToString(), "; ".join(what), False


def _other_file(random: Random, content: bytes) -> tuple[bytes, str, bool]:
    kinds = {
        "nothing": b"",
        "text": b"This is not a network.\n",
        "random": random.bytes(int(random.integers(1, 500))),
        "onnx of others": graphs.other_model(random).SerializeToString(),
        "empty onnx": onnx.ModelProto().SerializeToString() + b"\x08\x08",
        "gzip": b"\x1f\x8b\x08\x00" + content[:100],
    }
    kind = one_of(random, list(kinds))
    return kinds[kind], kind, False


_CHANGES: dict[str, Change] = {
    "flipped": _flipped,
    "flipped, no checksum": _flipped_unsealed,
    "flipped structure": _flipped_structure,
    "truncated": _truncated,
    "appended": _appended,
    "zeroed": _zeroed,
    "metadata": _metadata,
    "graph": _graph,
    "graph more": _graph,
    "other file": _other_file,
}


# --- uses ---


def _network(file: Path) -> Any:
    network = cnnmetric.DissimilarityNetwork(file, device="cpu", number_of_threads=1)
    arrays = [texture((20,) * network.dimension, seed) for seed in (0, 1)]
    return network(*arrays)


def _gradient(file: Path) -> Any:
    network = cnnmetric.DissimilarityNetwork(file, device="cpu", number_of_threads=1)
    arrays = [texture((20,) * network.dimension, seed) for seed in (0, 1)]
    return network.map_and_gradient(*arrays).gradient_second


def _on_images(file: Path) -> Any:
    metric = cnnmetric.MetricOnImages(*pair(), model=file, device="cpu", number_of_threads=1)
    return metric.value([0.0, 0.0, 0.0])


def _elastix(file: Path) -> Any:
    quick = parameters(file, CNNMetricNumberOfBlocks="1", MaximumNumberOfIterations="1")
    return final_parameters(register(*pair(), quick, number_of_threads=1))


_USES: dict[str, Callable[[Path], Any]] = {
    "network": _network,
    "gradient": _gradient,
    "on_images": _on_images,
    "elastix": _elastix,
}
