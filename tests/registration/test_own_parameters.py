# SPDX-License-Identifier: Apache-2.0
"""Parameter maps that the user writes as dictionaries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnmetric.errors import SettingsError
from cnnmetric.registration import own_parameters

METRIC: dict[str, Any] = {"Transform": "EulerTransform", "Metric": "CNNMetric"}


def read(**values: Any) -> dict[str, Any]:
    ((_, found),) = own_parameters.read_all({**METRIC, **values})
    return dict(found)


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        (3, ["3"]),
        (1.5, ["1.5"]),
        (True, ["true"]),
        ([True, False], ["true", "false"]),
        ((4, "2"), ["4", "2"]),
        (np.float64(0.1), ["0.1"]),
        (np.array([4, 2]), ["4", "2"]),
        (np.array(3), ["3"]),
        (Path("a.onnx"), ["a.onnx"]),
        ([], []),
    ],
)
def test_one_value_needs_no_list(value: Any, texts: list[str]) -> None:
    assert read(Given=value)["Given"] == texts


@pytest.mark.parametrize("value", [None, [None], {"a": 1}, {1, 2}, b"3", [[1, 2]], 1j])
def test_values_that_are_none(value: Any) -> None:
    with pytest.raises(SettingsError, match=r"parameter Given is .*; give a text or a number, or"):
        read(Given=value)


def test_a_parameter_without_values_counts_as_not_given() -> None:
    maps = own_parameters.read_all({**METRIC, "Transform": [], "CNNMetricModel": []})
    assert own_parameters.model_of(maps, "the default") == "the default"
    ((name, values),) = own_parameters.completed(maps, {"CNNMetricModel": "mine"}, initial=False)
    assert name == "stage"
    assert values["CNNMetricModel"] == ["mine"]
    other = own_parameters.read_all({**METRIC, "Metric0CNNMetricModel": "other"})
    assert own_parameters.model_of([*maps, *other], "the default") == "other"


def test_the_seed_is_of_all_stages_and_the_model_of_those_by_the_metric() -> None:
    squares = own_parameters.read_all(
        {**METRIC, "Metric": "AdvancedMeanSquares"}, need_the_metric=False
    )
    defaults = {"CNNMetricModel": "mine", own_parameters.SEED: "7"}
    maps = own_parameters.completed(
        [*squares, *own_parameters.read_all(METRIC)], defaults, initial=False
    )
    assert [values["RandomSeed"] for _, values in maps] == [["7"], ["7"]]
    assert [values.get("CNNMetricModel") for _, values in maps] == [None, ["mine"]]
    ((_, said),) = own_parameters.completed(
        own_parameters.read_all({**METRIC, "RandomSeed": 3}), defaults, initial=False
    )
    assert said["RandomSeed"] == ["3"]
