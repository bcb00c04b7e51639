# SPDX-License-Identifier: Apache-2.0
"""A model file that is not what was written is refused, and so is one whose metadata do not fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from cnnmetric.errors import ModelError
from cnnmetric.metric.network import DissimilarityNetwork
from cnnmetric.training.export.model_file import CHECKSUM
from support.metric_images import unsealed
from support.metric_images import write_small_model

FLIPS = 300


@pytest.fixture(scope="module")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_model(tmp_path_factory.mktemp("models") / "small.onnx")


def opened(path: Path) -> DissimilarityNetwork:
    return DissimilarityNetwork(path, device="cpu", number_of_threads=1)


def test_a_flipped_bit_is_noticed_or_changes_nothing(small_model: Path, tmp_path: Path) -> None:
    content = small_model.read_bytes()
    pair = np.random.default_rng(0).random((2, 21, 21, 21), dtype=np.float32)
    true = opened(small_model)(*pair, normalised=True)
    random = np.random.default_rng(1)
    places = [*random.integers(0, len(content), FLIPS), *range(len(content) - 40, len(content))]
    damaged = tmp_path / "damaged.onnx"
    refused = 0
    for place in places:
        changed = bytearray(content)
        changed[place] ^= 1 << int(random.integers(8))
        damaged.write_bytes(changed)
        try:
            found = opened(damaged)(*pair, normalised=True)
        except ModelError:
            refused += 1
        else:
            np.testing.assert_array_equal(found, true)
    assert refused > 0.9 * FLIPS


def test_a_changed_file_is_named_with_what_to_do(small_model: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed.onnx"
    changed.write_bytes(small_model.read_bytes().replace(b"T1,T2", b"T1,T3"))
    with pytest.raises(ModelError, match=r"changed\.onnx' is not what was written.*remove the met"):
        opened(changed)
    # So is one to which something was added.
    more = onnx.ModelProto(doc_string="later").SerializeToString()
    changed.write_bytes(small_model.read_bytes() + more)
    with pytest.raises(ModelError, match="its checksum differs"):
        opened(changed)


@pytest.mark.parametrize("what", ["opset", "shape", "reshape"])
def test_words_of_onnx_runtime_are_without_its_sources(
    what: str, small_model: Path, tmp_path: Path
) -> None:
    model = unsealed(small_model)
    if what == "opset":
        model.opset_import[0].version = 99
    elif what == "shape":
        bias = next(item for item in model.graph.initializer if "bias" in item.name)
        bias.dims[0] = 7
    else:
        model.graph.node[0].input[0] = "narrow"
        shape = onnx.helper.make_tensor("five", onnx.TensorProto.INT64, [5], [1, 2, 5, 5, 5])
        model.graph.initializer.append(shape)
        node = onnx.helper.make_node("Reshape", ["patches", "five"], ["narrow"])
        model.graph.node.insert(0, node)
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(ModelError, match=r"other\.onnx") as caught:
        opened(tmp_path / "other.onnx")
    text = str(caught.value)
    assert not [piece for piece in ("std::", "onnxruntime::", "_src/") if piece in text]
    assert text == text.strip()
    said = {"opset": "opset", "shape": "convolutions", "reshape": "reshape"}
    assert said[what] in text


def test_a_file_without_checksum_is_as_good(small_model: Path, tmp_path: Path) -> None:
    free = tmp_path / "free.onnx"
    onnx.save(unsealed(small_model), free)
    assert CHECKSUM.encode() not in free.read_bytes()
    pair = np.random.default_rng(0).random((2, 21, 21, 21), dtype=np.float32)
    one, other = (opened(path)(*pair, normalised=True) for path in (small_model, free))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("receptive_field", "13"),
        ("receptive_field", "21"),
        ("stride", "2"),
        ("stride", "3"),
        ("stride", "1000000"),
    ],
)
def test_sizes_that_the_network_does_not_have_are_refused(
    key: str, value: str, small_model: Path, tmp_path: Path
) -> None:
    model = unsealed(small_model)
    for entry in model.metadata_props:
        if entry.key == f"cnnmetric.{key}":
            entry.value = value
    lie = tmp_path / "lie.onnx"
    onnx.save(model, lie)
    with pytest.raises(ModelError, match="cannot be evaluated with the receptive field of"):
        opened(lie)


def test_numbers_in_another_file_are_not_read(small_model: Path, tmp_path: Path) -> None:
    """A file could name any file that its user may read."""
    model = unsealed(small_model)
    copy = tmp_path / "two.onnx"
    onnx.save(model, copy, save_as_external_data=True, location="numbers", size_threshold=0)
    assert (tmp_path / "numbers").stat().st_size > 1000
    with pytest.raises(ModelError, match=r"two\.onnx' keeps .* in another file. Save it"):
        opened(copy)
