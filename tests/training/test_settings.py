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
from cnnmetric.training.presets import NO_CROP
from cnnmetric.training.settings import TrainingSettings
from support.training_images import settings

ROOT = Path(__file__).resolve().parents[2]
REQUIRED = ["pairs.csv", "--modalities", "T1,T2", "--out", "m.onnx"]


def parsed(*words: str) -> TrainingSettings:
    parser = parser_for(TrainingSettings, "Train.")
    return cast("TrainingSettings", settings_from(parser.parse_args([*REQUIRED, *words])))


def test_the_papers_preset_is_the_paper() -> None:
    found = parsed("--preset", "simonovsky2016")
    assert (found.architecture, found.loss, found.pooling) == ("two-channel", "hinge", False)
    assert (found.learning_rate, found.momentum, found.batch_size) == (0.01, 0.9, 128)
    assert (found.schedule, found.mirroring) == ("constant", True)
    assert (found.max_gamma, found.max_gain, found.near_miss_fraction) == (1, 1, 0)
    assert found.crop_margin == NO_CROP


def test_the_default_is_what_a_model_was_trained_with() -> None:
    record = parsed("--hold-out", "none").as_record()
    shipped = json.loads((ROOT / "models" / "t1t2-fine.json").read_text())["settings"]
    of_the_run = {"pairs", "source", "out", "threads"}
    shared = (shipped.keys() & record.keys()) - of_the_run - {"crop_margin"}
    assert {"architecture", "similarities", "scale", "steps", "schedule"} <= shared
    found = json.loads(json.dumps(record))
    assert {name: found[name] for name in shared} == {name: shipped[name] for name in shared}
    assert (record["preset"], record["crop_margin"]) == ("recommended", shipped["crop_margin"])


@pytest.mark.parametrize("preset", ["recommended", "simonovsky2016"])
def test_what_the_user_gives_counts_more_than_the_preset(preset: str) -> None:
    found = parsed(
        *("--preset", preset, "--steps", "7", "--scale", "1", "2", "--crop-margin", "-1"),
        *("--max-gamma", "1", "--schedule", "constant"),
    )
    assert (found.steps, found.scale, found.crop_margin) == (7, (1.0, 2.0), NO_CROP)
    assert (found.max_gamma, found.schedule, found.preset) == (1, "constant", preset)


def test_another_architecture_than_the_presets_has_its_own_layers() -> None:
    papers = parsed("--architecture", "two-channel")
    assert (papers.channels, papers.learning_rate) == ((96, 192, 256, 512), 0.01)
    assert (papers.similarities, papers.scale) == ((), (0.7, 2.2))
    ours = parsed("--preset", "simonovsky2016", "--architecture", "self-similarity")
    assert (ours.similarities, ours.learning_rate) == (("context",), 0.001)
    assert (ours.scale, ours.steps) == ((0.6, 1.6), 5000)


def test_files_of_options_count_as_given(tmp_path: Path) -> None:
    (tmp_path / "options.txt").write_text("--preset simonovsky2016 --scale 1 1\n")
    found = parsed(f"@{tmp_path / 'options.txt'}")
    assert (found.architecture, found.scale) == ("two-channel", (1.0, 1.0))


def test_command_line_reads_every_kind_of_value() -> None:
    found = parsed(
        "--channels", "8", "4", "--kernels", "3", "3", "1", "--strides", "2", "2", "1",
        "--preset", "simonovsky2016", "--scale", "0.5", "2",
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
    assert "not for self-similarity (1 or more; default: 128; source: paper, Section 2.2)" in shown
    assert "reconstruction" in shown
    assert "uniform; default: 0.7 2.2, of --preset simonovsky2016: 0.6 1.6 (more" in shown
    assert "centre strength, of --preset simonovsky2016: context (source" in shown


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
        ({"similarities": ("context",)}, "--similarities would change nothing with --architecture"),
        ({"crops": 3, "shift": (0, 1)}, "--crops and --shift would change nothing with"),
        ({"patch_centres": "inside"}, "--patch-centres is inside; give anywhere or anatomy"),
        ({"near_miss_fraction": 1.5}, "--near-miss-fraction"),
        ({"near_miss_offset": 0.5}, "--near-miss-offset"),
        ({"near_miss_rotation": -1.0}, "--near-miss-rotation"),
        ({"lower_quantile": 0.9, "upper_quantile": 0.1}, "--lower-quantile must be below"),
        ({"upper_quantile": 1.5}, "--upper-quantile is 1.5; give 0 to 1"),
        ({"crop_margin": -2}, "--crop-margin is -2; give -1 or more"),
        ({"preset": "fast"}, "--preset is fast; give recommended or simonovsky2016"),
        ({"overwrite": True, "resume": True}, "--overwrite excludes --resume"),
        ({"hold_out": "a", "training_pairs": 1}, "--hold-out excludes --training-pairs"),
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
    with pytest.raises(CompatibilityError, match=r"sources: pip install '\.\[train\]'.*CPU build"):
        importlib.import_module("cnnmetric.training")
    assert train.main(REQUIRED) == 1
    assert "training needs torch" in capsys.readouterr().err
