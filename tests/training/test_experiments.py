# SPDX-License-Identifier: Apache-2.0
"""The committed options of docs/research/experiments.md, and what scripts say of others."""

from __future__ import annotations

import json
import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest

from cnnmetric.command_line import parser_for
from cnnmetric.command_line import settings_from
from cnnmetric.training.objectives import objective_of
from cnnmetric.training.settings import FREE_ON_RESUME
from cnnmetric.training.settings import TrainingSettings
from paper_experiments import ALONE
from paper_experiments import ExperimentSettings
from paper_experiments import training_settings

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "studies" / "options"
MODELS = sorted(file.stem for file in (ROOT / "models").glob("*.onnx"))
OF_FINE = ("field-23", "five", "largest", "long", "remap", "wider")
VARIANTS = sorted({file.stem for file in FOLDER.glob("*.txt")}.difference(ALONE + OF_FINE))


def read(*names: str) -> TrainingSettings:
    words = ["pairs.csv", "--modalities", "T1,T2", "--out", "model.onnx"]
    words += [f"@{FOLDER / name}.txt" for name in names]
    settings = settings_from(parser_for(TrainingSettings, "").parse_args(words))
    assert isinstance(settings, TrainingSettings)
    return settings


@pytest.mark.parametrize("card", MODELS)
def test_the_command_on_a_card_is_that_of_its_record(card: str) -> None:
    page = (ROOT / "models" / f"{card}.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^    python -m cnnmetric\.train (.*?[^\\])$", page, re.M | re.S)
    words = shlex.split(command.replace("\\\n", " "))
    settings = settings_from(parser_for(TrainingSettings, "").parse_args(words))
    found = json.loads(json.dumps(settings.as_record()))
    shipped = json.loads((ROOT / "models" / f"{card}.json").read_text())["settings"]
    shared = (found.keys() & shipped.keys()) - FREE_ON_RESUME
    assert len(shared) > 25
    assert {name: found[name] for name in shared} == {name: shipped[name] for name in shared}


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_differs_from_the_base_in_what_it_is_named_after(name: str) -> None:
    base, variant = read("base").as_record(), read("base", name).as_record()
    changed = {option for option in base if base[option] != variant[option]}
    assert changed == {
        "k3": {"training_pairs", "validate_every"},
        "k6": {"training_pairs", "validate_every"},
        "cross-entropy": {"loss"},
        "pseudo-siamese": {"architecture", "channels"},
        "pooling": {"pooling"},
        "near-misses": {"near_miss_fraction"},
        "anatomy": {"patch_centres"},
        "steps-16000": {"steps"},
        "graded": {"near_miss_fraction", "near_miss_offset", "near_miss_labels"},
        "label-maps": {"source"},
        "stretched": {"max_stretch"},
        "varied": {"max_gamma", "max_gain"},
    }.get(name)


@pytest.mark.parametrize("name", OF_FINE)
def test_a_variant_of_the_default_differs_in_what_it_is_named_after(name: str) -> None:
    base, variant = read("fine").as_record(), read("fine", name).as_record()
    changed = {option for option in base if base[option] != variant[option]}
    assert changed == {
        "field-23": {"channels", "kernels", "strides"},
        "five": {"similarities"},
        "largest": {"channels"},
        "long": {"steps"},
        "remap": {"remap_probability"},
        "wider": {"channels"},
    }.get(name)
    sizes = [
        sum(weight.numel() for weight in objective_of(read(*names)).network.parameters())
        for names in (("full",), ("fine", "largest"))
    ]
    assert sizes[1] == pytest.approx(sizes[0], rel=0.05)


@pytest.mark.parametrize(
    ("variant", "files"),
    [
        *((name, [name]) for name in ALONE),
        ("fine+wider", ["fine", "wider"]),
        ("full+anatomy", ["full", "anatomy"]),
        ("anatomy", ["base", "anatomy"]),
        ("cross-entropy+anatomy", ["base", "cross-entropy", "anatomy"]),
    ],
)
def test_only_variants_of_the_base_have_its_options(
    variant: str, files: list[str], tmp_path: Path
) -> None:
    found = training_settings(ExperimentSettings(data=tmp_path, out=tmp_path), variant)
    assert found.as_record() == read(*files).as_record() | {"out": f"{variant}.onnx"}


def test_the_default_is_that_of_the_card() -> None:
    found = json.loads(json.dumps(read("fine").as_record()))
    shipped = json.loads((ROOT / "models" / "t1t2-fine.json").read_text())["settings"]
    shared = (found.keys() & shipped.keys()) - FREE_ON_RESUME
    assert {name: found[name] for name in shared} == {name: shipped[name] for name in shared}


def test_the_variant_that_is_shipped_is_that_of_the_card() -> None:
    found = read("full", "anatomy", "cross-entropy", "graded").as_record()
    shipped = json.loads((ROOT / "models" / "t1t2.json").read_text())["settings"]
    shared = (found.keys() & shipped.keys()) - FREE_ON_RESUME - {"pairs", "out", "source"}
    assert {name: shipped[name] for name in shared} == {
        name: json.loads(json.dumps(found[name])) for name in shared
    }


def test_branches_have_as_many_weights_as_the_base() -> None:
    sizes = [
        sum(weight.numel() for weight in objective_of(read(*names)).network.parameters())
        for names in (("base",), ("base", "pseudo-siamese"))
    ]
    assert sizes[1] == pytest.approx(sizes[0], rel=0.03)


def test_three_pairs_are_all_that_is_different_from_the_shipped_model() -> None:
    shipped = json.loads((ROOT / "models" / "t1t2-fast.json").read_text())["settings"]
    three = json.loads(json.dumps(read("self-similarity-k3").as_record()))
    free = {"pairs", "out", "checkpoint_every", "training_pairs", "validate_every", "source"}
    shared = (shipped.keys() & three.keys()) - free
    assert {"architecture", "channels", "learning_rate", "crops", "steps", "seed"} <= shared
    assert {name: three[name] for name in shared} == {name: shipped[name] for name in shared}
    assert (three["training_pairs"], three["source"]) == (3, ["real=pairs.csv:1"])


@pytest.mark.parametrize(
    ("script", "words", "messages"),
    [
        (
            "paper_experiments.py",
            ["--out", "{}", "--variants", "cross+anatomy", "--train-only"],
            ["--variants cross+anatomy: there is no 'cross' in", "cross-entropy"],
        ),
        (
            "parameter_changes.py",
            ["{}", "--methods", "mi", "--changes", "64 bins;32 bins"],
            ["--changes: there is no '32 bins'", "fine control points every 4 mm"],
        ),
        (
            "parameter_changes.py",
            ["{}", "--methods", "cnn,nmi"],
            ["--methods: there is no 'nmi'; there are: cnn, mi, mi+mask"],
        ),
        (
            "tissue_labels.py",
            ["--modality", "T2", "--out", "{}"],
            ["pairs.csv has no column T2"],
        ),
        (
            "tissue_labels.py",
            ["--modality", "PD", "--out", "{}"],
            ["pairs.csv has no image in the column PD; choose another --modality"],
        ),
        (
            "silver_labels.py",
            ["{}", "--subjects", "a", "--modality", "PD", "--out", "{}"],
            ["pairs.csv has no PD of a; choose another --modality"],
        ),
        ("quality.py", ["--out", "{}/out.csv"], ["pairs.csv has no column T2; its columns are"]),
    ],
)
def test_what_there_is_not_is_named(
    script: str,
    words: list[str],
    messages: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = tmp_path / "pairs.csv"
    table.write_text("subject,T1,PD\na,a.nii.gz,\n")
    first = tmp_path if script in ("paper_experiments.py", "parameter_changes.py") else table
    given = [str(first), *(word.format(tmp_path) for word in words)]
    # In this process: another one would load ITK for each of them.
    assert import_module(script.removesuffix(".py")).main(given) == 1
    told = capsys.readouterr().err
    assert all(message in told for message in messages)
