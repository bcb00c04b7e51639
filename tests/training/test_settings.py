# SPDX-License-Identifier: Apache-2.0
"""The settings and the command line made from them."""

from __future__ import annotations

import importlib
import importlib.util
import json
import math
import re
import sys
from pathlib import Path
from typing import Any
from typing import cast

import pytest

from cnnmetric import train
from cnnmetric.command_line import parser_for
from cnnmetric.command_line import settings_from
from cnnmetric.errors import CompatibilityError
from cnnmetric.errors import SettingsError
from cnnmetric.training.settings import TrainingSettings
from support.training_images import settings

REQUIRED = ["pairs.csv", "--modalities", "T1,T2", "--out", "m.onnx"]


def parsed(*words: str) -> TrainingSettings:
    parser = parser_for(TrainingSettings, "Train.")
    return cast("TrainingSettings", settings_from(parser.parse_args([*REQUIRED, *words])))


def test_defaults_are_the_paper() -> None:
    found = parsed()
    assert (found.learning_rate, found.momentum, found.batch_size) == (0.01, 0.9, 128)
    assert (found.schedule, found.mirroring) == ("constant", True)
    assert (found.max_gamma, found.max_gain, found.near_miss_fraction) == (1, 1, 0)
    assert found.crop_margin is None


def test_command_line_reads_every_kind_of_value() -> None:
    found = parsed(
        "--channels", "8", "4", "--kernels", "3", "3", "1", "--strides", "2", "2", "1",
        "--scale", "0.5", "2",
        "--crop-margin", "7", "--spacing", "0.8", "--no-mirroring", "--schedule", "one-cycle",
    )  # fmt: skip
    assert found.channels == (8, 4)
    assert found.scale == (0.5, 2.0)
    assert (found.crop_margin, found.spacing, found.mirroring) == (7, 0.8, False)
    assert found.pairs == Path("pairs.csv")
    assert found.checkpoint == Path("m.checkpoint.pt")


def test_help_names_every_setting_with_default_and_source(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        parsed("--help")
    shown = " ".join(capsys.readouterr().out.split())
    assert "patch pairs per step (1 or more; default: 128; source: paper, Section 2.2)" in shown
    assert "reconstruction" in shown


def test_record_is_json_and_holds_no_folders(tmp_path: Path) -> None:
    record = settings(tmp_path).as_record()
    assert str(tmp_path) not in json.dumps(record)
    assert record["out"] == "model.onnx"


@pytest.mark.parametrize(
    ("changes", "option"),
    [
        ({"modalities": "T1,T1"}, "--modalities"),
        ({"modalities": "T1"}, "--modalities"),
        ({"modalities": "T1,T2,PD"}, "--modalities"),
        ({"out": Path("model.pt")}, "--out"),
        ({"dimension": 4}, "--dimension"),
        ({"kernels": (3, 3)}, "--kernels and --strides must have one value more than --channels"),
        ({"strides": (2, 0, 1)}, "--strides is 2 0 1; give values of 1 or more"),
        ({"learning_rate": -0.1}, "--learning-rate"),
        ({"learning_rate": math.nan}, "--learning-rate is nan; give a finite number, 0 or more"),
        ({"momentum": 1.0}, "--momentum is 1.0; give 0 or more and less than 1"),
        ({"steps": 0}, "--steps"),
        ({"schedule": "cosine"}, "--schedule"),
        ({"scale": (1.5, 0.5)}, "--scale must have the smaller factor first"),
        ({"scale": (0.0, 1.0)}, "--scale is 0.0 1.0; give values of more than 0"),
        ({"rotation": 200.0}, "--rotation is 200.0; give 0 to 180"),
        ({"steps": 0, "crops": 0}, "--steps is 0; give 1 or more; --crops is 0; give 1 or more"),
        ({"max_gamma": 0.5}, "--max-gamma"),
        ({"similarities": ("context",)}, "--similarities is for --architecture self-similarity"),
        ({"patch_centres": "inside"}, "--patch-centres is inside; give anywhere or anatomy"),
        ({"near_miss_fraction": 1.5}, "--near-miss-fraction"),
        ({"near_miss_offset": 0.5}, "--near-miss-offset"),
        ({"near_miss_rotation": -1.0}, "--near-miss-rotation"),
        ({"lower_quantile": 0.9, "upper_quantile": 0.1}, "--lower-quantile must be below"),
        ({"upper_quantile": 1.5}, "--upper-quantile is 1.5; give 0 to 1"),
        ({"crop_margin": -1}, "--crop-margin"),
        ({"spacing": 0.0}, "--spacing"),
        ({"spacing": math.inf}, "--spacing is inf; give a finite number, more than 0"),
        ({"workers": -1}, "--workers"),
        ({"precision": "float16"}, "--precision"),
        ({"device": "tpu"}, "--device"),
    ],
)
def test_refused_values_name_their_option(
    tmp_path: Path, changes: dict[str, Any], option: str
) -> None:
    with pytest.raises(SettingsError, match=re.escape(option)):
        settings(tmp_path, **changes)


def test_missing_torch_is_one_line_of_advice(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find_spec = importlib.util.find_spec
    parts = ("cnnmetric.training", "cnnmetric.commands.train")
    for name in [name for name in sys.modules if name.startswith(parts)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "torch" else find_spec(name)
    )
    with pytest.raises(CompatibilityError, match=r"pip install 'cnnmetric\[train\]'"):
        importlib.import_module("cnnmetric.training")
    assert train.main(REQUIRED) == 1
    assert "training needs torch" in capsys.readouterr().err
