# SPDX-License-Identifier: Apache-2.0
"""``cnnmetric models``: list the installed models, check and add one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cnnmetric.command_line import Settings
from cnnmetric.command_line import setting
from cnnmetric.command_line import to_record
from cnnmetric.commands.command import Command
from cnnmetric.files.output import json_text
from cnnmetric.metric.modalities import ANY
from cnnmetric.plugin.package_data import DEFAULT_MODEL

if TYPE_CHECKING:  # of ITK, which a help text does not need
    from cnnmetric.metric.models import InstalledModel


@dataclass(frozen=True, kw_only=True)
class ListSettings(Settings):
    """How the list is printed."""

    json: bool = setting(False, help_text="print JSON")


@dataclass(frozen=True, kw_only=True)
class AddSettings(Settings):
    """Which model is added."""

    file: Path = setting(help_text="the .onnx file that training wrote", positional=True)
    name: str = setting("", help_text="what to call it; the file's own name where left out")
    overwrite: bool = setting(False, help_text="replace a model that you have added by this name")


def list_models(settings: ListSettings) -> None:
    """Print the list."""
    from cnnmetric.metric.models import installed_models

    models = installed_models()
    if settings.json:
        records = [{**to_record(model), "default": _is_default(model)} for model in models]
        print(json_text(records, indent=2))
    else:
        print("\n\n".join(map(_text, models)))


def add(settings: AddSettings) -> None:
    """Check and install."""
    from cnnmetric.metric.models import add_model

    path = add_model(settings.file, name=settings.name, overwrite=settings.overwrite)
    print(f"{path}\nuse it as --model {path.stem}")


def _is_default(model: InstalledModel) -> bool:
    return model.name == DEFAULT_MODEL


def _compared(modalities: Sequence[str]) -> str:
    different = tuple(dict.fromkeys(modalities))
    return "any two contrasts" if different == (ANY,) else " and ".join(different)


def _text(model: InstalledModel) -> str:
    """Return a model in some lines."""
    title = f"{model.name} (the default)" if _is_default(model) else model.name
    if model.problem or model.modalities is None:
        return f"{title}\n  cannot be used: {model.problem}"
    lines = [
        f"{_compared(model.modalities)}, {model.dimension}D, made for voxels of "
        f"{model.spacing_mm:g} mm, patches of {model.receptive_field} voxels",
        model.score,
        str(model.path),
    ]
    return "\n  ".join([title, *filter(None, lines)])


COMMANDS = {
    "": Command(
        settings=ListSettings,
        run=list_models,
        description="""List the installed models: what each compares, for which voxel size it is
made, how good it is and where it lies. `cnnmetric models add --help` adds one.""",
        examples=(
            ("What can --model be?", "cnnmetric models"),
            ("Add one that you have trained", "cnnmetric models add t1flair.onnx"),
        ),
    ),
    "add": Command(
        settings=AddSettings,
        run=add,
        description="""Check a model and install it for this user, so that --model and
(CNNMetricModel ...) find it by name: in $XDG_DATA_HOME/cnnmetric/models, or
~/.local/share/cnnmetric/models. The run record .json beside it is installed, too.""",
        examples=(
            ("By the file's name, t1flair", "cnnmetric models add t1flair.onnx"),
            ("By another name", "cnnmetric models add run7/model.onnx --name t1flair-v2"),
        ),
    ),
}
