# SPDX-License-Identifier: Apache-2.0
"""Command lines, and the tables, points, parameter files and results that commands read."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from pathlib import Path

import itk
import numpy as np

from cnnmetric.commands.main import main
from fuzz import texts
from fuzz.oracles import BrokenRuleError
from fuzz.oracles import RefusedError
from fuzz.pictures import picture
from fuzz.pictures import texture
from fuzz.trial import Materials
from fuzz.trial import Random
from fuzz.trial import Trial
from fuzz.trial import new_folder
from fuzz.trial import one_of
from fuzz.trial import shown


def trial(random: Random, materials: Materials) -> Trial:
    """Return a command line whose options, or whose files, are odd."""
    kind = one_of(random, list(_KINDS))
    words, prepare = _KINDS[kind](random, materials)

    def run() -> object:
        folder = new_folder().resolve()
        prepare(folder)
        with _inside(folder):
            return _done([word.replace("{result}", str(materials.result)) for word in words])

    return Trial(what=f"{kind}: {shown(words, 400)}", run=run)


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    os.environ["XDG_DATA_HOME"] = str(folder / "data")
    try:
        yield
    finally:
        os.chdir(before)


def _done(words: Sequence[str]) -> int:
    """Run a command line and check what it prints."""
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            status = main(words)
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else 1
    said = errors.getvalue()
    if status not in (0, 1, 2):
        raise BrokenRuleError(f"exit status {status}")
    if status:
        # After progress and warnings, one line says what is wrong; usage goes before a status of 2.
        *_, last = said.strip().splitlines() or [""]
        if status == 1 and not last.startswith("cnnmetric"):
            raise BrokenRuleError(f"the last line is {last!r:.200}")
        raise RefusedError(said)
    if "--json" in words and not {"--version", "--help"} & set(words):
        json.loads(output.getvalue(), parse_constant=_no_json)
    return status


def _no_json(name: str) -> object:
    raise BrokenRuleError(f"prints {name}, which is no JSON")


Prepare = Callable[[Path], object]
Words = tuple[list[str], Prepare]


def _nothing(_: Path) -> None:
    pass


def _options(random: Random, materials: Materials) -> Words:
    """Return a subcommand with any options."""
    words = [one_of(random, (*texts.SUBCOMMANDS, "x", "", "--version", "--help"))]
    for _ in range(int(random.integers(0, 6))):
        words.append(one_of(random, texts.OPTIONS))
        if random.random() < 0.7:
            words.append(one_of(random, texts.WORDS))
    return words, _nothing


def _points(random: Random, materials: Materials) -> Words:
    """Return the transform of a file of points that is odd."""
    suffix = one_of(random, (".csv", ".txt", ".pts", ".fcsv", ".mrk.json"))
    content = texts.changed(random, texts.POINTS[suffix])
    to = one_of(random, (".csv", ".txt", ".fcsv", ".mrk.json", ".pts"))
    words = ["transform", "{result}", f"in{suffix}", "-o", f"out{to}"]
    words += ["--inverse"] if random.random() < 0.3 else []
    words += ["--json"] if random.random() < 0.5 else []
    return words, lambda folder: (folder / f"in{suffix}").write_bytes(content)


def _pairs(random: Random, materials: Materials) -> Words:
    """Return a table of pairs that is odd, so that nothing runs."""
    content = texts.changed(random, texts.PAIRS, times=2)
    words = ["register", "--table", "pairs.csv", "-o", "outs", "--model", "none", "--workers", "1"]

    def prepare(folder: Path) -> None:
        (folder / "pairs.csv").write_bytes(content)
        # None of the two can be read, so that no process is started for long.
        (folder / "a.mha").write_text("no image", encoding="utf-8")

    return words, prepare


def _saved(random: Random, materials: Materials) -> Words:
    """Return the use of a saved result of which a file is damaged."""
    files = sorted(path.name for path in materials.result.iterdir() if path.is_file())
    name = one_of(random, [*(n for n in files if n.endswith((".json", ".txt", ".h5"))), *files])
    content = texts.changed(random, (materials.result / name).read_bytes())
    gone = random.random() < 0.1

    def prepare(folder: Path) -> None:
        shutil.copytree(materials.result, folder / "saved")
        if gone:
            (folder / "saved" / name).unlink()
        else:
            (folder / "saved" / name).write_bytes(content)
        (folder / "in.csv").write_bytes(texts.POINTS[".csv"])

    words = ["transform", "saved", "in.csv", "-o", "out.csv"]
    words += ["--inverse"] if random.random() < 0.5 else []
    return [*words], prepare


def _images(random: Random, materials: Materials) -> Words:
    """Return a registration of a file that is no image, or a damaged one."""
    suffix = one_of(random, (".mha", ".nii", ".nii.gz", ".nrrd", ".mgz", ".png", ".dcm", ".vtk"))
    changes, seed = int(random.integers(1, 4)), int(random.integers(2**31))

    def prepare(folder: Path) -> None:
        good, file = folder / "good.mha", folder / f"in{suffix}"
        itk.imwrite(picture(texture((20,) * 3, 0)), str(good))
        made = file if suffix in (".mha", ".nii", ".nii.gz", ".nrrd", ".vtk") else good
        itk.imwrite(picture(texture((20,) * 3, 1)), str(made))
        content = made.read_bytes()
        file.write_bytes(texts.changed(np.random.default_rng(seed), content, times=changes))

    words = ["register", f"in{suffix}", "good.mha", "-o", "out", "--model", str(materials.small)]
    if random.random() < 0.5:
        words[1:3] = words[2:0:-1]
    words += ["-p", str(materials.result.parent / "quick.txt"), "--threads", "1", "--quiet"]
    words += ["--no-report", "--device", "cpu"]
    return words, prepare


def _parameter_file(random: Random, materials: Materials) -> Words:
    """Return a registration with a parameter file that is odd."""
    quick = (materials.result.parent / "quick.txt").read_bytes()
    content = texts.changed(random, quick)

    def prepare(folder: Path) -> None:
        for name, seed in (("a", 0), ("b", 1)):
            itk.imwrite(picture(texture((20,) * 3, seed)), str(folder / f"{name}.mha"))
        (folder / "p.txt").write_bytes(content)

    words = ["register", "a.mha", "b.mha", "-o", "out", "--model", str(materials.small)]
    words += ["-p", "p.txt", "--threads", "1", "--quiet", "--no-report", "--device", "cpu"]
    return words, prepare


def _models(random: Random, materials: Materials) -> Words:
    """Return the installation of a model that is odd."""
    content = texts.changed(random, materials.small.read_bytes())
    name = one_of(random, ("", "x", "../x", "a/b", ".", "\xe9", "x" * 300, "t1t2", "con", " "))
    record = texts.changed(random, b'{"test": {"mean_dice": 0.7}, "settings": {"seed": 1}}')

    is_empty = random.random() < 0.5

    def prepare(folder: Path) -> None:
        (folder / "m.onnx").write_bytes(b"" if is_empty else content)
        shutil.copy(materials.small, folder / "good.onnx")
        (folder / "good.json").write_bytes(record)

    words = ["models", "add", one_of(random, ("m.onnx", "good.onnx", "good.onnx"))]
    words += ["--name", name] if name or random.random() < 0.3 else []
    return words, prepare


_KINDS: dict[str, Callable[[Random, Materials], Words]] = {
    "options": _options,
    "points": _points,
    "pairs": _pairs,
    "saved": _saved,
    "images": _images,
    "parameters": _parameter_file,
    "models": _models,
}
