# SPDX-License-Identifier: Apache-2.0
"""What holds only settings can be copied and sent to other processes; the rest gives the reason."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cnnmetric
from support.metric_images import subject

COPIES: list[Callable[[Any], Any]] = [
    copy.copy,
    copy.deepcopy,
    lambda given: pickle.loads(pickle.dumps(given)),
]


@pytest.mark.parametrize("copied", COPIES)
def test_a_copied_network_computes_the_same(
    copied: Callable[[Any], Any], small_model: Path
) -> None:
    network = cnnmetric.DissimilarityNetwork(small_model, device="cpu", number_of_threads=1)
    pair = np.random.default_rng(0).random((2, 21, 21, 21), dtype=np.float32)
    other = copied(network)
    assert other is not network
    assert repr(other) == repr(network)
    np.testing.assert_array_equal(other(*pair), network(*pair))


def test_a_network_of_a_relative_path_is_copied_in_another_folder(
    small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(small_model.parent)
    network = cnnmetric.DissimilarityNetwork(small_model.name, device="cpu", number_of_threads=1)
    monkeypatch.chdir(tmp_path)
    for copied in COPIES:
        assert copied(network).receptive_field == network.receptive_field


def test_a_network_works_in_another_process(small_model: Path) -> None:
    network = cnnmetric.DissimilarityNetwork(small_model, device="cpu", number_of_threads=1)
    pair = np.random.default_rng(0).random((2, 21, 21, 21), dtype=np.float32)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        np.testing.assert_array_equal(pool.apply(network, tuple(pair)), network(*pair))


@pytest.mark.parametrize("copied", COPIES)
def test_metrics_give_the_reason(copied: Callable[[Any], Any], small_model: Path) -> None:
    images = [
        subject(name, size=(24, 24, 24), spacing=(1.0,) * 3, angle=0.0) for name in ("T1", "T2")
    ]
    for metric in (
        cnnmetric.MetricOnImages(*images, model=small_model, device="cpu"),
        cnnmetric.CNNImageToImageMetricv4(model=small_model, device="cpu"),
    ):
        name = type(metric).__name__
        with pytest.raises(TypeError, match=f"a {name} cannot be pickled or copied, because"):
            copied(metric)


@pytest.mark.parametrize("copied", COPIES)
def test_settings_are_equal_to_their_copies(copied: Callable[[Any], Any]) -> None:
    for settings in (
        cnnmetric.FieldLevel(grid_spacing=1.5, iterations=3),
        cnnmetric.DiscreteSearch(radius=3),
    ):
        assert copied(settings) == settings
