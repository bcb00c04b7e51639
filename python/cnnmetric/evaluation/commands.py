# SPDX-License-Identifier: Apache-2.0
"""What ``python -m cnnmetric.evaluate`` does: run, show, draw."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from tqdm import tqdm

from cnnmetric.errors import CompatibilityError
from cnnmetric.errors import DataError
from cnnmetric.errors import SettingsError
from cnnmetric.evaluation import methods
from cnnmetric.evaluation.job import Job
from cnnmetric.evaluation.results import Results
from cnnmetric.evaluation.settings import FigureSettings
from cnnmetric.evaluation.settings import RunSettings
from cnnmetric.evaluation.settings import SummarySettings
from cnnmetric.evaluation.settings import parse_labels
from cnnmetric.evaluation.summary import Summary
from cnnmetric.evaluation.tables import Registration
from cnnmetric.evaluation.tables import read_registrations
from cnnmetric.files.output import check_folder
from cnnmetric.registration.batch import runner
from cnnmetric.registration.batch.lock import only_run
from cnnmetric.registration.batch.model import content
from cnnmetric.registration.batch.model import findable


def run(settings: RunSettings) -> None:
    """Do the registrations that are not done yet, then show the table.

    Raises
    ------
    SettingsError
        If another run writes to the folder, it was begun with other settings, or there will be no
        results of the baseline.
    """
    registrations = read_registrations(settings.subjects, settings.registrations)
    names = _installed(settings)
    _check_baseline(settings, names)
    jobs = _jobs(settings, registrations, names)
    shared = _shared(settings)
    check_folder(settings.out, option="--out")
    with only_run(settings.out):
        results = Results(settings.out)
        results.check_settings(shared)
        if settings.retry_failed:
            results.drop_failures()
        _do(jobs, results, settings)
        _show(results, settings.out, settings.baseline)


def _jobs(
    settings: RunSettings, registrations: Sequence[Registration], names: Sequence[str]
) -> list[Job]:
    """Return every registration by every method, for processes with any working directory."""
    own = methods.split_own(settings.own)
    return [
        Job(
            registration=registration,
            method=name,
            own=tuple(own.get(name, ())),
            preset=settings.preset,
            model=findable(settings.model),
            labels=parse_labels(settings.labels),
            threads=settings.threads,
            seed=settings.seed,
        )
        for registration in registrations
        for name in names
    ]


def _do(jobs: Sequence[Job], results: Results, settings: RunSettings) -> None:
    """Do the jobs that have no result."""
    done = results.keys
    to_do = [job for job in jobs if job.key not in done]
    if not to_do:
        return
    workers = settings.workers or runner.default_workers(settings.threads)
    with (
        runner.stopped_by_signals(),
        # Closed at once whatever happens here, which ends the registrations that run.
        closing(runner.run_all(to_do, workers=workers, scheduler=settings.scheduler)) as records,
    ):
        for record in tqdm(
            records, total=len(jobs), initial=len(jobs) - len(to_do), unit="registration"
        ):
            results.append(record)
            if record["failure"]:
                tqdm.write(
                    f"{record['registration']} {record['method']} failed: {record['failure']}",
                    file=sys.stderr,
                )


def summary(settings: SummarySettings) -> None:
    """Print and save the table of what is there."""
    results = _existing(settings.out)
    check_folder(settings.out, option="--out")
    _show(results, settings.out, settings.baseline)


def figures(settings: FigureSettings) -> None:
    """Draw what is there."""
    from cnnmetric.evaluation.figures import draw_all

    results = _existing(settings.out)
    check_folder(settings.out / "figures", option="--out")
    for picture in draw_all(
        results.records,
        settings.out / "figures",
        baseline=settings.baseline,
        label_names=settings.label_names,
    ):
        print(picture)


def _shared(settings: RunSettings) -> dict[str, str]:
    """Return what must not change between runs, the content of files included."""
    model = findable(settings.model)
    own = {
        f"content of the parameter files of {name} (SHA-256)": hashlib.sha256(
            b"".join(file.read_bytes() for file in files)
        ).hexdigest()
        for name, files in methods.split_own(settings.own).items()
    }
    return {
        "--subjects": str(settings.subjects.resolve()),
        "--labels": settings.labels,
        "--model": model,
        "--seed": str(settings.seed),
        **content(model),
        **own,
    }


def _installed(settings: RunSettings) -> list[str]:
    """Return the methods that can run here, and say why the others cannot.

    Raises
    ------
    CompatibilityError
        If no package of theirs is installed.
    """
    found = []
    for name in settings.method_names:
        missing = methods.find(name, settings.own).missing()
        if missing:
            print(f"skipped: {missing}", file=sys.stderr)
        else:
            found.append(name)
    if not found:
        msg = "none of the methods asked for can be used here; see the messages above"
        raise CompatibilityError(msg)
    return found


def _check_baseline(settings: RunSettings, names: Sequence[str]) -> None:
    """Refuse a baseline that is not run now and was not before, which the table would find last."""
    there = {*names, *(record["method"] for record in Results(settings.out).records)}
    if settings.baseline and settings.baseline not in there:
        msg = (
            f"--baseline {settings.baseline} has no results and is not run; give one of "
            f"{', '.join(sorted(there))}, or add it to --methods"
        )
        raise SettingsError(msg)


def _existing(folder: Path) -> Results:
    results = Results(folder)
    if not results.records:
        msg = f"{folder} has no results; run the evaluation with --out {folder} first"
        raise DataError(msg)
    return results


def _show(results: Results, folder: Path, baseline: str) -> None:
    found = Summary(results.records, baseline=baseline)
    found.save(folder)
    print(found.markdown())
