# SPDX-License-Identifier: Apache-2.0
"""Give adults who have T1 and another image labels, carried over from labelled T1 images.

    python studies/silver_labels.py $CNNMETRIC_DATA/train/pairs.csv \
        $CNNMETRIC_DATA/generative/miccai2012 --subjects ms07 ms19 ms26 --out silver

registers the T1 of each atlas, a folder with ``T1.nii.gz`` and ``labels.nii.gz``, to the T1 of each
subject by Greedy with normalised cross-correlation, and lets the warped label maps vote: silver
labels. It writes them, ``subjects.csv``, and ``registrations.csv`` for
`python -m cnnmetric.evaluate`: the other image of every subject, a T2 or the ``--modality`` named,
with the T1 of the atlases that did not vote, whose labels are manual. T1 never meets T1 there, so
no method has seen the way that the labels took.

Silver labels are wrong where T1-T1 registration is, above all in the cortex, so that the best Dice
is far below 1. They rank methods whose errors are larger than that, and say nothing of smaller
ones.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import itk
import numpy as np
from numpy.typing import NDArray

from cnnmetric.command_line import Settings
from cnnmetric.command_line import parser_for
from cnnmetric.command_line import run_command
from cnnmetric.command_line import setting
from cnnmetric.command_line import settings_from
from cnnmetric.errors import DataError
from cnnmetric.evaluation.methods.program import call
from cnnmetric.files.tables import read_table
from shared import write_labels
from shared import write_table


@dataclass(frozen=True, kw_only=True)
class SilverSettings(Settings):
    """Whom to label, and by whom."""

    pairs: Path = setting(positional=True, help_text="CSV with subject, T1 and the other modality")
    atlases: Path = setting(positional=True, help_text="folder with a folder for each atlas")
    subjects: tuple[str, ...] = setting(help_text="who gets labels", metavar="NAME")
    out: Path = setting(help_text="folder to write into")
    modality: str = setting("T2", help_text="column of the other image, aligned with T1")
    voters: int = setting(5, help_text="how many atlases vote, the first by name", minimum=1)
    test: int = setting(2, help_text="how many atlases after them are registered to", minimum=1)
    threads: int = setting(1, help_text="of each registration", minimum=1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = parser_for(SilverSettings, "Silver labels for subjects with T1 and another image.")
    return run_command("silver_labels", lambda: run(settings_from(parser.parse_args(arguments))))


def run(settings: SilverSettings) -> None:
    """Write label maps and tables; label maps that are there stay."""
    rows = read_table(settings.pairs, role="pairs", columns=("subject", "T1"))
    known = {row["subject"]: row for row in rows}
    missing = [name for name in settings.subjects if name not in known]
    if missing:
        msg = f"{settings.pairs} has no subject {', '.join(missing)}; it has {', '.join(known)}"
        raise DataError(msg)
    modality = settings.modality
    without = [name for name in settings.subjects if not known[name]["T1"]]
    if without:
        msg = f"{settings.pairs} has no T1 of {', '.join(without)}; leave them out of --subjects"
        raise DataError(msg)
    without = [name for name in settings.subjects if not known[name].get(modality)]
    if without:
        msg = (
            f"{settings.pairs} has no {modality} of {', '.join(without)}; choose another --modality"
        )
        raise DataError(msg)
    atlases = sorted(file.parent.resolve() for file in settings.atlases.glob("*/labels.nii.gz"))
    needed = settings.voters + settings.test
    if len(atlases) < needed:
        msg = f"{settings.atlases} has {len(atlases)} labelled atlases, and {needed} are needed"
        raise DataError(msg)
    voters, test = atlases[: settings.voters], atlases[settings.voters : needed]
    settings.out.mkdir(parents=True, exist_ok=True)
    listed: list[list[object]] = []
    for name in settings.subjects:
        row, folder = known[name], settings.pairs.parent.resolve()
        labels = (settings.out / f"{name}-labels.nii.gz").resolve()
        if not labels.exists():
            votes = [_carried(folder / row["T1"], atlas, settings.threads) for atlas in voters]
            write_labels(majority(votes), itk.imread(str(folder / row["T1"]), itk.F), labels)
        print(f"{name}: {labels}", flush=True)
        listed.append([name, folder / row["T1"], folder / row[modality], labels])
    listed += [[atlas.name, atlas / "T1.nii.gz", "", atlas / "labels.nii.gz"] for atlas in test]
    write_table(settings.out / "subjects.csv", ["subject", "T1", modality, "labels"], listed)
    write_table(
        settings.out / "registrations.csv",
        ["fixed_subject", "fixed_modality", "moving_subject", "moving_modality"],
        [
            row
            for atlas in test
            for name in settings.subjects
            for row in ([atlas.name, "T1", name, modality], [name, modality, atlas.name, "T1"])
        ],
    )


def majority(votes: Sequence[NDArray[np.int16]]) -> NDArray[np.int16]:
    """Return the label that most maps give to a voxel, of equally many the smallest."""
    winner, most = np.zeros_like(votes[0]), np.zeros(votes[0].shape, dtype=np.uint8)
    for label in np.unique(votes):
        count = np.stack([vote == label for vote in votes]).sum(axis=0, dtype=np.uint8)
        better = count > most
        winner[better], most[better] = label, count[better]
    return winner


def _carried(fixed: Path, atlas: Path, threads: int) -> NDArray[np.int16]:
    """Return an atlas's labels on the grid of a T1 image."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        affine, warp, labels = (folder / file for file in ("a.mat", "w.nii.gz", "l.nii.gz"))
        moving = f"{fixed} {atlas / 'T1.nii.gz'}"
        common = f"-d 3 -threads {threads} -i {moving} -m NCC 2x2x2"
        call(
            "greedy_commands.py",
            f"{common} -n 100x50x0 -a -dof 12 -ia-image-centers -o {affine}",
            f"{common} -n 100x50x20 -it {affine} -s 2vox 0.7vox -o {warp}",
            f"-d 3 -threads {threads} -rf {fixed} -ri LABEL 0.2vox "
            f"-rm {atlas / 'labels.nii.gz'} {labels} -r {warp} {affine}",
            threads=threads,
        )
        carried: NDArray[np.int16] = itk.array_from_image(itk.imread(str(labels), itk.SS))
        return carried


if __name__ == "__main__":
    sys.exit(main())
