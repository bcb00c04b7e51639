# SPDX-License-Identifier: Apache-2.0
"""Register all pairs of a table that are not done yet."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnmetric.errors import DataError
from cnnmetric.errors import SettingsError
from cnnmetric.files.output import check_folder
from cnnmetric.metric import arguments
from cnnmetric.metric.network import DissimilarityNetwork
from cnnmetric.plugin.package_data import DEFAULT_MODEL
from cnnmetric.registration import own_parameters
from cnnmetric.registration.batch import runner
from cnnmetric.registration.batch.lock import only_run
from cnnmetric.registration.batch.model import content
from cnnmetric.registration.batch.model import findable
from cnnmetric.registration.batch.records import SETTINGS
from cnnmetric.registration.batch.records import Records
from cnnmetric.registration.cohort.job import NAME
from cnnmetric.registration.cohort.job import Options
from cnnmetric.registration.cohort.job import PairJob
from cnnmetric.registration.cohort.page import DONE
from cnnmetric.registration.cohort.page import FAILED
from cnnmetric.registration.cohort.page import PAGE
from cnnmetric.registration.cohort.page import WAITING
from cnnmetric.registration.cohort.page import write_overview
from cnnmetric.registration.cohort.table import Pair
from cnnmetric.registration.cohort.table import read_pairs
from cnnmetric.registration.register import check_arguments
from cnnmetric.registration.result import LOG
from cnnmetric.types import Deformation


class _PairRecords(Records):
    """Records of pairs."""

    identity = (NAME,)


@dataclass(frozen=True, kw_only=True)
class Cohort:
    """What has become of a table of pairs.

    Attributes
    ----------
    folder
        With a folder for every pair that is done, as `RegistrationResult.save` writes it.
    page
        The page that lists them.
    records
        One dictionary a pair, in the order of the table: ``name``, ``status`` (``"done"`` or
        ``"failed"``, ``"waiting"`` while others run), ``seconds``, ``figures``, ``warning``,
        ``failure`` and the files.
    """

    folder: Path
    page: Path
    records: tuple[dict[str, Any], ...]

    def number(self, status: str) -> int:
        """Return how many pairs have a status."""
        return sum(record["status"] == status for record in self.records)


def register_cohort(
    table: str | Path,
    out: str | Path,
    *,
    fixed_modality: str = "",
    model: str | Path = DEFAULT_MODEL,
    deformation: Deformation = "field",
    parameters: str | Path | Sequence[str | Path] = (),
    grid_spacing: float | None = None,
    field_smoothing: float | None = None,
    device: str = "auto",
    threads: int = 0,
    seed: int = 1,
    displacement: bool = True,
    jacobian: bool = False,
    report: bool = True,
    workers: int = 0,
    scheduler: str = "",
    on_pair: Callable[[Cohort], object] | None = None,
) -> Cohort:
    """Register every pair of a table, in a process of its own, and list the results on a page.

    The same call goes on where an earlier one stopped: pairs that are done are left as they are,
    pairs that failed are tried again.

    Parameters
    ----------
    table
        CSV with the columns ``fixed`` and ``moving``, and, where wanted, ``name``,
        ``fixed_modality``, ``fixed_mask``, ``moving_mask`` and ``initial``; files are relative to
        the table. It is checked before anything runs.
    out
        Folder for the results; made if it does not exist.
    fixed_modality, model, deformation, grid_spacing, field_smoothing, device, seed
        Of all pairs, as for :func:`cnnmetric.register`.
    parameters
        Parameter files of elastix that replace the built-in stages, in order.
    threads
        Of each registration; 0 for all processors of its machine.
    displacement, jacobian, report
        Which files to write, as for `RegistrationResult.save`.
    workers
        Registrations at a time on this machine; 0 for as many as ``threads`` leaves room for.
    scheduler
        Address of a Dask scheduler whose workers register, for example ``"tcp://node:8786"``. They
        need to find images, model and output folder under the same paths.
    on_pair
        Called with the state of all pairs at the beginning and whenever one ends.

    Returns
    -------
    Cohort
        What has become of the pairs. One that failed is part of it and raises nothing.

    Raises
    ------
    DataError
        If the table cannot be used, or a pair was registered from other files before.
    SettingsError
        If an argument is out of range, the folder was begun with other ones, holds something else
        or is being written to by another run, or no scheduler answers.
    ModelError
        If the model cannot be used.
    CompatibilityError
        If Dask is needed and not installed.

    Examples
    --------
    >>> cohort = cnnmetric.register_cohort("pairs.csv", "outs/")
    >>> cohort.number("failed")
    0
    """
    pairs = read_pairs(Path(table))
    folder = Path(out).resolve()
    files = [parameters] if isinstance(parameters, (str, Path)) else parameters
    if isinstance(files, Mapping) or not all(isinstance(file, (str, Path)) for file in files):
        msg = "parameters of a cohort are files of elastix, which are read again for every pair"
        raise SettingsError(msg)
    workers = arguments.whole_number("workers", workers, smallest=0, largest=arguments.MOST_THREADS)
    maps = check_arguments(
        deformation=deformation,
        parameters=files,
        grid_spacing=grid_spacing,
        field_smoothing=field_smoothing,
        threads=threads,
        seed=seed,
    )
    options = Options(
        fixed_modality=fixed_modality,
        model=findable(model),
        deformation=deformation,
        parameters=tuple(Path(file).resolve() for file in files),
        # Of one type each, however they are given: a folder is known by how they are written.
        grid_spacing=None if grid_spacing is None else float(grid_spacing),
        field_smoothing=None if field_smoothing is None else float(field_smoothing),
        device=device,
        threads=int(threads),
        seed=int(seed),
    )
    _check_modalities(
        pairs, fixed_modality, own_parameters.model_of(maps, options.model), Path(table)
    )
    shared = _shared(options, maps)
    _check_folder(folder, pairs)
    jobs = [
        PairJob(
            pair=pair,
            options=options,
            folder=folder / pair.name,
            displacement=displacement,
            jacobian=jacobian,
            report=report,
        )
        for pair in pairs
    ]
    with only_run(folder):
        records = _PairRecords(folder)
        _check_inputs(records, pairs, Path(table))
        # Folders of before there was this option.
        records.check_settings(shared, unsaid={"--field-smoothing": "None"})
        at_a_time = workers or runner.default_workers(threads)
        return _run(jobs, records, folder, on_pair=on_pair, workers=at_a_time, scheduler=scheduler)


def _run(
    jobs: Sequence[PairJob],
    records: Records,
    folder: Path,
    *,
    on_pair: Callable[[Cohort], object] | None,
    workers: int,
    scheduler: str,
) -> Cohort:
    """Do what is not done yet, and tell of every pair that ends."""
    names = {job.pair.name for job in jobs}
    records.keep(lambda record: record[NAME] not in names or _is_done(folder, record))

    def tell() -> Cohort:
        cohort = _state(folder, jobs, records.records)
        others = [_with_status(r) for r in records.records if r[NAME] not in names]
        write_overview(folder, [*cohort.records, *others], title=f"Registrations of {folder.name}")
        if on_pair is not None:
            on_pair(cohort)
        return cohort

    done = records.keys
    to_do = [job for job in jobs if job.key not in done]
    cohort = tell()
    if to_do:
        with (
            runner.stopped_by_signals(),
            # Closed at once whatever happens here, which ends the registrations that run.
            closing(runner.run_all(to_do, workers=workers, scheduler=scheduler)) as finished,
        ):
            for record in finished:
                records.append(record)
                cohort = tell()
    return cohort


def _check_modalities(pairs: Sequence[Pair], fixed_modality: str, model: str, table: Path) -> None:
    """Refuse a model that cannot be used, and modalities that it does not know."""
    # On the processor: the workers have a device, this machine need not.
    network = DissimilarityNetwork(model, device="cpu", number_of_threads=1)
    network.fixed_channel(fixed_modality)
    for pair in pairs:
        try:
            network.fixed_channel(pair.fixed_modality)
        except SettingsError as error:
            msg = f"{table}, line {pair.line}: {error}"
            raise DataError(msg) from error


def _check_folder(folder: Path, pairs: Sequence[Pair]) -> None:
    """Refuse a folder that nothing can be written to, or that holds results of something else."""
    check_folder(folder, option="--out")
    if (folder / SETTINGS).is_file():
        return
    there = [pair.name for pair in pairs if (folder / pair.name).exists()]
    if there:
        msg = (
            f"{folder} holds {there[0]} already, which no table of pairs has made; choose another "
            "--out, or move it away"
        )
        raise SettingsError(msg)


def _check_inputs(records: Records, pairs: Sequence[Pair], table: Path) -> None:
    """Refuse pairs that were registered from other files before."""
    before = {record[NAME]: record for record in records.records if not record["failure"]}
    for pair in pairs:
        known = before.get(pair.name, {})
        for name, value in pair.inputs().items():
            if known.get(name, value) != value:
                msg = (
                    f"{table}, line {pair.line}: {pair.name} was registered with another {name}, "
                    f"{known[name] or 'none'}, and cannot go on with {value or 'none'}; give the "
                    "pair another name, or choose another --out"
                )
                raise DataError(msg)


def _shared(options: Options, maps: own_parameters.Maps) -> dict[str, str]:
    """Return what must not change between runs, the content of files included."""
    names = ("fixed_modality", "model", "deformation", "grid_spacing", "field_smoothing", "seed")
    return {
        **{f"--{name.replace('_', '-')}": str(getattr(options, name)) for name in names},
        "content of the parameter files (SHA-256)": hashlib.sha256(repr(maps).encode()).hexdigest(),
        **content(own_parameters.model_of(maps, options.model)),
    }


def _is_done(folder: Path, record: dict[str, Any]) -> bool:
    return record["failure"] is None and (folder / record[NAME] / LOG).is_file()


def _with_status(record: dict[str, Any]) -> dict[str, Any]:
    return {**record, "status": FAILED if record["failure"] else DONE}


def _state(folder: Path, jobs: Sequence[PairJob], records: Sequence[dict[str, Any]]) -> Cohort:
    """Return what has become of all pairs of the table."""
    known = {record[NAME]: record for record in records}
    found = []
    for job in jobs:
        record = known.get(job.pair.name)
        if record is None:
            found.append({**job.empty_record(), "status": WAITING})
        else:
            found.append(_with_status(record))
    return Cohort(folder=folder, page=folder / PAGE, records=tuple(found))
