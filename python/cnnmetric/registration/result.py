# SPDX-License-Identifier: Apache-2.0
"""What a registration returns."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

import itk

from cnnmetric.errors import DataError
from cnnmetric.errors import MetricError
from cnnmetric.errors import SettingsError
from cnnmetric.files.bids import BidsNames
from cnnmetric.files.output import json_text
from cnnmetric.images import warping
from cnnmetric.registration import elastix_transforms
from cnnmetric.registration.spatial_transform import SpatialTransform
from cnnmetric.registration.stage import Stage
from cnnmetric.report import assembly
from cnnmetric.report.comparison import Comparison
from cnnmetric.report.quality import Quality
from cnnmetric.types import Image
from cnnmetric.types import Transform
from cnnmetric.types import VectorImage

WARPED, TRANSFORM, DISPLACEMENT = "warped.nii.gz", "transform.h5", "displacement.nii.gz"
LOG, FIELD, JACOBIAN = "log.json", "deformation.nii.gz", "jacobian.nii.gz"
_FOR_TRANSFORMIX = re.compile(rf"TransformParameters\.\d+\.txt|(\d+-)?{re.escape(FIELD)}")
_WITH_BIDS = (WARPED, DISPLACEMENT, JACOBIAN, TRANSFORM, assembly.NAME)  # have a second name
CHECKSUMS = "sha256"  # of files that belong to the log, by name
# Transforms with fewer are not compressed: of every compressed file ITK keeps 0.2 MB of memory.
_MANY_PARAMETERS = 10_000


@dataclass(frozen=True, kw_only=True, eq=False)
class RegistrationResult(SpatialTransform):
    """The transform from the fixed (target) to the moving (source) image, and how it was found.

    Attributes
    ----------
    warped
        The moving image on the grid of the fixed image, of the same kind as the fixed image: an
        ITK image for a file, a NumPy array for an array.
    stages
        What was done, in order.
    log
        Versions, settings, what was chosen and why, times: values for JSON; the figures of
        ``quality`` from when that is asked for.
    elastix
        elastix's parameter maps of its transforms, in the order in which they are applied; those
        of other transforms are None, in the place of ``transforms`` counted from its end.
    warped_image
        The same as ``warped``, always of ITK.
    comparison
        The model and what else the registration was given; None for a result that was read from
        files, which has neither quality nor report.
    """

    warped: Any
    stages: tuple[Stage, ...]
    log: dict[str, Any]
    elastix: tuple[Mapping[str, Sequence[str]] | None, ...]
    warped_image: Image
    comparison: Comparison | None = None

    def __repr__(self) -> str:
        """Return the stages and the time they took."""
        seconds = sum(stage.seconds for stage in self.stages)
        names = ", ".join(stage.name for stage in self.stages)
        return f"<RegistrationResult {self.dimension}D: {names}; {seconds:.0f} s>"

    def _repr_html_(self) -> str:
        """Return the images before and after and the key figures, for notebooks."""
        if self.comparison is None or not self._is_judged():
            return f"<p>{escape(repr(self))}</p>"
        return assembly.summary(self._registration(), self.quality)

    @cached_property
    def quality(self) -> Quality:
        """How good the registration is, from the images alone, with warnings in plain words.

        Takes some seconds when asked for the first time, and goes into ``log`` from then on.

        Raises
        ------
        SettingsError
            If the result was read from files.
        """
        found = assembly.quality_of(self._registration())
        self.log["quality"] = found.record()
        return found

    def report(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write a page that shows the registration: one file of HTML, for any browser, offline.

        Parameters
        ----------
        path
            Of the page, or a folder, in which it is called ``report.html``.
        overwrite
            Replace a file that is there.

        Returns
        -------
        Path
            The page.

        Raises
        ------
        SettingsError
            If the file exists, or the result was read from files.
        DataError
            If it cannot be written.
        """
        registration = self._registration()
        file = assembly.place_of(Path(path), overwrite=overwrite)
        assembly.write(registration, self.quality, file)
        return file

    def save(
        self,
        folder: str | Path,
        *,
        overwrite: bool = False,
        displacement: bool = True,
        jacobian: bool = False,
        report: bool = False,
        bids: bool = False,
    ) -> list[Path]:
        """Write the result into a folder.

        ============================== ==========================================================
        ``warped.nii.gz``              the moving image on the fixed image's grid
        ``transform.h5``               the ITK transform, for 3D Slicer, ITK, SimpleITK and ANTs
        ``displacement.nii.gz``        ``T(x) - x`` in mm, for ANTs, 3D Slicer and ITK-SNAP
        ``TransformParameters.*.txt``  for transformix, which is given the last of them; where there
                                       is a displacement field, the first one names
                                       ``deformation.nii.gz`` beside it by its full path
        ``jacobian.nii.gz``            if asked for: the Jacobian determinant of the transform
        ``report.html``                if asked for: a page that shows the registration
        ``log.json``                   versions, settings, choices, times and metric values; the
                                       grids of both images and the SHA-256 of ``transform.h5``,
                                       for :func:`cnnmetric.load_transform`
        ============================== ==========================================================

        Parameters
        ----------
        folder
            Made if it does not exist.
        overwrite
            Replace the files of an earlier result.
        displacement
            Write ``displacement.nii.gz``, which is the largest of the files.
        jacobian
            Write the Jacobian determinant, too: 1 keeps volume, 0 and less folds.
        report
            Measure ``quality``, which goes into the log, and write :meth:`report`. If it cannot be
            measured, the result is saved without a report, and the log has a warning that says why.
        bids
            Give images, transform and report a second name in the style of BIDS, from those of the
            two images: ``sub-02_space-01T1w_desc-warped_T2w.nii.gz``.

        Returns
        -------
        list of Path
            The files.

        Raises
        ------
        SettingsError
            If the folder holds a result already, or is a file, or the images have no names of BIDS.
        DataError
            If a file cannot be written.
        """
        place = Path(folder)
        known = self.comparison
        names = BidsNames(known.fixed_name, known.moving_name) if bids and known else None
        check_place(place, overwrite=overwrite, names=names)
        report = report and self._is_judged()
        try:
            place.mkdir(parents=True, exist_ok=True)
            # Written last: a folder without it is no whole result.
            (place / LOG).unlink(missing_ok=True)
            # Of an earlier result, whose second names stay what they were: they are the same file
            # as long as it is there.
            for name in _WITH_BIDS:
                (place / name).unlink(missing_ok=True)
            itk.imwrite(self.warped_image, str(place / WARPED))
            written = [place / WARPED]
            for name, wanted in ((DISPLACEMENT, displacement), (JACOBIAN, jacobian)):
                if wanted:
                    image = (
                        self.displacement if name == DISPLACEMENT else self._jacobian.determinant
                    )
                    itk.imwrite(image, str(place / name))
                    written.append(place / name)
            parts = warping.flattened([self.transform])
            large = sum(part.GetNumberOfParameters() for part in parts) > _MANY_PARAMETERS
            itk.transformwrite(self.transform, str(place / TRANSFORM), compression=large)
            written += [place / TRANSFORM, *self._save_for_transformix(place)]
            if report:
                written.append(self.report(place))
            if names:
                written += names.link([file for file in written if file.name in _WITH_BIDS])
            log = {**self.log, CHECKSUMS: {TRANSFORM: checksum(place / TRANSFORM)}}
            text = json_text(log, indent=2)
            (place / LOG).write_text(text + "\n", encoding="utf-8")
        except (OSError, RuntimeError) as error:
            reason = str(error).strip().splitlines()[-1]
            msg = f"the result cannot be written to {place}: {reason}"
            raise DataError(msg) from error
        return [*written, place / LOG]

    def _is_judged(self) -> bool:
        """Measure the quality, or log why it cannot be measured."""
        try:
            _ = self.quality  # into the log
        except (DataError, MetricError) as error:
            self.log["quality"] = {"warnings": [f"The result cannot be judged: {error}"]}
            return False
        return True

    def _registration(self) -> assembly.Registration:
        if self.comparison is None:
            msg = (
                "this result was read from files, which do not hold all that its quality is judged "
                "by; ask what register() returns"
            )
            raise SettingsError(msg)
        return assembly.Registration(
            fixed=self.target,
            moving=self.source,
            transform=self.transform,
            jacobian=self.jacobian(),
            stages=self.stages,
            log=self.log,
            comparison=self.comparison,
        )

    def _save_for_transformix(self, place: Path) -> list[Path]:
        for old in _for_transformix(place):
            old.unlink()
        files: list[Path] = []
        maps: list[Mapping[str, Sequence[str]]] = []
        for transform, known in zip(reversed(self.transforms), self.elastix, strict=True):
            if known is not None:
                maps.append(known)
            elif elastix_transforms.is_linear(transform):
                maps.append(elastix_transforms.affine_map(transform, self.target))
            else:
                stem = FIELD if not files else f"{len(files)}-{FIELD}"
                files.append(place.resolve() / stem)
                itk.imwrite(self._field_of(transform), str(files[-1]))
                maps.append(elastix_transforms.field_map(files[-1], self.target))
        return [*files, *elastix_transforms.write_chain(maps, place)]

    def _field_of(self, transform: Transform) -> VectorImage:
        displacement = warping.displacement_of(transform, self.target)
        return warping.vector_image(displacement, self.target)


def checksum(file: Path) -> str:
    """Return the SHA-256 of a file, by which a saved transform and its log know each other."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _for_transformix(folder: Path) -> list[Path]:
    """Return the files of a folder that are named as those for transformix, in order."""
    if not folder.is_dir():
        return []
    return sorted(file for file in folder.iterdir() if _FOR_TRANSFORMIX.fullmatch(file.name))


def check_place(folder: Path, *, overwrite: bool, names: BidsNames | None = None) -> None:
    """Refuse a folder that holds a result already, unless that may be replaced.

    A result of elastix counts, whose files have the names of those for transformix.

    Parameters
    ----------
    folder
        Where a result is to be saved.
    overwrite
        Whether files that are there may be replaced and removed.
    names
        Second names of the files, if they get them.

    Raises
    ------
    SettingsError
        If it does, or is a file.
    """
    if folder.exists() and not folder.is_dir():
        msg = f"{folder} is a file; name a folder"
        raise SettingsError(msg)
    if overwrite:
        return
    written = [*_WITH_BIDS, LOG, *(map(names.of, _WITH_BIDS) if names else ())]
    there = [name for name in written if (folder / name).exists()]
    there += [file.name for file in _for_transformix(folder)]
    if there:
        msg = (
            f"{folder} holds a result already ({', '.join(there)}); name another folder, or say "
            "overwrite=True (--overwrite)"
        )
        raise SettingsError(msg)
